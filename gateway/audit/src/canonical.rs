//! An event's canonical bytes: what the chain hashes, what an export holds, what a replay reads.
//!
//! The format is described in the crate's README. It is owned here: renaming a field of the domain
//! changes no stored byte.

mod json;
mod read;
mod time;
mod write;

#[cfg(test)]
pub(crate) mod arbitrary;
#[cfg(test)]
mod tests;

pub use read::{ParseError, Recorded, parse};
pub use write::write;

/// The version of the format, in the field `v` of every event.
pub const VERSION: u64 = 1;
