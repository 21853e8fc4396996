//! What a restore from a backup does to leases.

use super::State;
use super::table::LockTable;
use super::table::map_records;
use crate::lease::Lease;

impl State {
    /// Gives every lease its whole ttl again, counted from [`State::now`]. Its holder may have
    /// renewed it after the backup was taken, and been told so; what it has left now is never less
    /// than what it was told. A lease that drains keeps what it has left: nothing renews it.
    pub fn lengthen_leases(&mut self) {
        let now = self.now;
        let records = std::mem::take(&mut self.locks.records);
        let records = map_records(records, |record| {
            for lease in &mut record.holders {
                if lease.drain.is_none() {
                    let whole = Lease::lasting(now, lease.ttl_ms, lease.hold_until);
                    lease.deadline = lease.deadline.max(whole);
                }
            }
        });
        self.locks = LockTable::index(records);
    }
}
