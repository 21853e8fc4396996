//! What came back from a backend: outcomes of commands, and views of locks.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

use crate::CapReached;
use crate::CounterFull;
use crate::FencingToken;
use crate::LeaseHandle;
use crate::LeaseId;
use crate::LeasePolicies;
use crate::LockRef;
use crate::LockSettings;
use crate::Mode;
use crate::Subject;
use crate::TeamName;
use crate::WallMillis;

/// The answer to one command. Durations count from the moment at which the command was applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Acquire: the caller holds the lock.
    Granted(Grant),
    /// Acquire: the caller stands in the queue.
    Queued {
        /// The waiter's lease: the one that a grant will have.
        lease_id: LeaseId,
        /// How many stand before it; 0 is next.
        position: u32,
        /// Who holds the lock now.
        holders: Vec<HolderView>,
        /// How long the waiter keeps its place unless it asks again.
        wait_remaining_ms: u64,
    },
    /// Acquire: somebody else holds it, or it is cooling down or reserved.
    Held {
        /// Who holds it now.
        holders: Vec<HolderView>,
        /// How many wait for it.
        waiters: u32,
        /// How long it will not be granted because a lease expired, or was released with a cooldown.
        cooldown_remaining_ms: u64,
        /// For whom a transfer reserved it.
        reserved_for: Option<Subject>,
    },
    /// Renew: the lease was lengthened.
    Renewed(Grant),
    /// Renew: the lease is draining, and was not lengthened.
    Draining(Grant),
    /// Release: the lease is over (or was released before).
    Released,
    /// Renew, release, transfer: that lease is no longer, or never was. Acquire: the lease that
    /// this request was granted before has ended.
    LeaseLost(EndCause),
    /// Renew, release, transfer, cancel: the lease is another principal's.
    NotHolder,
    /// Revoke: how many leases were ended or told to drain.
    Revoked {
        /// Their handles.
        leases: Vec<LeaseHandle>,
    },
    /// Transfer: the holder drains, or the successor may come now.
    Transferring {
        /// How long the holder may drain.
        drain_remaining_ms: u64,
    },
    /// Cancel-wait: that acquire stands in the queue no more. Others of its request may.
    Cancelled,
    /// Configure: the settings hold.
    Configured,
    /// Tick: done.
    Ticked,
    /// The command could never be carried out; nothing was changed.
    Rejected(Rejection),
    /// The state that the decision saw has changed; decide again. Nothing was changed.
    Stale,
    /// All-or-nothing: another command of the batch failed, so this one was not carried out.
    NotAttempted,
    /// The namespace's locks are in another store, or on their way. Nothing was changed.
    Moved,
    /// Export: the record, and the floor of this write's tokens.
    Exported {
        /// None if the lock has no record.
        record: Option<Arc<[u8]>>,
        /// Above every token that the store has given out for a lock without a record.
        token_floor: u64,
    },
    /// Import: the record is in its place.
    Imported,
    /// Evict: the record is gone.
    Evicted,
    /// Acquire: as many leases carry a counter as may. The same write has recorded it as a denial
    /// of the counter's policy.
    CounterFull(Box<CounterFull>),
}

/// Why a command could never be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rejection {
    /// The queue has [`crate::limits::WAITERS_PER_LOCK_MAX`] waiters.
    QueueFull,
    /// More permits than the lock's limit.
    TooManyPermits,
    /// The `request_id` was used for another request of the same principal on this lock.
    RequestIdReused,
    /// The lock's tokens are used up, or the command has no cause. Never seen by honest callers.
    Impossible,
    /// Acquire: nothing stands under the `request_id`, and it was made more than
    /// [`crate::limits::REQUEST_ID_AGE_MS_MAX`] ago, so that nobody knows whether it had a lease.
    RequestIdTooOld,
    /// Acquire: the namespace has as much as its cap allows.
    CapReached(CapReached),
}

