#![doc = include_str!("../README.md")]

mod etcd;
mod forwarder;
mod pooler;
mod postgres;
pub mod process;
mod shared;

pub use etcd::Etcd;
pub use forwarder::Forwarder;
pub use pooler::Pooler;
pub use postgres::{Pair, Postgres};
pub use process::until;
pub use shared::Shared;
