//! Where a store stands in its history.

use leasehold_domain::Cursor;
use leasehold_domain::StoreId;

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
