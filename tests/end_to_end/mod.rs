//! The real binary, over HTTP, with real restarts.

mod batches;
mod crash;
mod enforcement;
mod governance;
mod handover;
mod hostile;
mod hostile_policies;
mod lock;
mod quotas;
mod run;
mod sharing;
mod startup;
mod story;
mod waiting;
