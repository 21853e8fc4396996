//! Replay: evaluates recorded decisions again, by the recorded versions or by a candidate.
//!
//! A policy sees only its arguments, and the ledger keeps them. So a decision that is judged again by
//! the same module with the same configuration has the same answer and spends the same fuel; a
//! candidate's answers show what it would have changed.

mod pages;
mod preview;
mod report;
mod samples;
mod self_check;

use std::collections::HashMap;
use std::sync::Arc;

use leasehold_backend_api::LedgerQuery;
use leasehold_domain::Clock;
use leasehold_domain::Cursor;
use leasehold_domain::Digest;
use leasehold_domain::PolicyAnswer;
use leasehold_domain::PolicyVerdict;
use leasehold_domain::WallMillis;
use leasehold_policy_host::BoundPolicy;
use serde_json::Value;

pub use self::preview::PreviewGroup;
pub use self::preview::PreviewRange;
pub use self::preview::PreviewReport;
pub use self::report::ReplayDifference;
pub use self::report::ReplayReport;
pub use self::samples::DecisionSamples;
pub use self::self_check::SelfCheck;

use self::pages::Pages;
use self::pages::Recorded;

use crate::evaluation_pool::EvaluationPool;
use crate::evaluation_pool::WAIT_MAX;
use crate::failure::Failure;
use crate::governance::Governance;
use crate::rollouts::Difference;
use crate::stores::Ledgers;

/// Which decisions to replay, and by which version and configuration.
#[derive(Debug, Clone, Default)]
pub struct ReplayRequest {
    /// The policy.
    pub policy: String,
    /// The candidate's version; `None` for the recorded versions.
    pub version: Option<String>,
    /// The candidate's configuration; `None` for the recorded configurations.
    pub config: Option<Value>,
    /// Only decisions by this binding.
    pub binding: Option<String>,
    /// Only decisions in this namespace.
    pub namespace: Option<String>,
    /// Only decisions at this time or later.
    pub from: Option<WallMillis>,
    /// Only decisions before this time.
    pub until: Option<WallMillis>,
    /// Only events after this one: `next` of the report before.
    pub after: Option<Cursor>,
    /// Only events up to this one.
    pub to: Option<Cursor>,
    /// The digest of the report before, if `after` goes on from one.
    pub digest: Option<Digest>,
}

/// Replays decisions on one thread, so that all replays together use one core at most.
#[derive(Debug)]
pub struct Replays {
    governance: Arc<Governance>,
    clock: Arc<dyn Clock>,
    thread: EvaluationPool,
}

/// The policies of a replay by the digests of module and configuration, or why they cannot be used.
type Policies = HashMap<(Digest, Digest), Result<BoundPolicy, String>>;

impl Replays {
    /// Creates a replayer that takes modules and configurations from `governance`.
    #[must_use]
    pub fn new(governance: Arc<Governance>, clock: Arc<dyn Clock>) -> Self {
        Self {
            governance,
            clock,
            thread: EvaluationPool::new(1, WAIT_MAX),
        }
    }

    /// Replays the decisions in the ledger of one store. Stops after `REPLAY_EVENTS_MAX` events,
    /// or after the first page that ends later than `REPLAY_MS_MAX`; the report says where the next part
    /// begins.
    ///
    /// # Errors
    /// `overloaded`: other replays occupy the thread. There is no such version, its configuration does not
    /// suit it, `after` is beyond the ledger's end, or the ledger or the store of governance cannot be
    /// read.
    pub async fn run(
        &self,
        ledgers: &Ledgers,
        request: &ReplayRequest,
    ) -> Result<ReplayReport, Failure> {
        let candidate = self.candidate(request).await?;
        let mut policies = Policies::new();
        let mut report = ReplayReport::begin(request, candidate.module, candidate.config);
        let mut pages = Pages::new(ledgers, &*self.clock, query(request), request.to);
        loop {
            let page = pages.read().await?;
            let verdicts = verdicts(&page.decisions, request);
            self.load(&verdicts, candidate, request, &mut policies)
                .await?;
            let judge = move || judge_all(&verdicts, candidate, report, policies);
            (report, policies) = self.thread.run(judge).await?;
            (report.complete_to, report.next) = (page.complete_to, page.next);
            if pages.are_over() {
                return Ok(report);
            }
        }
    }

    /// Returns the digest of the candidate's module, and that of its configuration, where the request
    /// names them.
    async fn candidate(&self, request: &ReplayRequest) -> Result<Candidate, Failure> {
        self.governance.check_policy(&request.policy).await?;
        let module = match &request.version {
            Some(version) => Some(self.governance.module_of(&request.policy, version).await?),
            None => None,
        };
        let config = request.config.as_ref();
        let config = config.map(|config| Digest::of(config.to_string().as_bytes()));
        Ok(Candidate { module, config })
    }

