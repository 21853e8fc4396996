//! Decision: runs the policies, and is the only maker of a [`Permit`].

mod denial;
mod intent;
mod permit;

use std::sync::Arc;

use leasehold_domain::Cause;
use leasehold_domain::Clock;
use leasehold_domain::Command;
use leasehold_domain::Decision;
use leasehold_domain::Effect;
use leasehold_domain::Enforcement;
use leasehold_domain::Expectation;
use leasehold_domain::Facts;
use leasehold_domain::Operation;
use leasehold_domain::PolicyAnswer;
use leasehold_domain::PolicyLimits;
use leasehold_domain::PolicyVerdict;
use leasehold_domain::Principal;
use leasehold_domain::Request;
use leasehold_domain::limits::POLICIES_PER_DECISION_MAX;

pub(crate) use self::intent::Intent;
pub(crate) use self::permit::Denied;
pub(crate) use self::permit::Permit;
pub(crate) use self::permit::Refusal;

use self::denial::break_glass;
use self::denial::denial_of;
use self::denial::missing_role;
use self::denial::too_many;
use self::denial::unbound;
use super::ask::Caller;
use super::execute::Store;
use super::facts;
use crate::governance::plan::NamespacePlan;
use crate::governance::plan::PlanStep;
use crate::telemetry::Metrics;

/// Runs the policies.
#[derive(Debug)]
pub(crate) struct Decider {
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    /// `audit.renewals = "every"`.
    record_renewals: bool,
}

impl Decider {
    pub(crate) fn new(clock: Arc<dyn Clock>, metrics: Arc<Metrics>, record_renewals: bool) -> Self {
        Self {
            clock,
            metrics,
            record_renewals,
        }
    }

    /// Judges a request by the role that its operation needs, and by the policies bound to it.
    pub(crate) async fn judge(
        &self,
        store: &Store,
        namespace: &NamespacePlan,
        revision: u64,
        caller: &Caller,
        request: Request,
        intent: Intent,
    ) -> Result<Permit, Refusal> {
        let steps: Vec<&PlanStep> = namespace
            .steps(request.operation)
            .iter()
            .map(|step| &**step)
            .filter(|step| step.covers(&request.lock.lock))
            .collect();
        let now = self.clock.wall();
        let (facts, expect) = facts::gather(now, store, &steps, caller, &request, &intent).await?;
        let mut decision = Decision {
            id: rand::random(),
            effect: Effect::Allow,
            facts,
            verdicts: Vec::with_capacity(steps.len()),
            limits: PolicyLimits::default(),
            bindings_revision: revision,
            rule: None,
        };
        decision.effect = match missing_role(namespace, &caller.principal, request.operation) {
            Some(denial) => Effect::Deny(denial),
            None if steps.is_empty() => unbound(namespace, request.operation),
            None => self.ask_all(&steps, &caller.principal, &request, &mut decision),
        };
        let denial = match &decision.effect {
            Effect::Deny(denial) => Some(denial.clone()),
            Effect::Allow | Effect::Override { .. } => None,
        };
        let limits = decision.limits;
        if matches!(request.operation, Operation::Acquire | Operation::Renew) && denial.is_none() {
            let overridden = matches!(decision.effect, Effect::Override { .. });
            decision.rule = Some(namespace.rule(&request.lock.lock, limits, overridden));
        }
        let cause = self.cause(caller, request, Some(Arc::new(decision)));
        match denial {
            Some(denial) => {
                self.metrics.denied(denial.kind);
                Err(Refusal::Denied(Box::new(Denied::new(cause, denial))))
            }
            None => Ok(self.permit(cause, intent, limits, expect)),
        }
    }

    /// A permit for an operation that no policy judges: giving back, and leaving the queue.
    pub(crate) fn pass(&self, caller: &Caller, request: Request, intent: Intent) -> Permit {
        let cause = self.cause(caller, request, None);
        self.permit(cause, intent, PolicyLimits::default(), None)
    }

    fn cause(
        &self,
        caller: &Caller,
        request: Request,
        decision: Option<Arc<Decision>>,
    ) -> Arc<Cause> {
        Arc::new(Cause {
            request_id: caller.request_id.clone(),
            received: self.clock.wall(),
            principal: caller.principal.clone(),
            request,
            decision,
        })
    }

    fn permit(
        &self,
        cause: Arc<Cause>,
        intent: Intent,
        limits: PolicyLimits,
        expect: Option<Expectation>,
    ) -> Permit {
        Permit::new(Command {
            lock: cause.request.lock.clone(),
            action: intent.into_action(&cause.request, limits, self.record_renewals),
            cause: Some(cause),
            expect,
        })
    }

    /// Asks each policy in turn. All are asked even after a denial, so that the ledger shows the
    /// whole picture; the first that denies is the one that is answered.
    fn ask_all(
        &self,
        steps: &[&PlanStep],
        principal: &Principal,
        request: &Request,
        decision: &mut Decision,
    ) -> Effect {
        if steps.len() > POLICIES_PER_DECISION_MAX {
            return Effect::Deny(too_many());
        }
        let mut denial = None;
        let mut overridden = None;
        for step in steps {
            let verdict = self.ask(step, principal, request, &decision.facts);
            match (denial_of(step, &verdict.answer), step.enforcement) {
                (None, _) | (Some(_), Enforcement::Advisory) => {}
                (Some(refused), Enforcement::Overridable) => {
                    match break_glass(principal, request) {
                        Some(reason) => overridden = Some(reason),
                        None => denial = denial.or(Some(refused)),
                    }
                }
                (Some(refused), Enforcement::Mandatory) => denial = denial.or(Some(refused)),
            }
            if let (PolicyAnswer::Allow(limits), true) =
                (&verdict.answer, step.enforcement != Enforcement::Advisory)
            {
                decision.limits = decision.limits.tightest(*limits);
            }
            decision.verdicts.push(verdict);
        }
        match (denial, overridden) {
            (Some(denial), _) => Effect::Deny(denial),
            (None, Some(reason)) => {
                self.metrics.overridden();
                Effect::Override { reason }
            }
            (None, None) => Effect::Allow,
        }
    }

    fn ask(
        &self,
        step: &PlanStep,
        principal: &Principal,
        request: &Request,
        facts: &Facts,
    ) -> PolicyVerdict {
        let began = self.clock.monotonic();
        let failed = |message: String| PolicyAnswer::Error {
            message: message.into(),
            passed: step.on_error.passes(request.operation),
        };
        let (module, config, answer, fuel) = match &step.bound {
            Ok(bound) => {
                let evaluation = bound.decide(request, principal, facts);
                let answer = evaluation
                    .answer
                    .unwrap_or_else(|fault| failed(fault.to_string()));
                (
                    bound.module().digest(),
                    bound.config_digest(),
                    answer,
                    evaluation.fuel,
                )
            }
            Err(problem) => {
                let none = leasehold_domain::Digest([0; 32]);
                (none, none, failed(problem.clone()), 0)
            }
        };
        self.metrics.decided(
            &step.policy,
            &step.version,
            answer.as_str(),
            self.clock.monotonic() - began,
        );
        PolicyVerdict {
            binding: step.binding.clone(),
            policy: step.policy.clone(),
            version: step.version.clone(),
            module,
            config,
            enforcement: step.enforcement,
            answer,
            fuel,
        }
    }
}
