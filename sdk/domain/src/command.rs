//! What the gateway asks of a backend.

use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

use crate::Caps;
use crate::Cause;
use crate::Counter;
use crate::LeaseHandle;
use crate::LeaseId;
use crate::LockRef;
use crate::Mode;
use crate::Subject;
use crate::Usage;

/// One command for one lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Which lock.
    pub lock: LockRef,
    /// What to do.
    pub action: Action,
    /// Who asked and why. None only for what nobody asks of one lock: [`Action::Tick`], and the
    /// steps of a namespace's move.
    pub cause: Option<Arc<Cause>>,
    /// The state that the decision saw; the command is refused with
    /// [`crate::Outcome::Stale`] if it is no longer so.
    pub expect: Option<Expectation>,
}

/// What must still be true when the command runs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Expectation {
    /// The record's revision that the policy saw; 0 if there was no record.
    pub revision: Option<u64>,
    /// The usage that the policy saw.
    pub usage: Option<Usage>,
    /// The caps of the namespace. An acquire that would exceed one is refused with
    /// [`crate::Rejection::CapReached`]; nothing else looks at them.
    pub caps: Option<Caps>,
    /// The counters that the lease of an acquire will carry, each key once. An acquire that would
    /// make more leases carry one than its maximum is refused with
    /// [`crate::Outcome::CounterFull`]; nothing else looks at them.
    pub counters: Vec<Counter>,
}

/// What to do with a lock. All durations are milliseconds, already inside the limits of
/// [`crate::limits`] and of the policies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Take the lock, or enter its queue if `wait_ms` is given.
    Acquire {
        /// The new lease's secret, drawn by the gateway.
        lease_id: LeaseId,
        /// How to hold it.
        mode: Mode,
        /// How long the lease lasts without renewal.
        ttl_ms: u64,
        /// How long to stand in the queue; none to only try.
        wait_ms: Option<u64>,
        /// The longest that policies let this lease be held, renewals included.
        max_hold_ms: Option<u64>,
    },
    /// Lengthen a lease to `ttl_ms` from now, never beyond its longest hold.
    Renew {
        /// Which.
        lease_id: LeaseId,
        /// The new time to live; none keeps the lease's own.
        ttl_ms: Option<u64>,
        /// The longest hold by the deciding version, if it has one.
        max_hold_ms: Option<u64>,
        /// Whether this renewal gets an event of its own in any case (`audit.renewals =
        /// "every"`). Else it gets one if the decision's rule is another than the lease's, or is
        /// summarised into the lease's end.
        record: bool,
    },
    /// Give a lease back.
    Release {
        /// Which.
        lease_id: LeaseId,
    },
    /// End leases of others: at once, or after a drain.
    Revoke {
        /// Which.
        target: RevokeTarget,
        /// How long the holder may drain; 0 for at once.
        grace_ms: u64,
    },
    /// Hand a lease to a named successor after a drain.
    Transfer {
        /// Which.
        lease_id: LeaseId,
        /// To whom.
        to: Subject,
        /// How long the holder may drain; 0 for at once.
        grace_ms: u64,
    },
    /// The client of an acquire has gone: leave the queue, or give back a grant that nobody is
    /// there to take. Does nothing while another acquire with the same `request_id` is not
    /// cancelled: its client has asked again.
    CancelWait {
        /// The id that the cancelled acquire drew, which need not be the one it was given.
        lease_id: LeaseId,
    },
    /// Only expire what is due, and grant what has become free.
    Tick,
    /// Change the lock's settings.
    Configure(LockSettings),
    /// Read the whole record, to take it to another store or to see whether that takes it. Changes
    /// nothing.
    Export,
    /// Put a record in its place that was exported from another store; again, if the move was cut
    /// off: time stood still for it, and begins to run now. Only while the namespace arrives in
    /// this store by the same move.
    Import {
        /// The number of the move.
        era: u64,
        /// The exported record.
        record: Arc<[u8]>,
    },
    /// Forget a record that was taken to another store. Only when the namespace has left this store
    /// by the same move.
    Evict {
        /// The number of the move.
        era: u64,
    },
    /// Release a lease and start a cooldown: the lock is not granted again for `cooldown_ms`,
    /// as after an expiry. The cooldown never lasts beyond the lease's longest hold, and a lease
    /// that drains leaves none. [`Action::Release`] is stored for a release without a cooldown.
    ReleaseWithCooldown {
        /// The lease to release.
        lease_id: LeaseId,
        /// The length of the cooldown, at most [`crate::limits::COOLDOWN_MS_MAX`].
        cooldown_ms: u64,
    },
    /// Acquire a lock as [`Action::Acquire`] does, but grant nothing to a late duplicate: if the
    /// lease of the same request has ended, answer how, and refuse a request id that is too old
    /// for that to be known. Gateways send this one. [`Action::Acquire`] is what older logs hold,
    /// and keeps its meaning when they are replayed.
    AcquireOnce {
        /// The new lease's secret, drawn by the gateway.
        lease_id: LeaseId,
        /// How to hold it.
        mode: Mode,
        /// How long the lease lasts without renewal.
        ttl_ms: u64,
        /// How long to stand in the queue; `None` to only try.
        wait_ms: Option<u64>,
        /// The longest that policies let this lease be held, renewals included.
        max_hold_ms: Option<u64>,
    },
}

impl Action {
    /// Whether it is an acquire that stands in the queue if it must.
    #[must_use]
    pub fn may_wait(&self) -> bool {
        match self {
            Self::Acquire { wait_ms, .. } | Self::AcquireOnce { wait_ms, .. } => wait_ms.is_some(),
            _ => false,
        }
    }
}

/// Whose leases a revocation ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RevokeTarget {
    /// All holders.
    All,
    /// The lease with this public handle.
    Lease(LeaseHandle),
    /// All leases of this subject.
    Subject(Subject),
}

/// A lock's own settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockSettings {
    /// How many permits shared holders may have together; at least 1.
    pub limit: u32,
    /// How long the lock is not granted after a lease *expired*.
    pub cooldown_ms: u64,
    /// For people.
    pub description: Box<str>,
}

impl Default for LockSettings {
    /// Shared up to the most permits, no cooldown.
    fn default() -> Self {
        Self {
            limit: crate::limits::PERMITS_MAX,
            cooldown_ms: 0,
            description: Box::default(),
        }
    }
}

/// Whether one failure stops a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Atomicity {
    /// Each command has its own outcome (batch renewal).
    #[default]
    Each,
    /// If any acquire is not granted, none is (multi-lock acquire). Nothing is queued.
    AllOrNothing,
}
