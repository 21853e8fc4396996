//! What a run has seen: every call, every fault, every recovery, and what the ledgers say.
//! All times are microseconds on the harness's one monotonic clock.

use serde::Deserialize;
use serde::Serialize;

/// A run, whole. Checks are functions of this and of nothing else.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// In the order in which they ended.
    pub calls: Vec<Call>,
    /// In the order in which they were healed.
    pub faults: Vec<Fault>,
    /// After each fault, for each gateway.
    pub recoveries: Vec<Recovery>,
    /// How often another node was seen to lead.
    pub leader_changes: u64,
    /// Processes that ended although no fault asked for it, and ledgers that cannot be read.
    pub exits: Vec<String>,
    /// One for each gateway, read after the last fault.
    pub ledgers: Vec<Ledger>,
    /// What watchers were shown, in the order in which they saw it.
    #[serde(default)]
    pub sights: Vec<Sight>,
}

/// One request of one client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Who asked; a client has one call under way at a time.
    pub client: u32,
    /// Which gateway was asked.
    pub gateway: u32,
    /// About which lock.
    pub lock: String,
    /// The key of the acquire that it is, or whose lease it is about; empty for others.
    pub key: String,
    /// What was asked.
    pub ask: Ask,
    /// Before the request was sent.
    pub start_us: u64,
    /// After the answer had come, or was given up.
    pub end_us: u64,
    /// What came back.
    pub answer: Answer,
}

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// Take the lock alone, by an idempotency key.
    Acquire {
        /// For how long.
        ttl_ms: u64,
        /// How long to wait for it; 0 only tries.
        wait_ms: u64,
    },
    /// Lengthen the lease.
    Renew {
        /// For how long from now.
        ttl_ms: u64,
    },
    /// Give it back.
    Release,
    /// Is this token current?
    Validate {
        /// The token.
        token: u64,
    },
    /// Who holds the lock, linearizably?
    Read,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// Done.
    Ok(Done),
    /// The gateway says no, and that nothing has changed.
    Failed {
        /// The problem's code; `connect` if nobody listened.
        code: String,
        /// Who stands in the way, or how the lease has ended.
        seen: Option<Seen>,
    },
    /// Nobody knows whether it was done.
    Unknown {
        /// The problem's code, or what went wrong.
        why: String,
    },
}

/// What a successful call told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Done {
    /// A lease.
    Granted {
        /// Its fencing token.
        token: u64,
        /// How long it lasts at the least from when the request was sent.
        lasts_ms: u64,
        /// Whether an earlier request with this key had got it.
        repeated: bool,
    },
    /// It lasts longer.
    Renewed {
        /// Its fencing token.
        token: u64,
        /// How long it lasts at the least from when the request was sent.
        lasts_ms: u64,
    },
    /// It is over.
    Released,
    /// Whether the token is current.
    Validated {
        /// Whether it is.
        current: bool,
    },
    /// Who holds the lock.
    Viewed {
        /// None if nobody does.
        holder: Option<Seen>,
    },
}

/// A holder, as others see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The key of its acquire.
    pub key: String,
    /// Its fencing token.
    pub token: u64,
}

/// A fault, from its injection to its healing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Its kind, as on the command line.
    pub kind: String,
    /// On whom.
    pub target: String,
    /// When it began.
    pub start_us: u64,
    /// When it was healed.
    pub end_us: u64,
}

/// How long a gateway took to grant again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// Which gateway.
    pub gateway: u32,
    /// When the fault before was healed.
    pub healed_us: u64,
    /// When it first granted after that; none if it did not in time.
    pub granted_us: Option<u64>,
}

/// What one gateway's ledger has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// Which gateway.
    pub gateway: u32,
    /// Digest of each event, in order.
    pub rows: Vec<u64>,
    /// Every grant in it: key and token.
    pub grants: Vec<(String, u64)>,
    /// Whether it verifies.
    pub intact: bool,
    /// What happened to contended locks, in order.
    #[serde(default)]
    pub turns: Vec<Turn>,
}

/// One transition of a lock, as ledgers and watchers are told of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The place of its event.
    pub cursor: u64,
    /// Which lock.
    pub lock: String,
    /// `granted`, `queued`, `released`…
    pub change: String,
    /// Of the lease or waiter that it is about.
    pub handle: Option<String>,
    /// The lease's token.
    pub token: Option<u64>,
}

/// A transition in a ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// The key of the acquire by which somebody holds or waits; empty if nobody is named.
    pub key: String,
    /// What happened.
    pub told: Told,
}

/// Something that a watcher was shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sight {
    /// Who watches.
    pub watcher: u32,
    /// At which gateway.
    pub gateway: u32,
    /// When.
    pub at_us: u64,
    /// What.
    pub shown: Shown,
}

/// What a watch shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Shown {
    /// It begins after this event.
    Begun {
        /// The event's place.
        cursor: u64,
    },
    /// All transitions of one event. What a watch that broke off showed of an event without its id
    /// is not seen: it is shown again.
    Event(Vec<Told>),
    /// Events were missed, and the watcher is told so.
    Resync {
        /// Why.
        reason: String,
        /// After which event it goes on; none if the watch ends.
        cursor: Option<u64>,
    },
    /// The watch broke off, or was silent for long.
    Cut,
}

impl Call {
    /// Whether the call may have had an effect that nobody was told of.
    #[must_use]
    pub fn is_open(&self) -> bool {
        match (&self.answer, &self.ask) {
            (Answer::Unknown { .. }, _) => true,
            // A wait that ended keeps its place for a while, and a grant may come to it.
            (Answer::Failed { code, .. }, Ask::Acquire { wait_ms, .. }) => {
                *wait_ms > 0 && code != "connect"
            }
            _ => false,
        }
    }

    /// The token and the least end, on the harness's clock, of the lease that the answer promised.
    #[must_use]
    pub fn promised(&self) -> Option<(u64, u64)> {
        match self.answer {
            Answer::Ok(
                Done::Granted {
                    token, lasts_ms, ..
                }
                | Done::Renewed { token, lasts_ms },
            ) => Some((token, self.start_us + lasts_ms * 1_000)),
            _ => None,
        }
    }
}
