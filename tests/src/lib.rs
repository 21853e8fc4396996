#![doc = include_str!("../README.md")]

mod api;
mod cluster;
mod gateway;
mod ledger;
mod locks;
#[path = "../robustness/mod.rs"]
pub mod robustness;
mod watch;
mod wire;

pub use api::{Answer, Api};
pub use cluster::{MEMBERS, cluster, cluster_options, create_store, free_port, leader};
pub use gateway::{ADMIN_KEY, Build, Gateway, GatewayOptions, binary, other_binary};
pub use locks::persist;
pub use watch::{Seen, Watch};
pub use wire::Wire;
