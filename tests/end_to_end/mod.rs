//! The real binary, over HTTP, with real restarts.

mod answers;
mod batches;
mod bytes;
mod cluster;
mod crash;
mod enforcement;
mod governance;
mod handover;
mod hostile;
mod hostile_policies;
mod listeners;
mod lock;
mod questions;
mod quotas;
mod roles;
mod rule;
mod run;
mod secrets;
mod sharing;
mod startup;
mod stopping;
mod story;
mod tampering;
mod tokens;
mod waiting;
mod watching;
