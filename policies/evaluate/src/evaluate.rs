//! Asks the policies of one request, and combines their verdicts.

use leasehold_domain::Digest;
use leasehold_domain::Effect;
use leasehold_domain::Enforcement;
use leasehold_domain::Facts;
use leasehold_domain::PolicyAnswer;
use leasehold_domain::PolicyLimits;
use leasehold_domain::PolicyVerdict;
use leasehold_domain::Principal;
use leasehold_domain::Request;
use leasehold_domain::limits::POLICIES_PER_DECISION_MAX;

use crate::denial;
use crate::error::EvaluationError;
use crate::step::Step;

/// The combined verdicts of the policies of one request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Judgment {
    /// The verdict of each step, in the order of the steps.
    pub verdicts: Vec<PolicyVerdict>,
    /// The tightest of the limits of the steps that decide and allow.
    pub limits: PolicyLimits,
    /// What follows, or None if no step decides: there is none, or all are advisory.
    pub effect: Option<Effect>,
    /// Why there is no verdict, if the effect is a denial because a policy failed or because there
    /// are too many policies.
    pub error: Option<EvaluationError>,
}

/// Judges a request by these steps, in this order.
///
/// Every step is asked, also after a denial; the first denial that counts is the effect. If there
/// are more than [`POLICIES_PER_DECISION_MAX`] steps, none is asked and the request is denied.
///
/// `observe` is told of each verdict, before the next step is asked, and of the reason if a policy
/// has none. It cannot change the judgment.
pub fn evaluate<S: AsRef<Step>>(
    steps: &[S],
    request: &Request,
    principal: &Principal,
    facts: &Facts,
    mut observe: impl FnMut(&S, &PolicyVerdict, Option<&EvaluationError>),
) -> Judgment {
    let mut judgment = Judgment::default();
    if steps.len() > POLICIES_PER_DECISION_MAX {
        judgment.effect = Some(Effect::Deny(denial::too_many()));
        judgment.error = Some(EvaluationError::TooManyPolicies);
        return judgment;
    }
    judgment.verdicts.reserve(steps.len());
    let reason = denial::break_glass(principal, request);
    for observed in steps {
        let step = observed.as_ref();
        let (verdict, error) = ask(step, request, principal, facts);
        observe(observed, &verdict, error.as_ref());
        if step.decides() {
            judgment.count(step, &verdict.answer, error, reason);
        }
        judgment.verdicts.push(verdict);
    }
    judgment
}

impl Judgment {
    /// Adds an answer that counts. `reason`: the reason with which the principal passes an
    /// overridable denial.
    fn count(
        &mut self,
        step: &Step,
        answer: &PolicyAnswer,
        error: Option<EvaluationError>,
        reason: Option<&str>,
    ) {
        if let PolicyAnswer::Allow(limits) = answer {
            self.limits = self.limits.tightest(*limits);
        }
        let reason = reason.filter(|_| step.enforcement == Enforcement::Overridable);
        let effect = match (denial::denial_of(step, answer, error.as_ref()), reason) {
            (None, _) => Effect::Allow,
            (Some(_), Some(reason)) => Effect::Override {
                reason: reason.into(),
            },
            (Some(denial), None) => Effect::Deny(denial),
        };
        let rank = |effect: &Effect| match effect {
            Effect::Allow => 0,
            Effect::Override { .. } => 1,
            Effect::Deny(_) => 2,
        };
        let before = self.effect.as_ref().map(rank);
        if before.is_none_or(|before| before < rank(&effect)) {
            self.error = error.filter(|_| matches!(effect, Effect::Deny(_)));
            self.effect = Some(effect);
        }
    }
}

/// Asks one policy. A policy that fails has a verdict that says so, and an error.
fn ask(
    step: &Step,
    request: &Request,
    principal: &Principal,
    facts: &Facts,
) -> (PolicyVerdict, Option<EvaluationError>) {
    let (mut module, mut config, mut fuel) = (Digest([0; 32]), Digest([0; 32]), 0);
    let answer = match &step.bound {
        Ok(bound) => {
            let evaluation = bound.decide(request, principal, facts);
            (module, config) = (bound.module().digest(), bound.config_digest());
            fuel = evaluation.fuel;
            evaluation.answer.map_err(EvaluationError::Failed)
        }
        Err(problem) => Err(EvaluationError::NotLoaded(problem.clone())),
    };
    let (answer, error) = match answer {
        Ok(answer) => (answer, None),
        Err(error) => {
            let answer = PolicyAnswer::Error {
                message: error.to_string().into(),
                passed: step.on_error_allow.contains(&request.operation),
            };
            (answer, Some(error))
        }
    };
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
    (verdict, error)
}

#[cfg(test)]
mod tests;
