#![doc = include_str!("../README.md")]

mod answer;
mod backoff;
mod client;
mod deadline;
mod download;
mod error;
mod events;
mod follower;
mod gateways;
mod guard;
mod hold;
mod lease;
mod renewer;
pub mod request_id;
#[cfg(test)]
mod scripted;
mod watch;

pub use client::{Client, Key};
pub use deadline::{Deadline, Moment};
pub use download::Download;
pub use error::Error;
pub use events::{EventStream, ServerEvent};
pub use guard::{LockGuard, Loss};
pub use hold::{LockOptions, Waiting};
pub use renewer::LeaseStatus;
pub use watch::{News, Watch};
