//! What a new history of an older store does to leases and events.

use std::sync::Arc;

use leasehold_domain::Atomicity;
use leasehold_domain::Change;
use leasehold_domain::Cursor;
use leasehold_domain::Event;
use leasehold_domain::Millis;
use leasehold_domain::Note;

use super::State;
use super::table::LockTable;
use super::table::map_records;
use crate::LockRecord;
use crate::Moment;
use crate::lease::Lease;

impl State {
    /// Gives every lease its whole ttl again, counted from [`State::now`]. Its holder may have
    /// renewed it after the backup was taken, and been told so; what it has left now is never less
    /// than what it was told. A lease that drains keeps what it has left: nothing renews it.
    pub fn lengthen_leases(&mut self) {
        let now = self.now;
        let records = std::mem::take(&mut self.locks.records);
        let records = map_records(records, |record| record.lengthen_leases(now));
        let policies = std::mem::take(&mut self.locks.policies);
        self.locks = LockTable::index(records, policies);
    }

    /// Starts a new history behind the event `after`; returns its first events. The first records
    /// `change`. The others are `unrecorded`: events of the old history that no ledger has, with
    /// cursors and times of their own.
    pub fn start_history(
        &mut self,
        after: Cursor,
        change: Change,
        unrecorded: &[Arc<Event>],
        at: Moment,
    ) -> Vec<Event> {
        self.resume(at.now, after);
        let told = [Note::Governance(Box::new(change))];
        let mut events = self.execute(&[], Atomicity::Each, &told, at).events;
        let (mut newest, now) = (self.newest, self.now);
        events.extend(unrecorded.iter().map(|event| {
            newest = Cursor(newest.0 + 1);
            Event {
                cursor: newest,
                now,
                ..Event::clone(event)
            }
        }));
        self.resume(now, newest);
        events
    }
}

impl LockRecord {
    /// Gives every lease its whole ttl again, counted from `now`: see [`State::lengthen_leases`].
    pub fn lengthen_leases(&mut self, now: Millis) {
        for lease in &mut self.holders {
            if lease.drain.is_none() {
                let whole = Lease::lasting(now, lease.ttl_ms, lease.hold_until);
                lease.deadline = lease.deadline.max(whole);
            }
        }
    }
}
