//! Asks the policies of one request, and combines their verdicts.

use std::time::Duration;

use leasehold_domain::Clock;
use leasehold_domain::Counter;
use leasehold_domain::CounterKey;
use leasehold_domain::Digest;
use leasehold_domain::Effect;
use leasehold_domain::Enforcement;
use leasehold_domain::Facts;
use leasehold_domain::Operation;
use leasehold_domain::PolicyAnswer;
use leasehold_domain::PolicyLimits;
use leasehold_domain::PolicyVerdict;
use leasehold_domain::Principal;
use leasehold_domain::Request;
use leasehold_domain::limits::COUNTERS_PER_DECISION_MAX;
use leasehold_domain::limits::POLICIES_PER_DECISION_MAX;
use leasehold_policy_host::BoundPolicy;
use leasehold_policy_host::Budget;
use leasehold_policy_host::CacheLookup;
use leasehold_policy_host::PolicyFault;

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
    /// The counters of an acquire, by the steps that decide and allow; each once, with its tightest
    /// maximum.
    pub counters: Vec<JudgedCounter>,
    /// What follows, or None if no step decides: there is none, or all are advisory.
    pub effect: Option<Effect>,
    /// Why there is no verdict, if the effect is a denial because a policy failed or because there
    /// are too many policies.
    pub error: Option<EvaluationError>,
}

/// A counter that the lease of an acquire will carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JudgedCounter {
    /// The counter, under the name of the policy that carries it.
    pub counter: Counter,
    /// Whether a principal with the break-glass role may exceed it: all steps that carry it are
    /// overridable.
    pub is_overridable: bool,
}

/// What the policies are asked about.
#[derive(Debug, Clone, Copy)]
pub struct Question<'q> {
    /// What is asked for.
    pub request: &'q Request,
    /// Who asks.
    pub principal: &'q Principal,
    /// What is known besides.
    pub facts: &'q Facts,
}

/// How one policy was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// How long that took.
    pub took: Duration,
    /// Why the policy has no verdict, if it has none.
    pub error: Option<EvaluationError>,
    /// Whether its verdict was cached; `None` if the policy has no verdict cache or was not asked.
    pub cache_hit: Option<bool>,
}

/// The evaluation of one request, step by step.
///
/// Every step is asked, in order, also after a denial; the first denial that counts is the effect.
/// If there are more than [`POLICIES_PER_DECISION_MAX`] steps, none is asked and the request is
/// denied. All steps share one budget: those that come after it is used up are not run, and fail.
#[derive(Debug)]
pub struct Evaluation {
    whole: Budget,
    left: Budget,
    judgment: Judgment,
    asked: Vec<Asked>,
}

impl Evaluation {
    /// Begins an evaluation whose steps may spend this together, and each no more than the limits of
    /// its engine.
    #[must_use]
    pub fn new(budget: Budget) -> Self {
        Self {
            whole: budget,
            left: budget,
            judgment: Judgment::default(),
            asked: Vec::new(),
        }
    }