    /// Loads the policies that these decisions need.
    async fn load(
        &self,
        verdicts: &[RecordedVerdict],
        candidate: Candidate,
        request: &ReplayRequest,
        policies: &mut Policies,
    ) -> Result<(), Failure> {
        for judged in verdicts {
            let (module, config) = candidate.of(judged.verdict());
            if policies.contains_key(&(module, config)) {
                continue;
            }
            let bound = match &request.config {
                Some(given) => Ok(self.governance.candidate(module, given).await?),
                None => self.governance.recorded(module, config).await?,
            };
            policies.insert((module, config), bound);
        }
        Ok(())
    }
}

/// The digests that replace the recorded ones.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    module: Option<Digest>,
    config: Option<Digest>,
}

impl Candidate {
    /// Returns the digests of the module and the configuration that a verdict is compared with.
    fn of(self, verdict: &PolicyVerdict) -> (Digest, Digest) {
        let module = self.module.unwrap_or(verdict.module);
        (module, self.config.unwrap_or(verdict.config))
    }
}

/// A verdict from the ledger.
#[derive(Debug)]
struct RecordedVerdict {
    recorded: Recorded,
    /// Its index in the decision.
    index: usize,
}

impl RecordedVerdict {
    fn verdict(&self) -> &PolicyVerdict {
        &self.recorded.decision.verdicts[self.index]
    }

    fn as_difference(&self, kind: Option<Difference>, candidate: &str) -> Option<ReplayDifference> {
        let said = crate::rollouts::described(&self.verdict().answer);
        Some(self.recorded.difference(kind?, said, candidate.to_owned()))
    }
}

fn query(request: &ReplayRequest) -> LedgerQuery {
    LedgerQuery {
        from: request.from,
        until: request.until,
        namespace: request.namespace.clone(),
        policy: Some(request.policy.clone()),
        after: request.after,
        ..LedgerQuery::default()
    }
}

/// Returns the verdicts of the policy in these decisions.
fn verdicts(decisions: &[Recorded], request: &ReplayRequest) -> Vec<RecordedVerdict> {
    let mut all = Vec::with_capacity(decisions.len());
    for recorded in decisions {
        for (index, found) in recorded.decision.verdicts.iter().enumerate() {
            let by_binding = request.binding.as_deref();
            let is_meant = by_binding.is_none_or(|binding| *found.binding == *binding);
            if *found.policy == *request.policy && is_meant {
                all.push(RecordedVerdict {
                    recorded: recorded.clone(),
                    index,
                });
            }
        }
    }
    all
}

/// Evaluates these decisions again.
fn judge_all(
    verdicts: &[RecordedVerdict],
    candidate: Candidate,
    mut report: ReplayReport,
    policies: Policies,
) -> (ReplayReport, Policies) {
    for judged in verdicts {
        judge(judged, candidate, &policies, &mut report);
    }
    (report, policies)
}

fn judge(
    judged: &RecordedVerdict,
    candidate: Candidate,
    policies: &Policies,
    report: &mut ReplayReport,
) {
    let (verdict, recorded) = (judged.verdict(), &judged.recorded);
    let (cause, decision) = (&recorded.cause, &recorded.decision);
    let unknown = |report: &mut ReplayReport, reason| {
        report.unknown(reason);
        report.note(recorded.cursor, judged.index, reason);
    };
    report.decisions += 1;
    let by = candidate.of(verdict);
    let bound = match policies.get(&by) {
        Some(Ok(bound)) => bound,
        Some(Err(_)) | None => return unknown(report, "policy-not-kept"),
    };
    let manifest = bound.module().manifest();
    if !manifest.operations.contains(&cause.request.operation) {
        let difference = Difference::between(Some(&verdict.answer), None, false);
        let said = "does not judge the operation";
        report.note(recorded.cursor, judged.index, said);
        return report.judged(judged.as_difference(difference, said));
    }
    if let Some(reason) = recorded.lacks(manifest) {
        return unknown(report, reason);
    }
    let evaluation = bound.decide(&cause.request, &cause.principal, &decision.facts);
    let answer = match evaluation.answer {
        Ok(answer) => answer,
        Err(fault) => PolicyAnswer::Error {
            message: fault.to_string().into(),
            passed: false,
        },
    };
    let is_same = by == (verdict.module, verdict.config);
    let failed = |answer: &PolicyAnswer| matches!(answer, PolicyAnswer::Error { .. });
    if is_same && !failed(&verdict.answer) {
        let is_reproduced = answer == verdict.answer && evaluation.fuel == verdict.fuel;
        report.reproduced += u64::from(is_reproduced);
        report.not_reproduced += u64::from(!is_reproduced);
    }
    let difference = match failed(&answer) && failed(&verdict.answer) {
        true => None,
        false => Difference::between(Some(&verdict.answer), Some(&answer), false),
    };
    let said = crate::rollouts::described(&answer);
    report.note(recorded.cursor, judged.index, &said);
    report.judged(judged.as_difference(difference, &said));
}

#[cfg(test)]
mod tests;
