//! The real binary, over HTTP, with real restarts.

mod crash;
mod governance;
mod hostile;
mod lock;
mod quotas;
mod run;
mod startup;
mod story;
mod waiting;
