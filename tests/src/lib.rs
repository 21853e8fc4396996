#![doc = include_str!("../README.md")]

mod api;
mod gateway;

pub use api::{Answer, Api};
pub use gateway::{ADMIN_KEY, Gateway, GatewayOptions, binary};
