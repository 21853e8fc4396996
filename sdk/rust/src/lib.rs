#![doc = include_str!("../README.md")]

mod client;
mod deadline;
mod error;
mod guard;

pub use client::{Client, Key};
pub use deadline::Deadline;
pub use error::Error;
pub use guard::{LockGuard, LockOptions, Loss, Waiting};
