//! What the gateway knows and the policy may use.

use crate::Mode;
use crate::Pairs;
use crate::UtcTime;

/// What the gateway knows and the policy may use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The gateway's wall clock.
    pub now: UtcTime,
    /// The lock's state, if the manifest says `needs_lock`.
    pub lock: Option<LockView>,
    /// The caller's usage, if the manifest says `needs_usage`.
    pub usage: Option<Usage>,
}

/// The lock's state. The command is executed only if this is still so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LockView {
    /// How often its record was written; 0 if there is none.
    pub revision: u64,
    /// How many permits shared holders may have together.
    pub limit: u32,
    /// Who holds it.
    pub holders: Vec<Holder>,
    /// How many wait for it.
    pub waiters: u32,
    /// How long it will not be granted because a lease expired.
    pub cooldown_remaining_ms: u64,
    /// For whom a transfer reserves it.
    pub reserved_for: Option<String>,
    /// The greatest fencing token given out for it; 0 if none.
    pub last_token: u64,
}

/// A lease on the lock, as everybody may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The lease's public handle.
    pub lease: String,
    /// Who holds it.
    pub subject: String,
    /// Of which team.
    pub team: Option<String>,
    /// Which process of the subject.
    pub instance: Option<String>,
    /// The labels that it was acquired with.
    pub labels: Pairs,
    /// Why it was acquired.
    pub reason: Option<String>,
    /// How it is held.
    pub mode: Mode,
    /// The fencing token.
    pub token: u64,
    /// Since when.
    pub since: UtcTime,
    /// How long it still lasts without renewal.
    pub remaining_ms: u64,
    /// Whether it must be given back by a deadline.
    pub draining: bool,
}

/// How many leases the caller holds in the namespace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Leases of the subject.
    pub subject_leases: u32,
    /// Leases of its team; 0 for a principal without one.
    pub team_leases: u32,
}
