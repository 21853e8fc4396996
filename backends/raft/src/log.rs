//! The Raft log and vote: fjall behind one writer thread, one fsync for each batch of appends.

mod disk;
mod journal;
mod keeping;
mod reader;
mod recent;
mod store;
mod writer;

#[cfg(test)]
pub(crate) use disk::{Change, Disk};
pub(crate) use keeping::Keeping;
pub(crate) use keeping::Owner;
pub(crate) use keeping::Unowned;
pub(crate) use store::LogStore;

/// Keyspace of entries, by index.
pub(crate) const ENTRIES: &str = "entries";
/// Keyspace of the vote, of positions, and of whose folder this is.
pub(crate) const META: &str = "meta";
/// The vote.
pub(crate) const VOTE: &str = "vote";
/// The last position purged.
pub(crate) const PURGED: &str = "purged";
/// The last event that the ledger has.
pub(crate) const TRIMMED: &str = "trimmed";
/// Where the ledger was at the last trim: an event, and the hash chain after it.
pub(crate) const LEDGER: &str = "ledger";
/// Whose folder this is.
pub(crate) const OWNER: &str = "owner";
/// The group that it belongs to.
pub(crate) const GROUP: &str = "group";

#[cfg(test)]
mod tests;
