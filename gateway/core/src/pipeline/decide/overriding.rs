//! Break-glass: for how long a principal passes the denials of overridable policies.
//!
//! A use of break-glass begins with an acquire, or with the first renewal that needs it, and lasts for
//! the time that this request asks for. Requests of the same subject, lock, reason and ticket continue
//! it and do not move its end. The leases that it allows end then at the latest: that is a longest
//! hold, which the lock machine enforces.

use std::num::NonZeroU64;

use leasehold_domain::Denial;
use leasehold_domain::DenialKind;
use leasehold_domain::Effect;
use leasehold_domain::Enforcement;
use leasehold_domain::Operation;
use leasehold_domain::PolicyAnswer;
use leasehold_domain::PolicyLimits;
use leasehold_domain::PolicyVerdict;
use leasehold_domain::Request;
use leasehold_domain::WallMillis;
use leasehold_domain::limits::OVERRIDE_TTL_MS_DEFAULT;

use super::Decider;
use crate::failure::Failure;
use crate::pipeline::intent::Intent;
use crate::store_client::StoreClient;

impl Decider {
    /// Makes every use of break-glass need a ticket.
    #[must_use]
    pub fn requiring_tickets(mut self, required: bool) -> Self {
        self.requires_tickets = required;
        self
    }

    /// Returns effect and limits of a decision whose effect passes a denial by break-glass: the lease
    /// ends with the use. The decision denies after all if a required ticket is missing or the use has
    /// ended.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(super) async fn bounded(
        &self,
        store: &StoreClient,
        (request, intent): (&Request, &Intent),
        effect: Effect,
        (limits, verdicts): (&PolicyLimits, &[PolicyVerdict]),
        now: WallMillis,
    ) -> Result<(Effect, PolicyLimits), Failure> {
        if self.requires_tickets && !has_ticket(request) {
            let denial = denial(
                verdicts,
                "override-ticket-missing",
                "passing it by break-glass takes a ticket",
            );
            return Ok((Effect::Deny(denial), limits.clone()));
        }
        let asked_ms = request.override_ttl_ms().unwrap_or(OVERRIDE_TTL_MS_DEFAULT);
        let left_ms = left_of_use(intent, asked_ms, now);
        if left_ms == 0 {
            let denial = denial(
                verdicts,
                "override-expired",
                "the time for which it could be passed by break-glass is over: acquire the lock anew",
            );
            return Ok((Effect::Deny(denial), limits.clone()));
        }
        self.metrics.overridden();
        let held_ms = match (request.operation, request.lease) {
            (Operation::Acquire, _) => 0,
            (Operation::Renew, Some(lease)) => {
                let holder = store.holder(&request.lock, lease).await?;
                holder.map_or(0, |holder| now.0.saturating_sub(holder.since.0))
            }
            // They begin no hold.
            _ => return Ok((effect, limits.clone())),
        };
        let bound = PolicyLimits {
            max_hold_ms: Some(held_ms.saturating_add(left_ms)),
            ..PolicyLimits::default()
        };
        Ok((effect, limits.tightest(&bound)))
    }

    /// Returns whether a request has what a use of break-glass needs besides role and reason.
    pub(crate) fn may_override(&self, request: &Request) -> bool {
        !self.requires_tickets || has_ticket(request)
    }
}

/// Returns for how long the use of break-glass that a request begins or continues still lasts. `asked_ms`:
/// how long one lasts that it begins.
fn left_of_use(intent: &Intent, asked_ms: u64, now: WallMillis) -> u64 {
    let left_ms = |ends: NonZeroU64| ends.get().saturating_sub(now.0);
    match intent {
        Intent::Renew { override_ends, .. } => override_ends.map_or(asked_ms, left_ms),
        Intent::Acquire { override_ends, .. } | Intent::Confirm { override_ends, .. } => {
            let left_ms = override_ends.map(left_ms);
            // One that has ended is begun anew.
            let running = left_ms.filter(|left_ms| *left_ms > 0);
            running.map_or(asked_ms, |left_ms| left_ms.min(asked_ms))
        }
        _ => asked_ms,
    }
}

fn has_ticket(request: &Request) -> bool {
    let ticket = request.ticket();
    ticket.is_some_and(|ticket| !ticket.trim().is_empty())
}

/// Returns the denial by the first overridable policy that denies, with what is missing to pass it.
fn denial(verdicts: &[PolicyVerdict], code: &str, missing: &str) -> Denial {
    let denies = |verdict: &&PolicyVerdict| {
        let is_denial = !matches!(verdict.answer, PolicyAnswer::Allow(_));
        is_denial && verdict.enforcement == Enforcement::Overridable
    };
    let policy = verdicts.iter().find(denies).map(|one| one.policy.clone());
    let by = policy.as_deref().unwrap_or("a counter");
    Denial {
        kind: DenialKind::Policy,
        code: code.into(),
        message: format!("denied by {by}; {missing}").into(),
        policy,
        retry_after_ms: None,
    }
}
