#![doc = include_str!("../README.md")]

mod backend;
mod batcher;
mod clock;
mod config;
mod documents;
mod entry;
mod error;
mod folder;
mod log;
mod machine;
mod network;
mod open;
mod outbox;
mod record;
mod snapshot;
mod tasks;

pub use backend::RaftBackend;
pub use config::RaftConfig;
pub use error::OpenError;
