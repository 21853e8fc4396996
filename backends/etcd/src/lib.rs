#![doc = include_str!("../README.md")]

mod aside;
mod backend;
mod batcher;
mod client;
mod config;
mod documents;
mod error;
mod feed;
mod group;
mod history;
mod history_growth;
mod import;
mod item;
mod keys;
mod members;
mod mirror;
mod new_history;
mod open;
mod outbox;
mod proto;
mod queue;
mod status;
mod tasks;
mod time;
mod tls;
mod transaction;
mod writer;

pub use backend::EtcdBackend;
pub use config::EtcdConfig;
pub use error::OpenError;
