//! How large a record may be that comes from another store: the record and the event of its arrival
//! must fit into one transaction.

use leasehold_backend_api::ImportLimit;
use leasehold_domain::Action;
use leasehold_domain::Command;
use leasehold_domain::Cursor;
use leasehold_domain::Event;
use leasehold_domain::EventKind;
use leasehold_domain::FeatureLevel;
use leasehold_domain::LockRef;
use leasehold_domain::Millis;
use leasehold_domain::WallMillis;
use leasehold_machine::LockRecord;
use leasehold_machine::Moment;
use leasehold_machine::apply;
use leasehold_machine::stored;

use crate::transaction::REQUEST_BYTES_MAX;

/// Room in the transaction for keys, conditions, and messages around the values.
const AROUND_BYTES: usize = 80 * 1_024;
/// The same for a waiter, besides its lock's name.
const WAITER_AROUND_BYTES: usize = 96;
/// A time and a revision that take as many bytes as any that will be seen.
const LATE: u64 = 1 << 48;

pub(crate) const LIMIT: ImportLimit = ImportLimit {
    bytes_max: REQUEST_BYTES_MAX - AROUND_BYTES,
    bytes_of,
};

/// What the values of the import take; 0 if it is none, which the import itself will find.
fn bytes_of(lock: &LockRef, exported: &[u8]) -> usize {
    let command = Command {
        lock: lock.clone(),
        action: Action::Import {
            era: LATE,
            record: exported.into(),
        },
        cause: None,
        expect: None,
    };
    let at = Moment {
        level: FeatureLevel::FIRST,
        now: Millis(LATE),
        wall: WallMillis(LATE),
        token_floor: 0,
    };
    let mut record = LockRecord::default();
    let (_, transitions) = apply(&mut record, &command, at);
    let event = Event {
        level: FeatureLevel::FIRST,
        cursor: Cursor(LATE),
        now: at.now,
        wall: at.wall,
        kind: EventKind::Lock {
            lock: command.lock.clone(),
            cause: None,
            transitions,
        },
    };
    let waiters: usize = record.waiters().map(|w| stored::encode(w).len()).sum();
    let around = record.queue_len() * (WAITER_AROUND_BYTES + lock.to_string().len());
    let head = stored::encode(&record.with_waiters(Vec::new())).len();
    // Its arrival, or its end if all who wait leave at once.
    head + around + waiters + waiters.max(stored::pack(&[event]).len())
}