/// A lease as its holder sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The holder's secret.
    pub lease_id: LeaseId,
    /// For the protected resource.
    pub token: FencingToken,
    /// How it is held.
    pub mode: Mode,
    /// How long the lease lasts without renewal.
    pub ttl_ms: u64,
    /// How long it still lasts.
    pub remaining_ms: u64,
    /// How long it may still be held, renewals included, if policies bound that.
    pub hold_remaining_ms: Option<u64>,
    /// Whether it must be given back soon.
    pub state: LeaseState,
    /// Whether the grant stood already: a repeated request got its old answer.
    pub repeated: bool,
    /// Whether the lease waited in the queue before it was granted.
    pub waited: bool,
}

/// Whether a lease is in full force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LeaseState {
    /// In full force.
    Active,
    /// To be given back within `remaining_ms`; renewals do not lengthen it.
    Draining {
        /// Until it is taken.
        remaining_ms: u64,
        /// Why.
        cause: DrainCause,
    },
}

/// Why a lease drains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DrainCause {
    /// Somebody revoked it gracefully.
    Revoked {
        /// Who.
        by: Subject,
    },
    /// It is being handed over.
    Transfer {
        /// To whom.
        to: Subject,
    },
}

/// How a lease ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EndCause {
    /// Its holder gave it back.
    Released,
    /// By time.
    Expired,
    /// By its longest hold, set by policy.
    HeldTooLong,
    /// By somebody else.
    Revoked,
    /// It was handed over.
    Transferred,
    /// It was granted from the queue when nobody was there any more to take it.
    GivenBack,
    /// The record does not know that lease (it ended long ago, or never was).
    Unknown,
    /// It goes on in another store, to which its namespace was moved.
    Moved,
}

impl EndCause {
    /// The cause's name in the API, metrics and the ledger.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::Expired => "expired",
            Self::HeldTooLong => "held-too-long",
            Self::Revoked => "revoked",
            Self::Transferred => "transferred",
            Self::GivenBack => "given-back",
            Self::Unknown => "unknown",
            Self::Moved => "moved",
        }
    }
}

/// The public identity of a holder or waiter. Never holds the lease's secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Who.
    pub subject: Subject,
    /// Of which team.
    pub team: Option<TeamName>,
    /// Which process, for people.
    pub instance: Option<Box<str>>,
    /// The caller's own labels.
    pub labels: BTreeMap<Box<str>, Box<str>>,
    /// What the holder publishes.
    pub value: Option<Box<str>>,
    /// Why it wants the lock.
    pub reason: Option<Box<str>>,
}

/// A holder as everybody may see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HolderView {
    /// The lease's public name.
    pub handle: LeaseHandle,
    /// Who.
    pub owner: Owner,
    /// How it is held.
    pub mode: Mode,
    /// The current token.
    pub token: FencingToken,
    /// Since when, for people.
    pub since: WallMillis,
    /// How long it still lasts.
    pub remaining_ms: u64,
    /// Whether it drains.
    pub state: LeaseState,
    /// The policy versions that judged it. `None` in outcomes and in what policies are shown, and
    /// of a lease whose grant a build recorded that did not keep them.
    pub policies: Option<Arc<LeasePolicies>>,
}

/// A waiter as everybody may see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaiterView {
    /// The waiter's public name; its lease will have the same.
    pub handle: LeaseHandle,
    /// Who.
    pub owner: Owner,
    /// How it wants to hold the lock.
    pub mode: Mode,
    /// Since when, for people.
    pub since: WallMillis,
}

/// A lock as everybody may see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockView {
    /// Which.
    pub lock: LockRef,
    /// How often the record was written; 0 if there is no record.
    pub revision: u64,
    /// Its settings.
    pub settings: LockSettings,
    /// Who holds it.
    pub holders: Vec<HolderView>,
    /// Who waits, first first.
    pub queue: Vec<WaiterView>,
    /// How long it will not be granted because a lease expired, or was released with a cooldown.
    pub cooldown_remaining_ms: u64,
    /// For whom a transfer reserved it, and for how long.
    pub reserved_for: Option<(Subject, u64)>,
    /// The greatest token given out for it that the record knows; 0 if none.
    pub last_token: FencingToken,
    /// How old this view may be; 0 for a linearizable read.
    pub stale_ms: u64,
}

/// How many leases a principal and its team hold in a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Leases of the subject.
    pub subject_leases: u32,
    /// Leases of the team; 0 for a principal without one.
    pub team_leases: u32,
}
