#![doc = include_str!("../README.md")]

mod archive;
mod aside;
mod backend;
mod batcher;
mod catch_up;
mod client;
mod config;
mod documents;
mod error;
mod fold;
mod history;
mod item;
mod known;
mod memory;
mod mirror;
mod new_history;
mod open;
mod outbox;
mod primary;
mod schema;
mod status;
mod tasks;
mod time;
mod tls;
mod transaction;
mod writer;

pub use backend::PostgresBackend;
pub use config::PostgresConfig;
pub use error::OpenError;
pub use memory::Memory;
pub use memory::Seen;
