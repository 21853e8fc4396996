#![doc = include_str!("../README.md")]

mod admin;
mod audit;
mod backup;
mod bearer;
mod bindings;
mod cluster;
mod conform;
mod count;
mod extract;
mod health;
mod incidents;
mod keys;
mod lease;
pub mod limiting;
pub mod listener;
mod locks;
mod namespaces;
mod openapi;
mod percent;
mod policies;
mod policy_trust;
mod problem;
mod query;
mod replay;
mod resolve;
mod rollouts;
mod routes;
pub mod services;
mod verbs;
mod view;
pub mod waiting;
mod watch;

pub use openapi::document as openapi_document;
pub use routes::listen;
pub use routes::router;
