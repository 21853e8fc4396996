#![doc = include_str!("../README.md")]

mod asking;
pub mod batches;
pub mod caps;
mod cases;
pub mod counters;
pub mod events;
pub mod exclusion;
pub mod governing;
mod harness;
pub mod ledger;
pub mod moving;
pub mod new_history;
pub mod policies;
pub mod queue;
pub mod reading;
pub mod restart;
pub mod sharing;
pub mod stopped;
mod tail;
pub mod taking;
pub mod time;

pub use cases::run;
pub use harness::{Durable, Harness, Running};
pub use ledger::head;