    /// Asks the steps that have not been asked. Returns whether all have been.
    ///
    /// With a `slice`, it stops before the step that would exceed the slice; that step counts as not
    /// asked, so the judgment does not depend on the slices. `clock` measures what each step takes;
    /// with one that does not advance, the time budget has no effect.
    pub fn advance<'s>(
        &mut self,
        steps: impl IntoIterator<Item = &'s Step, IntoIter: ExactSizeIterator>,
        question: Question<'_>,
        slice: Option<Budget>,
        clock: &dyn Clock,
    ) -> bool {
        let steps = steps.into_iter();
        if steps.len() > POLICIES_PER_DECISION_MAX {
            let error = EvaluationError::TooManyPolicies;
            self.judgment.effect = Some(Effect::Deny(denial::of_error(&error)));
            self.judgment.error = Some(error);
            return true;
        }
        let reason = denial::break_glass(question.principal, question.request);
        let mut slice = slice;
        for step in steps.skip(self.asked.len()) {
            let began = clock.monotonic();
            let asked = ask(step, question, self.left, slice);
            let took = clock.monotonic().saturating_sub(began);
            let Some(Answered {
                answer,
                fuel,
                cache_hit,
            }) = asked
            else {
                self.left = self.left.without(0, took);
                return false;
            };
            self.left = self.left.without(fuel, took);
            // A cache hit uses no fuel on this thread.
            let ran = if cache_hit == Some(true) { 0 } else { fuel };
            slice = slice.map(|slice| slice.without(ran, took));
            let (answer, error) = self.named(step, question, answer);
            if step.decides() {
                self.judgment.count(step, &answer, error.as_ref(), reason);
                if question.request.operation == Operation::Acquire {
                    self.judgment.carry(step, &answer);
                }
            }
            self.judgment.verdicts.push(verdict(step, answer, fuel));
            self.asked.push(Asked {
                took,
                error,
                cache_hit,
            });
        }
        self.judgment.check_counters();
        true
    }

    /// Returns what the steps came to, and how each was asked, in the order of the steps.
    #[must_use]
    pub fn finish(self) -> (Judgment, Vec<Asked>) {
        (self.judgment, self.asked)
    }

    /// The answer that is recorded, and why the policy has no verdict, if it has none.
    fn named(
        &self,
        step: &Step,
        question: Question<'_>,
        answer: Result<PolicyAnswer, Unanswered>,
    ) -> (PolicyAnswer, Option<EvaluationError>) {
        let error = match answer {
            Ok(answer) => return (answer, None),
            Err(Unanswered::Failed(error)) => error,
            Err(Unanswered::NoFuel) => EvaluationError::RequestFuelSpent(self.whole.fuel),
            Err(Unanswered::NoTime) => EvaluationError::RequestTimeSpent(self.whole.deadline_ms),
        };
        let answer = PolicyAnswer::Error {
            message: error.to_string().into(),
            passed: step.on_error_allow.contains(&question.request.operation),
        };
        (answer, Some(error))
    }
}

impl Judgment {
    /// Adds an answer that counts. `reason`: the reason with which the principal passes an
    /// overridable denial.
    fn count(
        &mut self,
        step: &Step,
        answer: &PolicyAnswer,
        error: Option<&EvaluationError>,
        reason: Option<&str>,
    ) {
        if let PolicyAnswer::Allow(limits) = answer {
            self.limits = self.limits.tightest(limits);
        }
        let reason = reason.filter(|_| step.enforcement == Enforcement::Overridable);
        let effect = match (denial::denial_of(step, answer, error), reason) {
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
            let denies = matches!(effect, Effect::Deny(_));
            self.error = error.filter(|_| denies).cloned();
            self.effect = Some(effect);
        }
    }
}

impl Judgment {
    /// Adds the counters of an answer that counts.
    fn carry(&mut self, step: &Step, answer: &PolicyAnswer) {
        let PolicyAnswer::Allow(limits) = answer else {
            return;
        };
        let is_overridable = step.enforcement == Enforcement::Overridable;
        for named in &limits.counters {
            let is_same = |other: &&mut JudgedCounter| {
                *other.counter.key.policy == *step.policy && *other.counter.key.name == *named.name
            };
            match self.counters.iter_mut().find(is_same) {
                Some(other) => {
                    other.is_overridable &= is_overridable;
                    if named.maximum < other.counter.maximum {
                        other.counter.maximum = named.maximum;
                        other.counter.code = named.code.clone();
                    }
                }
                None => self.counters.push(JudgedCounter {
                    counter: Counter {
                        key: CounterKey {
                            policy: step.policy.clone(),
                            name: (&*named.name).into(),
                        },
                        maximum: named.maximum,
                        code: named.code.clone(),
                    },
                    is_overridable,
                }),
            }
        }
    }

    /// Denies a request whose policies carry more counters together than one decision may.
    fn check_counters(&mut self) {
        let is_denied = matches!(self.effect, Some(Effect::Deny(_)));
        if self.counters.len() > COUNTERS_PER_DECISION_MAX && !is_denied {
            let error = EvaluationError::TooManyCounters;
            self.effect = Some(Effect::Deny(denial::of_error(&error)));
            self.error = Some(error);
        }
    }
}

