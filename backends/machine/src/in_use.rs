//! What the locks of a namespace take of its caps.

use leasehold_domain::Cap;
use leasehold_domain::CapReached;
use leasehold_domain::Caps;

use crate::LockRecord;

/// What one lock, or several, take of a namespace's caps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct InUse {
    /// Locks that are held or waited for.
    pub(crate) locks: u64,
    /// Acquires that wait.
    pub(crate) waiters: u64,
}

impl InUse {
    /// Returns what one lock takes.
    pub(crate) fn of(record: &LockRecord) -> Self {
        let waiters = record.queue_len() as u64;
        let is_used = waiters > 0 || !record.holders.is_empty();
        Self {
            locks: u64::from(is_used),
            waiters,
        }
    }

    /// Returns this with `after` in the place of `before`, which is a part of it.
    pub(crate) fn shifted(self, before: Self, after: Self) -> Self {
        Self {
            locks: (self.locks + after.locks).saturating_sub(before.locks),
            waiters: (self.waiters + after.waiters).saturating_sub(before.waiters),
        }
    }
}

/// The room that the caps leave to one lock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    pub(crate) caps: Caps,
    /// What the other locks of the namespace take.
    pub(crate) others: InUse,
}

impl Room {
    /// Returns the cap that keeps a lock from being used that nobody holds or waits for, or from
    /// getting anything new at all.
    pub(crate) fn refusal(&self, record: &LockRecord) -> Option<CapReached> {
        let most = self.caps.locks.filter(|_| InUse::of(record).locks == 0);
        let full = most.filter(|most| self.others.locks >= *most);
        let full = full.map(|most| CapReached {
            cap: Cap::Locks,
            most,
            present: self.others.locks,
        });
        self.caps.reached.or(full)
    }

    /// Returns the cap that the last waiter of a lock exceeds.
    pub(crate) fn refusal_of_last_waiter(&self, record: &LockRecord) -> Option<CapReached> {
        let present = self.others.waiters + InUse::of(record).waiters.saturating_sub(1);
        let most = self.caps.waiters.filter(|most| present >= *most);
        most.map(|most| CapReached {
            cap: Cap::Waiters,
            most,
            present,
        })
    }
}
