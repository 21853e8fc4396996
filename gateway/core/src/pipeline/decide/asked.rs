//! One policy is asked, and what its answer means.

use leasehold_domain::Decision;
use leasehold_domain::Denial;
use leasehold_domain::Digest;
use leasehold_domain::Enforcement;
use leasehold_domain::PolicyAnswer;
use leasehold_domain::PolicyVerdict;
use leasehold_domain::Principal;
use leasehold_domain::Request;
use leasehold_policy_host::PolicyFault;

use super::Decider;
use super::PolicyFailure;
use super::denial::break_glass;
use super::denial::denial_of;
use crate::failure::Fault;
use crate::governance::plan::PlanStep;

/// A denial, and why the policy that it names has no verdict, if it has none.
pub(super) type Refused = (Denial, Option<Fault>);

/// What the answers of the policies come to.
#[derive(Debug, Default)]
pub(super) struct Sum {
    /// The first denial that counts.
    pub(super) denial: Option<Refused>,
    /// The reason with which a break-glass principal passed a denial.
    pub(super) overridden: Option<Box<str>>,
}

impl Sum {
    /// Adds one policy's answer.
    pub(super) fn add(
        &mut self,
        step: &PlanStep,
        (verdict, fault): (&PolicyVerdict, Option<PolicyFault>),
        principal: &Principal,
        request: &Request,
    ) {
        if !step.decides() {
            return;
        }
        let Some(denial) = denial_of(step, &verdict.answer, fault.as_ref()) else {
            return;
        };
        if step.enforcement == Enforcement::Overridable
            && let Some(reason) = break_glass(principal, request)
        {
            self.overridden = Some(reason);
            return;
        }
        if self.denial.is_none() {
            let failed = matches!(verdict.answer, PolicyAnswer::Error { .. });
            let fault = failed.then(|| told(step, fault.as_ref(), principal));
            self.denial = Some((denial, fault));
        }
    }
}

/// Why a policy failed, as far as a principal may know.
fn told(step: &PlanStep, fault: Option<&PolicyFault>, principal: &Principal) -> Fault {
    let whole = match (fault, &step.bound) {
        (Some(fault), _) => fault.to_string(),
        (None, Err(problem)) => problem.clone(),
        (None, Ok(_)) => String::new(),
    };
    Fault {
        kind: kind_of(fault),
        // A module that cannot be loaded stays so until somebody writes another binding.
        lasts: fault.is_none_or(PolicyFault::is_deterministic),
        detail: Fault::is_told_to(principal).then(|| whole.into()),
    }
}

/// The kind of a failure. Without a fault the policy could not be loaded.
fn kind_of(fault: Option<&PolicyFault>) -> &'static str {
    fault.map_or("not-loaded", PolicyFault::as_str)
}

impl Decider {
    /// Asks one policy, for a decision that is being made.
    pub(super) fn ask(
        &self,
        step: &PlanStep,
        principal: &Principal,
        request: &Request,
        decision: &Decision,
    ) -> (PolicyVerdict, Option<PolicyFault>) {
        let began = self.clock.monotonic();
        let failed = |message: String| PolicyAnswer::Error {
            message: message.into(),
            passed: step.on_error.passes(request.operation),
        };
        let (mut module, mut config, mut fuel) = (Digest([0; 32]), Digest([0; 32]), 0);
        let (answer, fault) = match &step.bound {
            Ok(bound) => {
                let evaluation = bound.decide(request, principal, &decision.facts);
                (module, config) = (bound.module().digest(), bound.config_digest());
                fuel = evaluation.fuel;
                match evaluation.answer {
                    Ok(answer) => (answer, None),
                    Err(fault) => (failed(fault.to_string()), Some(fault)),
                }
            }
            Err(problem) => (failed(problem.clone()), None),
        };
        if let PolicyAnswer::Error { message, .. } = &answer {
            let failure = PolicyFailure {
                at: decision.facts.now,
                binding: step.binding.clone(),
                enforcement: step.enforcement,
                operation: request.operation,
                lock: request.lock.clone(),
                kind: kind_of(fault.as_ref()),
                detail: message.clone(),
                decision: decision.id,
            };
            let version = (step.policy.clone(), step.version.clone());
            self.failures.add(version, failure);
        }
        let counted = step.counted.get_or_init(|| {
            let policy = (&*step.policy, &*step.version);
            self.metrics.of_policy(policy, step.enforcement)
        });
        counted.decided(&answer, self.clock.monotonic() - began);
        let verdict = PolicyVerdict {
            binding: step.binding.clone(),
            policy: step.policy.clone(),
            version: step.version.clone(),
            module,
            config,
            enforcement: step.enforcement,
            answer,
            fuel,
        };
        (verdict, fault)
    }
}
