//! Changes of a lock's state: what watchers see and the ledger keeps.

use serde::Deserialize;
use serde::Serialize;

use crate::CounterFull;
use crate::DrainCause;
use crate::EndCause;
use crate::FencingToken;
use crate::LeaseHandle;
use crate::LockSettings;
use crate::Mode;
use crate::Owner;
use crate::RequestId;
use crate::Subject;
use crate::WallMillis;

/// One change of a lock's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Transition {
    /// A lease began.
    Granted {
        /// Its public name.
        handle: LeaseHandle,
        /// Whose.
        owner: Owner,
        /// How it is held.
        mode: Mode,
        /// Its token.
        token: FencingToken,
        /// How long it lasts without renewal.
        ttl_ms: u64,
        /// How long it stood in the queue, if it did.
        waited_ms: Option<u64>,
        /// The request that asked for it: the queueing one, if it waited.
        request_id: RequestId,
    },
    /// An acquire entered the queue.
    Queued {
        /// The waiter's public name; its lease will have the same.
        handle: LeaseHandle,
        /// Whose.
        owner: Owner,
        /// How it wants to hold the lock.
        mode: Mode,
        /// How many stand before it.
        position: u32,
    },
    /// A lease was lengthened, under another rule than before, or each renewal is recorded. The
    /// event's cause has the decision.
    Renewed {
        /// Which.
        handle: LeaseHandle,
        /// Its token, unchanged.
        token: FencingToken,
        /// Its time to live from now.
        ttl_ms: u64,
    },
    /// A lease must be given back by a deadline.
    Draining {
        /// Which.
        handle: LeaseHandle,
        /// Whose.
        owner: Owner,
        /// How long it may drain.
        remaining_ms: u64,
        /// Why.
        cause: DrainCause,
    },
    /// A lease ended.
    Ended {
        /// Which.
        handle: LeaseHandle,
        /// Whose.
        owner: Owner,
        /// How it was held.
        mode: Mode,
        /// Its token.
        token: FencingToken,
        /// How.
        cause: EndCause,
        /// When it began, for people.
        since: WallMillis,
        /// How long it was held.
        held_ms: u64,
        /// How late after its deadline the end was written; 0 unless it ended by time.
        late_ms: u64,
        /// Its renewals, summarised.
        renewals: Renewals,
    },
    /// A waiter left the queue without a lease.
    WaitEnded {
        /// Which.
        handle: LeaseHandle,
        /// Whose.
        owner: Owner,
        /// Whether its own lease ran out; else it was cancelled, or refused.
        expired: bool,
        /// The counter by which it was refused when its turn came.
        refused: Option<Box<CounterFull>>,
    },
    /// After an expiry, or a release with a cooldown, the lock is not granted for a while.
    CoolingDown {
        /// How long.
        remaining_ms: u64,
    },
    /// After a transfer the lock waits for its successor.
    Reserved {
        /// For whom.
        to: Subject,
        /// How long.
        remaining_ms: u64,
    },
    /// The settings changed.
    Configured {
        /// The new ones.
        settings: LockSettings,
    },
}

impl Transition {
    /// The transition's name in watches, metrics and the ledger.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Granted { .. } => "granted",
            Self::Queued { .. } => "queued",
            Self::Renewed { .. } => "renewed",
            Self::Draining { .. } => "draining",
            Self::Ended { cause, .. } => cause.as_str(),
            Self::WaitEnded { .. } => "wait-ended",
            Self::CoolingDown { .. } => "cooling-down",
            Self::Reserved { .. } => "reserved",
            Self::Configured { .. } => "configured",
        }
    }

    /// The lease or waiter that it is about.
    #[must_use]
    pub fn handle(&self) -> Option<LeaseHandle> {
        match self {
            Self::Granted { handle, .. }
            | Self::Queued { handle, .. }
            | Self::Renewed { handle, .. }
            | Self::Draining { handle, .. }
            | Self::Ended { handle, .. }
            | Self::WaitEnded { handle, .. } => Some(*handle),
            Self::CoolingDown { .. } | Self::Reserved { .. } | Self::Configured { .. } => None,
        }
    }
}

/// The renewals of one lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Renewals {
    /// How many.
    pub count: u64,
    /// The first, for people; 0 if there was none.
    pub first: WallMillis,
    /// The last, for people; 0 if there was none.
    pub last: WallMillis,
}
