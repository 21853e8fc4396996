//! Lists of locks: what to show, and the pages that come back.

use crate::LockName;
use crate::NamespaceName;
use crate::Subject;
use crate::TeamName;

/// Which locks to list, in the order of their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListQuery {
    /// In which namespace.
    pub namespace: NamespaceName,
    /// Only names that begin so; empty for all.
    pub prefix: String,
    /// Only locks that this subject holds.
    pub holder: Option<Subject>,
    /// Only locks that this team holds.
    pub team: Option<TeamName>,
    /// Only locks in this state.
    pub state: Option<LockFilter>,
    /// Only names after this one: the last of the page before.
    pub after: Option<LockName>,
    /// At most so many; 1 to [`crate::limits::PAGE_ROWS_MAX`].
    pub limit: usize,
}

impl ListQuery {
    /// Asks for all locks of a namespace, the next `limit` after one; 1 to
    /// [`crate::limits::PAGE_ROWS_MAX`].
    #[must_use]
    pub fn all_of(namespace: NamespaceName, after: Option<LockName>, limit: usize) -> Self {
        Self {
            namespace,
            prefix: String::new(),
            holder: None,
            team: None,
            state: None,
            after,
            limit,
        }
    }
}

/// States that a list can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LockFilter {
    /// Somebody holds it.
    Held,
    /// Nobody holds it.
    Free,
    /// Somebody waits for it.
    Contended,
    /// A lease of it drains.
    Draining,
    /// It is not granted because a lease expired.
    CoolingDown,
    /// A transfer reserved it for a successor.
    Reserved,
}

/// Some rows, and where the next page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// Give this as `after` for the next page; none if this was the last.
    pub next: Option<LockName>,
}

/// Sizes, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Locks that have a record.
    pub locks: u64,
    /// Leases that are held.
    pub leases: u64,
    /// Acquires that stand in a queue.
    pub waiters: u64,
}
