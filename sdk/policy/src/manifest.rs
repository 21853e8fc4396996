//! What a policy says about itself.

use crate::Operation;

/// What a policy is and what it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manifest {
    /// Its name: 1 to 63 of `a-z 0-9 -`, beginning with a letter.
    pub name: &'static str,
    /// Its semantic version; `env!("CARGO_PKG_VERSION")`.
    pub version: &'static str,
    /// The operations that it judges; at least one.
    pub operations: &'static [Operation],
    /// Whether [`crate::Facts::lock`] shall be there. Costs a read of the store.
    pub needs_lock: bool,
    /// Whether [`crate::Facts::usage`] shall be there. Costs a read of the store.
    pub needs_usage: bool,
    /// A JSON Schema of its configuration; `include_str!("../schema.json")`.
    pub config_schema: &'static str,
}
