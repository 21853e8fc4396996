//! Version 1 of the wire format: one file for each resource.

#[macro_use]
mod secret;

pub mod approvals;
pub mod audit;
pub mod bindings;
pub mod cluster;
pub mod error;
pub mod health;
pub mod incidents;
pub mod keys;
mod labels;
pub mod locks;
pub mod namespaces;
pub mod paths;
pub mod policies;
pub mod preview;
pub mod replay;
pub mod reviews;
pub mod revisions;
pub mod rollouts;
pub mod views;
pub mod watch;

pub use error::{ErrorCode, Problem};
