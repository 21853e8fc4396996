//! Where a store stands in its history.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use leasehold_domain::Change;
use leasehold_domain::Cursor;
use leasehold_domain::Event;
use leasehold_domain::StoreId;
use leasehold_domain::WallMillis;

use crate::BackendError;
use crate::LedgerHead;

/// Where a store stands in its history, as far as it is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreHistory {
    /// The identity of the history. Kept for as long as events and tokens only go on.
    pub id: StoreId,
    /// The newest durable event.
    pub newest: Cursor,
    /// Events up to here are gone from the store.
    pub trimmed: Cursor,
    /// The store's own count of writes. It never goes back, and every fencing token that was granted
    /// is below `(revision + 1) ×` [`leasehold_domain::limits::TOKENS_PER_WRITE`].
    pub revision: u64,
    /// Where the caller's ledger was at its last trim: an event, and the hash chain after it. `None`
    /// if the caller has never trimmed, or only by a build that kept no chain.
    pub ledger: Option<LedgerHead>,
    /// Where a ledger begins if the caller has become a reader of the events by opening the store;
    /// `None` if it was one before. The chain is that of another reader's ledger, if one is known.
    pub begins_after: Option<LedgerHead>,
}

/// What a new history of a store begins with.
#[derive(Debug, Clone)]
pub struct HistoryStart {
    /// The identity of the new history, which the caller has drawn.
    pub id: StoreId,
    /// The newest event that the store must have; nothing changes if it has another.
    pub newest: Cursor,
    /// The last event of the ledger that the new history continues, and the hash chain after it. The
    /// new history's first event is the next one.
    pub after: LedgerHead,
    /// Events of the store that no ledger has. They follow the first event of the new history, with
    /// cursors and times of their own.
    pub unrecorded: Vec<Arc<Event>>,
    /// The least [`StoreHistory::revision`] of the new history.
    pub revision_min: u64,
    /// What the first event records.
    pub change: Change,
    /// When the operator accepted the store.
    pub wall: WallMillis,
}

/// A new history of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartedHistory {
    /// Its first event.
    pub event: Cursor,
    /// Its count of writes at its start: every token that is granted in it is above `revision ×`
    /// [`leasehold_domain::limits::TOKENS_PER_WRITE`].
    pub revision: u64,
}

/// A shared store (Postgres, etcd) of which an operator can start a new history, when the store is
/// older than its gateways remember.
#[async_trait]
pub trait NewHistory: Debug + Send + Sync + 'static {
    /// Starts a new history with the locks and documents that the store has now. Every lease gets
    /// its whole ttl again. Of the consumers of events only the caller stays, with a ledger that
    /// ends at `start.after`.
    ///
    /// *Guarantees.* The whole step is durable before the answer. A gateway that had the store open
    /// before changes no lock in it any more: its calls fail as `Fenced`.
    ///
    /// *Errors.* `Contended` if the store's newest event is not `start.newest`; nothing has changed
    /// then. After an unknown effect [`crate::Backend::history`] tells which history the store has.
    ///
    /// *Afterwards* the backend that was called must be closed and opened again.
    async fn start_history(&self, start: HistoryStart) -> Result<StartedHistory, BackendError>;
}
