//! What a gateway keeps, for its next process, of what it has seen of a database.

use std::fmt;
use std::io;

/// A position in a database's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// The cluster's system identifier.
    pub system: i64,
    /// The timeline that the primary wrote.
    pub timeline: i32,
    /// The store's version: it had at least so many writes.
    pub version: u64,
}

/// Keeps, for the next process, what this gateway has seen of a database.
pub trait Memory: fmt::Debug + Send + Sync {
    /// Returns what was kept last, or `None` if nothing was.
    fn seen(&self) -> Option<Seen>;

    /// Keeps a position, durably before it returns. Blocks.
    ///
    /// # Errors
    /// It cannot be written. What was kept before is still there.
    fn keep(&self, seen: Seen) -> io::Result<()>;
}
