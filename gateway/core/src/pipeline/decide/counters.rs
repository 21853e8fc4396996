//! Counters: which an acquire carries, and the answer if one is full.

use std::sync::Arc;

use leasehold_domain::Counter;
use leasehold_domain::CounterFull;
use leasehold_domain::Decision;
use leasehold_domain::Effect;
use leasehold_domain::Enforcement;
use leasehold_domain::Principal;
use leasehold_domain::Request;
use leasehold_policy_evaluate::JudgedCounter;
use leasehold_policy_evaluate::break_glass;

use super::Decider;
use super::Denied;
use crate::caller::Caller;
use crate::failure::Failure;
use crate::pipeline::intent::Intent;

impl Decider {
    /// Returns the counters that the lease will carry. If the store has refused the acquire by the
    /// counter of an overridable policy, a principal with the break-glass role exceeds it, which is
    /// on record as the effect.
    pub(super) fn carried(
        effect: Effect,
        counters: Vec<JudgedCounter>,
        (request, principal): (&Request, &Principal),
        intent: &Intent,
    ) -> (Effect, Vec<Counter>) {
        let Intent::Acquire { overrides, .. } = intent else {
            return (effect, Vec::new());
        };
        let reason = break_glass(principal, request).filter(|_| *overrides);
        let exceeds = counters.iter().any(|judged| judged.is_overridable);
        let effect = match (effect, reason) {
            (Effect::Allow, Some(reason)) if exceeds => Effect::Override {
                reason: reason.into(),
            },
            (effect, _) => effect,
        };
        let carried = counters.into_iter().map(|judged| match reason {
            // It is counted all the same.
            Some(_) if judged.is_overridable => Counter {
                maximum: u32::MAX,
                ..judged.counter
            },
            _ => judged.counter,
        });
        (effect, carried.collect())
    }

    /// Returns the answer to an acquire that a counter refused, which the store has recorded in the
    /// same write.
    pub(crate) fn counter_full(
        &self,
        decision: Option<Arc<Decision>>,
        full: &CounterFull,
    ) -> Failure {
        let denial = full.denial();
        self.metrics.denied(denial.kind);
        let decision = decision.map(|decision| refused(&decision, full));
        Failure::denied(denial, decision, None)
    }

    /// Returns the denial of an acquire that waited, and that a counter refused when its turn came:
    /// to be made durable before it is answered.
    pub(crate) fn waiter_refused(
        &self,
        caller: &Caller,
        request: Request,
        decision: Option<&Arc<Decision>>,
        full: &CounterFull,
    ) -> Denied {
        let denial = full.denial();
        self.metrics.denied(denial.kind);
        let decision = decision.map(|decision| refused(decision, full));
        Denied::new(self.cause(caller, request, decision), denial, None)
    }
}

/// Returns whether a principal with the break-glass role may exceed the counter: every policy that
/// carries it is overridable, and a reason is given.
pub(crate) fn may_exceed(
    (principal, request): (&Principal, &Request),
    decision: Option<&Arc<Decision>>,
    full: &CounterFull,
) -> bool {
    let verdicts = decision.into_iter().flat_map(|decision| &decision.verdicts);
    let mut carrying = verdicts.filter(|verdict| *verdict.policy == *full.key.policy);
    break_glass(principal, request).is_some()
        && carrying.all(|verdict| verdict.enforcement != Enforcement::Mandatory)
}

/// The decision that allowed an acquire, as it is after a counter has refused it.
fn refused(decision: &Decision, full: &CounterFull) -> Arc<Decision> {
    Arc::new(Decision {
        effect: Effect::Deny(full.denial()),
        ..decision.clone()
    })
}
