//! Asks the policies, measures each answer, and keeps each failure for the policy's author.

use leasehold_domain::Effect;
use leasehold_domain::Facts;
use leasehold_domain::PolicyVerdict;
use leasehold_domain::Principal;
use leasehold_domain::Request;
use leasehold_policy_evaluate::EvaluationError;
use leasehold_policy_evaluate::Judgment;
use leasehold_policy_evaluate::evaluate;

use super::Decider;
use super::PolicyFailure;
use crate::failure::Fault;
use crate::governance::plan::PlanStep;

impl Decider {
    /// Asks the policies for the decision with the id `decision`.
    pub(super) fn ask_all(
        &self,
        steps: &[&PlanStep],
        request: &Request,
        principal: &Principal,
        facts: &Facts,
        decision: u128,
    ) -> Judgment {
        let mut began = self.clock.monotonic();
        let observe =
            |planned: &&PlanStep, verdict: &PolicyVerdict, error: Option<&EvaluationError>| {
                let took = self.clock.monotonic() - began;
                let counted = planned.counted.get_or_init(|| {
                    let policy = (&*verdict.policy, &*verdict.version);
                    self.metrics.of_policy(policy, verdict.enforcement)
                });
                counted.decided(&verdict.answer, took);
                if let Some(error) = error {
                    let failure = PolicyFailure {
                        at: facts.now,
                        binding: verdict.binding.clone(),
                        enforcement: verdict.enforcement,
                        operation: request.operation,
                        lock: request.lock.clone(),
                        kind: error.as_str(),
                        detail: error.to_string().into(),
                        decision,
                    };
                    let version = (verdict.policy.clone(), verdict.version.clone());
                    self.failures.add(version, failure);
                }
                began = self.clock.monotonic();
            };
        let judgment = evaluate(steps, request, principal, facts, observe);
        if let Some(Effect::Override { .. }) = judgment.effect {
            self.metrics.overridden();
        }
        judgment
    }
}

/// Returns why a policy has no verdict, as far as this principal may know.
pub(super) fn told(error: &EvaluationError, principal: &Principal) -> Fault {
    Fault {
        kind: error.as_str(),
        lasts: error.is_deterministic(),
        detail: Fault::is_told_to(principal).then(|| error.to_string().into()),
    }
}
