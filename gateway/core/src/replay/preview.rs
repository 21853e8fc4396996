//! Previews: what a change of a binding would have changed of recorded decisions.
//!
//! Every policy of a request is asked, also after a denial, and the ledger has all answers. So the
//! answers of other bindings are taken as they were recorded, those of the binding are replaced by the
//! answers that the changed binding gives, and both combinations are compared.

mod outcome;
mod report;

use std::sync::Arc;

use leasehold_backend_api::LedgerQuery;
use leasehold_domain::Cursor;
use leasehold_domain::PolicyAnswer;
use leasehold_domain::WallMillis;
use leasehold_policy_evaluate::Step;

pub use self::report::PreviewGroup;
pub use self::report::PreviewReport;

use self::outcome::Outcome;
use self::outcome::Said;
use self::outcome::is_by_policies;
use super::Replays;
use super::pages::Page;
use super::pages::Pages;
use super::pages::Recorded;
use crate::failure::Failure;
use crate::governance::BindingCandidate;
use crate::governance::plan::Plan;
use crate::stores::Ledgers;

/// Which recorded decisions to look at.
#[derive(Debug, Clone, Copy, Default)]
pub struct PreviewRange {
    /// Only decisions at this time or later.
    pub from: Option<WallMillis>,
    /// Only events after this one: `next` of the report before.
    pub after: Option<Cursor>,
    /// Only events up to this one.
    pub to: Option<Cursor>,
}

impl Replays {
    /// Compares recorded decisions with what they would have been after a change of a binding. Stops
    /// as [`Replays::run`] does; the report says where the next part begins.
    ///
    /// # Errors
    /// `overloaded`: other replays occupy the thread. `after` is beyond the ledger's end, or the ledger
    /// cannot be read.
    pub async fn preview(
        &self,
        ledgers: &Ledgers,
        candidate: &Arc<BindingCandidate>,
        range: PreviewRange,
    ) -> Result<PreviewReport, Failure> {
        let plan = self.governance.plan();
        let mut report = PreviewReport::default();
        let query = LedgerQuery {
            from: range.from,
            namespace: candidate.only_namespace(),
            after: range.after,
            ..LedgerQuery::default()
        };
        let mut pages = Pages::new(ledgers, &*self.clock, query, range.to);
        loop {
            let Page {
                decisions,
                complete_to,
                next,
            } = pages.read().await?;
            let (of, plan) = (candidate.clone(), plan.clone());
            let judge = move || {
                for recorded in &decisions {
                    judge(recorded, &of, &plan, &mut report);
                }
                report
            };
            report = self.thread.run(judge).await?;
            (report.complete_to, report.next) = (complete_to, next);
            if pages.are_over() {
                return Ok(report);
            }
        }
    }
}

fn judge(
    recorded: &Recorded,
    candidate: &BindingCandidate,
    plan: &Plan,
    report: &mut PreviewReport,
) {
    let (cause, decision) = (&recorded.cause, &recorded.decision);
    let steps = candidate.judging(&cause.request);
    let mut verdicts = decision.verdicts.iter();
    let is_touched = !steps.is_empty() || verdicts.any(|verdict| verdict.binding == candidate.name);
    if !is_touched || !is_by_policies(decision) {
        return;
    }
    let group = report.count(&cause.principal, cause.request.operation);
    let reason = leasehold_policy_evaluate::break_glass(&cause.principal, &cause.request);
    let before = Outcome::of(decision.verdicts.iter().map(Said::of), reason);
    let before = match before {
        Some(before) => before,
        None => Outcome::of_effect(&decision.effect),
    };
    if before.is_denial() != Outcome::of_effect(&decision.effect).is_denial() {
        // The lock machine refused it: a counter was at its maximum then.
        return report.unknown(group, "denied-by-counter");
    }
    let others = decision.verdicts.iter();
    let others = others.filter(|verdict| verdict.binding != candidate.name);
    let mut said: Vec<Said> = others.map(Said::of).collect();
    for planned in steps {
        match asked(&planned.step, recorded) {
            Ok(one) => said.push(one),
            Err(problem) => return report.unknown(group, problem),
        }
    }
    let after = Outcome::of(said, reason).unwrap_or_else(|| {
        let namespace = plan.namespace(&cause.request.lock.namespace);
        Outcome::unbound(namespace, cause.request.operation)
    });
    let difference = before.difference(&after);
    let difference =
        difference.map(|kind| recorded.difference(kind, before.to_string(), after.to_string()));
    report.judged(group, difference);
}

/// Asks a policy of the changed binding, or returns what it said then if it is the same module with
/// the same configuration.
fn asked(step: &Step, recorded: &Recorded) -> Result<Said, &'static str> {
    let (cause, decision) = (&recorded.cause, &recorded.decision);
    let Ok(bound) = &step.bound else {
        return Err("policy-not-loaded");
    };
    let digests = (bound.module().digest(), bound.config_digest());
    let mut verdicts = decision.verdicts.iter();
    let same = verdicts.find(|verdict| {
        let is_error = matches!(verdict.answer, PolicyAnswer::Error { .. });
        (verdict.module, verdict.config) == digests && !is_error
    });
    if let Some(same) = same {
        return Ok(Said::by(step, same.answer.clone()));
    }
    if let Some(problem) = recorded.lacks(bound.module().manifest()) {
        return Err(problem);
    }
    let evaluation = bound.decide(&cause.request, &cause.principal, &decision.facts);
    let answer = match evaluation.answer {
        Ok(answer) => answer,
        Err(fault) => PolicyAnswer::Error {
            message: fault.to_string().into(),
            passed: step.on_error_allow.contains(&cause.request.operation),
        },
    };
    match &answer {
        // How many leases carried them then is not on record.
        PolicyAnswer::Allow(limits) if !limits.counters.is_empty() && step.decides() => {
            Err("counters-not-recorded")
        }
        _ => Ok(Said::by(step, answer)),
    }
}

#[cfg(test)]
mod tests;
