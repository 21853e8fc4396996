//! Whether a ledger and a store are of one history.
//!
//! Each part records the others: the ledger names the store whose events it holds; the store keeps
//! the ledger's hash chain at the position up to which it has forgotten its events; and the data
//! directory remembers how far both were. [`compare`] is pure; [`gather`] reads what it needs.

mod gather;

#[cfg(test)]
mod tests;

use std::fmt;

use leasehold_backend_api::LedgerHead;
use leasehold_backend_api::StoreHistory;
use leasehold_domain::Cursor;
use leasehold_domain::Digest;
use leasehold_domain::StoreId;

pub use self::gather::gather;
pub use self::gather::gather_stopped;

/// What a data directory remembers of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// The identity of the store's history.
    pub id: StoreId,
    /// The newest event that was seen.
    pub newest: Cursor,
    /// The greatest revision that was seen.
    pub revision: u64,
    /// The last event of the ledger.
    pub ledger: Cursor,
}

/// Who says what the hash chain at a position is, besides the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Witness {
    /// The store, which kept it at the last trim.
    Trim,
    /// The store's own events.
    Events,
    /// The same ledger in the database, or on another member.
    OtherLedger,
}

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Trim => "the chain that the store kept",
            Self::Events => "the events that the store has",
            Self::OtherLedger => "the other copy of the ledger",
        })
    }
}

/// The hash chain at a position, from two sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// The position.
    pub cursor: Cursor,
    /// The chain in the ledger.
    pub ledger: Digest,
    /// The chain according to the witness.
    pub witnessed: Digest,
    /// Who says so.
    pub witness: Witness,
}

/// All that the comparison needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The store, as far as it is durable.
    pub store: StoreHistory,
    /// Whose events the ledger holds, if that is recorded.
    pub ledger_of: Option<StoreId>,
    /// Where the ledger ends.
    pub ledger: LedgerHead,
    /// Positions at which the ledger can be compared with others.
    pub checkpoints: Vec<Checkpoint>,
    /// What the data directory remembers; `None` if it has never had this store.
    pub memory: Option<Memory>,
    /// Whether somebody else has the events that the store has forgotten.
    pub others_have_rows: bool,
}

/// A ledger that fits its store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Continuity {
    /// The ledger continues the store's history; the store still has what the ledger lacks.
    Continues,
    /// The gateway is new to the store: its ledger begins after this position.
    Begins(LedgerHead),
    /// The ledger lacks events that the store has forgotten, and that others have.
    Gap {
        /// The last event of the ledger.
        from: Cursor,
        /// The last event that the store has forgotten.
        to: Cursor,
    },
}

/// A ledger and a store that are not of one history. Names both positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Discontinuity {
    /// The store is not the one that the directory had.
    #[error(
        "the store is {store} (newest event {}), but this data directory had the store {remembered} \
         (newest event {})", newest.0, remembered_newest.0
    )]
    OtherStore {
        /// The store.
        store: StoreId,
        /// Its newest event.
        newest: Cursor,
        /// The store that the directory had.
        remembered: StoreId,
        /// The newest event that it had.
        remembered_newest: Cursor,
    },
    /// The ledger is of another store.
    #[error(
        "the ledger (last event {}) is of the store {ledger_of}, but the store is {store} (newest \
         event {})", ledger.0, newest.0
    )]
    OtherLedger {
        /// The store.
        store: StoreId,
        /// Its newest event.
        newest: Cursor,
        /// The store whose events the ledger holds.
        ledger_of: StoreId,
        /// The last event of the ledger.
        ledger: Cursor,
    },
    /// The store has fewer events than its ledger.
    #[error(
        "the store is older than its ledger: its newest event is {}, the ledger's last is {}",
        newest.0, ledger.0
    )]
    OlderThanLedger {
        /// The store's newest event.
        newest: Cursor,
        /// The last event of the ledger.
        ledger: Cursor,
    },
    /// The store is not as far as it was.
    #[error(
        "the store is older than this data directory remembers: it is at event {} and write \
         {revision}, and was at event {} and write {}", newest.0, remembered.newest.0,
        remembered.revision
    )]
    OlderThanMemory {
        /// The store's newest event.
        newest: Cursor,
        /// Its count of writes.
        revision: u64,
        /// What is remembered.
        remembered: Memory,
    },
    /// The ledger has other events than the store had.
    #[error(
        "the ledger (last event {}) is not that of the store (newest event {}): at event {} its hash \
         chain differs from {witness}", ledger.0, newest.0, at.0
    )]
    Differs {
        /// The store's newest event.
        newest: Cursor,
        /// The last event of the ledger.
        ledger: Cursor,
        /// The event after which the chains differ.
        at: Cursor,
        /// What the ledger differs from.
        witness: Witness,
    },
    /// The ledger lacks events that nobody has any more.
    #[error(
        "the ledger ends at event {}, but the store has forgotten its events up to event {} because the \
         ledger had them", ledger.0, trimmed.0
    )]
    Short {
        /// The last event of the ledger.
        ledger: Cursor,
        /// The last event that the store has forgotten.
        trimmed: Cursor,
    },
}

/// Compares a ledger with its store.
///
/// # Errors
/// They are not of one history; the error names both positions.
pub fn compare(evidence: &Evidence) -> Result<Continuity, Discontinuity> {
    let Evidence {
        store,
        ledger_of,
        ledger,
        memory,
        ..
    } = evidence;
    if let Some(remembered) = memory
        && remembered.id != store.id
    {
        return Err(Discontinuity::OtherStore {
            store: store.id,
            newest: store.newest,
            remembered: remembered.id,
            remembered_newest: remembered.newest,
        });
    }
    if let Some(ledger_of) = *ledger_of
        && ledger_of != store.id
    {
        return Err(Discontinuity::OtherLedger {
            store: store.id,
            newest: store.newest,
            ledger_of,
            ledger: ledger.cursor,
        });
    }
    if store.newest < ledger.cursor {
        return Err(Discontinuity::OlderThanLedger {
            newest: store.newest,
            ledger: ledger.cursor,
        });
    }
    if let Some(remembered) = *memory
        && (store.newest < remembered.newest || store.revision < remembered.revision)
    {
        return Err(Discontinuity::OlderThanMemory {
            newest: store.newest,
            revision: store.revision,
            remembered,
        });
    }
    let differs = |checkpoint: &&Checkpoint| checkpoint.ledger != checkpoint.witnessed;
    if let Some(checkpoint) = evidence.checkpoints.iter().find(differs) {
        return Err(Discontinuity::Differs {
            newest: store.newest,
            ledger: ledger.cursor,
            at: checkpoint.cursor,
            witness: checkpoint.witness,
        });
    }
    match ledger.cursor < store.trimmed {
        false => Ok(Continuity::Continues),
        true if evidence.others_have_rows => Ok(Continuity::Gap {
            from: ledger.cursor,
            to: store.trimmed,
        }),
        true if is_new(evidence) => Ok(Continuity::Begins(store.begins_after.unwrap_or(*ledger))),
        true => Err(Discontinuity::Short {
            ledger: ledger.cursor,
            trimmed: store.trimmed,
        }),
    }
}

/// Whether neither part has known the other before: nothing can be lost then.
fn is_new(evidence: &Evidence) -> bool {
    let Evidence {
        store,
        ledger_of,
        ledger,
        memory,
        ..
    } = evidence;
    let empty = ledger.cursor == Cursor(0) && ledger_of.is_none() && memory.is_none();
    empty && store.ledger.is_none() && store.begins_after.is_some()
}