/// Why a step has no answer.
enum Unanswered {
    /// By itself.
    Failed(EvaluationError),
    /// The steps of the request have spent its fuel.
    NoFuel,
    /// The steps of the request have spent its time.
    NoTime,
}

/// What one policy answered.
struct Answered {
    answer: Result<PolicyAnswer, Unanswered>,
    /// The fuel that the evaluation spent; for a cached verdict, that of the original evaluation.
    fuel: u64,
    cache_hit: Option<bool>,
}

impl Answered {
    /// The policy was not run.
    fn not_run(why: Unanswered) -> Self {
        Self {
            answer: Err(why),
            fuel: 0,
            cache_hit: None,
        }
    }
}

/// Asks one policy. Returns `None` if it would spend more than the slice. A cached verdict
/// spends nothing of the slice, but its original fuel counts against the budget of the request, so that
/// the judgment does not depend on the state of the cache.
fn ask(
    step: &Step,
    question: Question<'_>,
    left: Budget,
    slice: Option<Budget>,
) -> Option<Answered> {
    if let Some(killed) = &step.killed {
        let error = EvaluationError::Killed(killed.to_string());
        return Some(Answered::not_run(Unanswered::Failed(error)));
    }
    let bound = match &step.bound {
        Ok(bound) => bound,
        Err(problem) => {
            let error = EvaluationError::NotLoaded(problem.clone());
            return Some(Answered::not_run(Unanswered::Failed(error)));
        }
    };
    if left.fuel == 0 {
        return Some(Answered::not_run(Unanswered::NoFuel));
    }
    if left.deadline_ms == 0 {
        return Some(Answered::not_run(Unanswered::NoTime));
    }
    let own = bound.budget();
    let allowed = own.least(left);
    let Question {
        request,
        principal,
        facts,
    } = question;
    let key = match bound.cached_verdict(request, principal, facts, allowed) {
        CacheLookup::Hit(evaluation) => {
            return Some(answered(evaluation, allowed, own, Some(true)));
        }
        CacheLookup::Miss(key) => Some(key),
        CacheLookup::Disabled => None,
    };
    if slice.is_some_and(Budget::is_spent) {
        return None;
    }
    let given = slice.map_or(allowed, |slice| slice.least(allowed));
    let evaluation = bound.decide_within(request, principal, facts, given);
    match evaluation.answer {
        Err(PolicyFault::FuelSpent(_)) if given.fuel < allowed.fuel => return None,
        Err(PolicyFault::Deadline(_)) if given.deadline_ms < allowed.deadline_ms => return None,
        _ => {}
    }
    let cache_hit = key.as_ref().map(|_| false);
    if let Some(key) = key {
        bound.cache_verdict(key, &evaluation, given);
    }
    Some(answered(evaluation, allowed, own, cache_hit))
}

/// Names why there is no verdict: the policy's own limits, or those of the request.
fn answered(
    evaluation: leasehold_policy_host::Evaluation,
    allowed: Budget,
    own: Budget,
    cache_hit: Option<bool>,
) -> Answered {
    let answer = match evaluation.answer {
        Err(PolicyFault::FuelSpent(_)) if allowed.fuel < own.fuel => Err(Unanswered::NoFuel),
        Err(PolicyFault::Deadline(_)) if allowed.deadline_ms < own.deadline_ms => {
            Err(Unanswered::NoTime)
        }
        answer => answer.map_err(|fault| Unanswered::Failed(EvaluationError::Failed(fault))),
    };
    Answered {
        answer,
        fuel: evaluation.fuel,
        cache_hit,
    }
}

fn verdict(step: &Step, answer: PolicyAnswer, fuel: u64) -> PolicyVerdict {
    let digests = |bound: &BoundPolicy| (bound.module().digest(), bound.config_digest());
    let none = (Digest([0; 32]), Digest([0; 32]));
    let (module, config) = step.bound.as_ref().map_or(none, digests);
    PolicyVerdict {
        binding: step.binding.clone(),
        policy: step.policy.clone(),
        version: step.version.clone(),
        module,
        config,
        enforcement: step.enforcement,
        answer,
        fuel,
        rollout: None,
    }
}

#[cfg(test)]
mod tests;
