//! Outcomes, as far as the model can foretell them.

use leasehold_domain::EndCause;
use leasehold_domain::LeaseId;
use leasehold_domain::Outcome;
use leasehold_domain::Rejection;

/// What of an outcome can be foretold without tokens and names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Granted(LeaseId, u64, bool),
    Queued(LeaseId, u32),
    Held(usize, u32, u64, Option<String>),
    Renewed(u64),
    Draining(u64),
    Released,
    Lost(EndCause),
    NotHolder,
    Revoked(usize),
    Transferring(u64),
    Cancelled,
    Configured,
    Ticked,
    Rejected(Rejection),
    NotAttempted,
    Stale,
}

impl From<&Outcome> for Answer {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Granted(g) => Self::Granted(g.lease_id, g.remaining_ms, g.repeated),
            Outcome::Queued {
                lease_id, position, ..
            } => Self::Queued(*lease_id, *position),
            Outcome::Held {
                holders,
                waiters,
                cooldown_remaining_ms,
                reserved_for,
            } => {
                let to = reserved_for.as_ref().map(ToString::to_string);
                Self::Held(holders.len(), *waiters, *cooldown_remaining_ms, to)
            }
            Outcome::Renewed(g) => Self::Renewed(g.remaining_ms),
            Outcome::Draining(g) => Self::Draining(g.remaining_ms),
            Outcome::Released => Self::Released,
            Outcome::LeaseLost(cause) => Self::Lost(*cause),
            Outcome::NotHolder => Self::NotHolder,
            Outcome::Revoked { leases } => Self::Revoked(leases.len()),
            Outcome::Transferring { drain_remaining_ms } => Self::Transferring(*drain_remaining_ms),
            Outcome::Cancelled => Self::Cancelled,
            Outcome::Configured => Self::Configured,
            Outcome::Ticked => Self::Ticked,
            Outcome::Rejected(rejection) => Self::Rejected(*rejection),
            Outcome::Stale => Self::Stale,
            Outcome::NotAttempted => Self::NotAttempted,
            other => panic!("the model's namespace is not moved: {other:?}"),
        }
    }
}
