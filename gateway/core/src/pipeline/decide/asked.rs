//! Asks the policies, measures each answer, and keeps each failure for the policy's author.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use leasehold_domain::Facts;
use leasehold_domain::PolicyVerdict;
use leasehold_domain::Principal;
use leasehold_domain::Request;
use leasehold_domain::limits::BRIEF_EVALUATION_FUEL_MAX;
use leasehold_domain::limits::BRIEF_EVALUATION_MS_MAX;
use leasehold_policy_evaluate::Asked;
use leasehold_policy_evaluate::Evaluation;
use leasehold_policy_evaluate::EvaluationError;
use leasehold_policy_evaluate::Judgment;
use leasehold_policy_evaluate::Question;
use leasehold_policy_host::Budget;

use super::Decider;
use super::PolicyFailure;
use crate::failure::Failure;
use crate::failure::Fault;
use crate::governance::plan::PlanStep;

/// What an evaluation may spend on the runtime's threads, which also serve the store. One that takes
/// longer, or is expected to, continues in the pool.
const BRIEF: Budget = Budget {
    fuel: BRIEF_EVALUATION_FUEL_MAX,
    deadline_ms: BRIEF_EVALUATION_MS_MAX,
};
const TOO_LONG: u64 = BRIEF.fuel + 1;

impl Decider {
    /// Asks the policies for the decision with the id `decision`.
    ///
    /// # Errors
    /// `overloaded` if too many long evaluations wait.
    pub(super) async fn ask_all(
        &self,
        steps: &[&Arc<PlanStep>],
        request: &Request,
        principal: &Arc<Principal>,
        facts: &Facts,
        decision: u128,
    ) -> Result<Judgment, Failure> {
        let mut evaluation = Evaluation::new(self.budget);
        let expected = steps
            .iter()
            .map(|planned| planned.expected_fuel.load(Ordering::Relaxed))
            .fold(0, u64::saturating_add);
        let question = Question {
            request,
            principal,
            facts,
        };
        let asks = steps.iter().map(|planned| &planned.step);
        let is_done =
            expected <= BRIEF.fuel && evaluation.advance(asks, question, Some(BRIEF), &*self.clock);
        if !is_done {
            // Boxed: this path is rare, and unboxed it would enlarge the future of every request.
            evaluation = Box::pin(self.continue_in_pool(evaluation, steps, question)).await?;
        }
        let (judgment, asked) = evaluation.finish();
        for ((planned, verdict), asked) in steps.iter().zip(&judgment.verdicts).zip(asked) {
            self.note(planned, verdict, asked, question, decision);
        }
        Ok(judgment)
    }

    /// Asks the remaining policies in the pool.
    async fn continue_in_pool(
        &self,
        mut evaluation: Evaluation,
        steps: &[&Arc<PlanStep>],
        question: Question<'_>,
    ) -> Result<Evaluation, Failure> {
        let steps: Vec<Arc<PlanStep>> = steps.iter().copied().cloned().collect();
        let (request, facts) = (question.request.clone(), question.facts.clone());
        let principal = question.principal.clone();
        let clock = self.clock.clone();
        let rest = move || {
            let question = Question {
                request: &request,
                principal: &principal,
                facts: &facts,
            };
            let asks = steps.iter().map(|planned| &planned.step);
            evaluation.advance(asks, question, None, &*clock);
            evaluation
        };
        self.pool.run(rest).await
    }

    /// Records what was learned about one policy: its cost, its answer, its failure.
    fn note(
        &self,
        planned: &PlanStep,
        verdict: &PolicyVerdict,
        asked: Asked,
        question: Question<'_>,
        decision: u128,
    ) {
        let is_brief = asked.took.as_millis() <= u128::from(BRIEF.deadline_ms);
        let fuel = match (is_brief, asked.cache_hit) {
            (false, _) => TOO_LONG,
            // After a cache hit the next evaluation is expected to hit as well; a miss that takes long
            // continues in the pool.
            (true, Some(true)) => 0,
            (true, _) => verdict.fuel,
        };
        // Written only if it differs: it shares a cache line with fields that every thread reads.
        if planned.expected_fuel.load(Ordering::Relaxed) != fuel {
            planned.expected_fuel.store(fuel, Ordering::Relaxed);
        }
        let counted = planned.counted.get_or_init(|| {
            let policy = (&*verdict.policy, &*verdict.version);
            self.metrics.of_policy(policy, verdict.enforcement)
        });
        counted.decided(&verdict.answer, asked.took, asked.cache_hit);
        let Some(error) = asked.error else { return };
        let failure = PolicyFailure {
            at: question.facts.now,
            binding: verdict.binding.clone(),
            enforcement: verdict.enforcement,
            operation: question.request.operation,
            lock: question.request.lock.clone(),
            kind: error.as_str(),
            detail: error.to_string().into(),
            decision,
        };
        let version = (verdict.policy.clone(), verdict.version.clone());
        self.failures.add(version, failure);
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
