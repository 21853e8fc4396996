//! The real binary, over HTTP, with real restarts.

mod cluster;
mod crash;
mod governance;
mod hostile;
mod lock;
mod run;
mod startup;
mod story;
mod waiting;
