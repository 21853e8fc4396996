//! What is to be done, and the action that comes of it.

use std::num::NonZeroU64;

use leasehold_domain::Action;
use leasehold_domain::LeaseId;
use leasehold_domain::LockSettings;
use leasehold_domain::Mode;
use leasehold_domain::PolicyLimits;
use leasehold_domain::Request;
use leasehold_domain::RevokeTarget;
use leasehold_domain::Subject;

/// When a use of break-glass ends, in milliseconds since 1970; `None` if there was none. The future of a
/// request holds several copies, and this takes half the bytes of an `Option<u64>`.
pub(crate) type OverrideEnd = Option<NonZeroU64>;

/// What is to be done once it is allowed. Durations come from the request and the limits.
#[derive(Debug, Clone)]
pub(crate) enum Intent {
    Acquire {
        lease_id: LeaseId,
        mode: Mode,
        ttl_ms: u64,
        /// How many leases the same request takes before this one.
        before: u32,
        /// Whether counters of overridable policies may be exceeded with the break-glass role: the
        /// store has refused it by one of them.
        overrides: bool,
        /// When the use of break-glass of the same terms ends.
        override_ends: OverrideEnd,
    },
    /// Keep a lease that was granted after a wait, by a decision that is newer than the wait.
    Confirm {
        lease_id: LeaseId,
        /// When the use of break-glass of the same terms ends.
        override_ends: OverrideEnd,
    },
    Renew {
        lease_id: LeaseId,
        /// When the use of break-glass of the same terms ends.
        override_ends: OverrideEnd,
    },
    Release {
        lease_id: LeaseId,
        /// 0 for none.
        cooldown_ms: u64,
    },
    Revoke {
        target: RevokeTarget,
    },
    Transfer {
        lease_id: LeaseId,
        to: Subject,
    },
    CancelWait {
        lease_id: LeaseId,
    },
    Configure(LockSettings),
}

impl Intent {
    /// Returns the same acquire, with which counters of overridable policies may be exceeded; `None`
    /// if it is that already, or no acquire.
    pub(super) fn overriding(&self) -> Option<Self> {
        let mut intent = self.clone();
        match &mut intent {
            Self::Acquire { overrides, .. } if !*overrides => {
                *overrides = true;
                Some(intent)
            }
            _ => None,
        }
    }

    /// The action that a permit carries: the request's durations, cut to the limits. `record`:
    /// whether a renewal gets an event of its own in any case.
    pub(super) fn into_action(
        self,
        request: &Request,
        limits: &PolicyLimits,
        record: bool,
    ) -> Action {
        let cut = |ttl_ms: u64| limits.max_ttl_ms.map_or(ttl_ms, |max| ttl_ms.min(max));
        match self {
            Self::Acquire {
                lease_id,
                mode,
                ttl_ms,
                before: _,
                overrides: _,
                override_ends: _,
            } => Action::AcquireOnce {
                lease_id,
                mode,
                ttl_ms: cut(ttl_ms),
                wait_ms: request.wait_ms,
                max_hold_ms: limits.max_hold_ms,
            },
            Self::Confirm {
                lease_id,
                override_ends: _,
            } => Action::Renew {
                lease_id,
                ttl_ms: request.ttl_ms.map(cut),
                max_hold_ms: limits.max_hold_ms,
                record: true,
            },
            Self::Renew {
                lease_id,
                override_ends: _,
            } => Action::Renew {
                lease_id,
                ttl_ms: request.ttl_ms.map(cut),
                max_hold_ms: limits.max_hold_ms,
                record,
            },
            Self::Release {
                lease_id,
                cooldown_ms: 0,
            } => Action::Release { lease_id },
            Self::Release {
                lease_id,
                cooldown_ms,
            } => Action::ReleaseWithCooldown {
                lease_id,
                cooldown_ms,
            },
            Self::Revoke { target } => Action::Revoke {
                target,
                grace_ms: request.grace_ms.unwrap_or(0),
            },
            Self::Transfer { lease_id, to } => Action::Transfer {
                lease_id,
                to,
                grace_ms: request.grace_ms.unwrap_or(0),
            },
            Self::CancelWait { lease_id } => Action::CancelWait { lease_id },
            Self::Configure(settings) => Action::Configure(settings),
        }
    }
}
