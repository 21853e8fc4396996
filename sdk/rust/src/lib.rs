#![doc = include_str!("../README.md")]

mod answer;
mod backoff;
mod client;
mod deadline;
mod download;
mod error;
mod events;
mod follower;
mod guard;
mod hold;
mod lease;
mod renewer;
mod watch;

pub use client::{Client, Key};
pub use deadline::Deadline;
pub use download::Download;
pub use error::Error;
pub use events::{EventStream, ServerEvent};
pub use guard::{LockGuard, Loss};
pub use hold::{LockOptions, Waiting};
pub use watch::{News, Watch};
