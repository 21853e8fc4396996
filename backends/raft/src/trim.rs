//! Up to where this node's ledger has the events, and what the ledger was there.

use std::sync::Mutex;
use std::sync::PoisonError;

use leasehold_backend_api::LedgerHead;
use leasehold_domain::Cursor;
use leasehold_domain::Digest;

/// What the last trim left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Trimmed {
    /// The ledger has the events up to here, so the node may forget them.
    pub(crate) cursor: Cursor,
    /// Where the ledger was; `None` before the first trim by a build that keeps it.
    pub(crate) ledger: Option<LedgerHead>,
}

/// The ledger's position as the log stores it.
pub(crate) type LedgerRecord = (Cursor, Digest);

impl Trimmed {
    /// Reads what the log stores: a cursor, and perhaps the ledger's position.
    pub(crate) fn of(cursor: u64, ledger: Option<LedgerRecord>) -> Self {
        Self {
            cursor: Cursor(cursor),
            ledger: ledger.map(|(cursor, chain)| LedgerHead { cursor, chain }),
        }
    }

    /// Returns the ledger's position as the log stores it.
    pub(crate) fn ledger_record(&self) -> Option<LedgerRecord> {
        self.ledger.map(|head| (head.cursor, head.chain))
    }
}

/// The last trim, shared by the applied state and the log's writer.
#[derive(Debug, Default)]
pub(crate) struct TrimMark(Mutex<Trimmed>);

impl TrimMark {
    /// Starts with what the log stores.
    pub(crate) fn new(trimmed: Trimmed) -> Self {
        Self(Mutex::new(trimmed))
    }

    /// Returns the last trim.
    pub(crate) fn get(&self) -> Trimmed {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves the mark on; a position before it changes nothing.
    pub(crate) fn advance(&self, head: LedgerHead) {
        let mut trimmed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if head.cursor > trimmed.cursor
            || (head.cursor == trimmed.cursor && trimmed.ledger.is_none())
        {
            *trimmed = Trimmed {
                cursor: head.cursor,
                ledger: Some(head),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record;

    fn head(cursor: u64) -> LedgerHead {
        LedgerHead {
            cursor: Cursor(cursor),
            chain: Digest([7; 32]),
        }
    }

    #[test]
    fn a_mark_only_advances() {
        let mark = TrimMark::new(Trimmed::of(5, None));
        mark.advance(head(3));
        assert_eq!(mark.get(), Trimmed::of(5, None));
        mark.advance(head(5));
        assert_eq!(mark.get().ledger, Some(head(5)));
        mark.advance(head(9));
        mark.advance(head(6));
        assert_eq!(mark.get().ledger, Some(head(9)));
        assert_eq!(mark.get().cursor, Cursor(9));
    }

    /// The bytes of record version 5. They must stay readable.
    #[test]
    fn the_stored_form_is_fixed() {
        let trimmed = Trimmed::of(300, Some((Cursor(300), Digest([7; 32]))));
        let mut golden = vec![5, 0, 0, 0, 0, 0x82, 0x19, 0x01, 0x2c, 0x58, 0x20];
        golden.extend([7; 32]);
        let crc = crc32fast::hash(&[&golden[..1], &golden[5..]].concat());
        golden[1..5].copy_from_slice(&crc.to_be_bytes());
        let record = trimmed.ledger_record().unwrap();
        assert_eq!(record::encode(&record), golden);
        let read: LedgerRecord = record::decode(&golden).unwrap();
        assert_eq!(Trimmed::of(300, Some(read)), trimmed);
    }
}
