//! How much of a namespace's caps its locks use.

use leasehold_domain::Cap;
use leasehold_domain::CapReached;
use leasehold_domain::Caps;

use crate::LockRecord;

/// How much of a namespace's caps one lock, or several, use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CapUsage {
    /// Locks that are held or waited for.
    pub(crate) locks: u64,
    /// Acquires that wait.
    pub(crate) waiters: u64,
}

impl CapUsage {
    /// Returns the usage of one lock.
    pub(crate) fn of(record: &LockRecord) -> Self {
        let waiters = record.queue_len() as u64;
        let is_used = waiters > 0 || !record.holders.is_empty();
        Self {
            locks: u64::from(is_used),
            waiters,
        }
    }

    /// Returns this usage after the part `before` became `after`.
    pub(crate) fn shifted(self, before: Self, after: Self) -> Self {
        Self {
            locks: (self.locks + after.locks).saturating_sub(before.locks),
            waiters: (self.waiters + after.waiters).saturating_sub(before.waiters),
        }
    }
}

/// Checks a command on one lock against the caps of its namespace.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CapCheck {
    pub(crate) caps: Caps,
    /// The usage of the other locks of the namespace.
    pub(crate) others: CapUsage,
}

impl CapCheck {
    /// Returns the cap that an acquire would exceed: the cap on locks if the lock has no holder and no
    /// waiter yet, or a cap that the command reports as reached.
    pub(crate) fn refusal(&self, record: &LockRecord) -> Option<CapReached> {
        let most = self.caps.locks.filter(|_| CapUsage::of(record).locks == 0);
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
        let present = self.others.waiters + CapUsage::of(record).waiters.saturating_sub(1);
        let most = self.caps.waiters.filter(|most| present >= *most);
        most.map(|most| CapReached {
            cap: Cap::Waiters,
            most,
            present,
        })
    }
}
