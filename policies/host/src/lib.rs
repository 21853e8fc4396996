#![doc = include_str!("../README.md")]

mod bindings;
mod bound;
pub mod cases;
mod compiling;
mod contract;
mod convert;
mod engine;
mod error;
mod evaluation;
mod fault;
mod guest;
mod inputs;
mod inspection;
mod limits;
mod manifest;
mod module;
mod names;
mod schema;
mod section;
pub mod stock;
mod stubs;
mod verdict_cache;
mod verification;

pub use bound::BoundPolicy;
pub use contract::Contract;
pub use engine::PolicyEngine;
pub use error::{ConfigError, ConfigProblem, HostError};
pub use evaluation::Evaluation;
pub use fault::PolicyFault;
pub use inputs::Inputs;
pub use limits::{Budget, EngineLimits};
pub use manifest::Manifest;
pub use module::Module;
pub use schema::schema_digest;
pub use stubs::stub_wasi;
pub use verdict_cache::{CacheLookup, VerdictCacheStats, VerdictKey};
