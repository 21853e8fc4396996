//! Replay: evaluates recorded decisions again, by the recorded versions or by a candidate.
//!
//! A policy sees only its arguments, and the ledger keeps them. So a decision that is judged again by
//! the same module with the same configuration has the same answer and spends the same fuel; a
//! candidate's answers show what it would have changed.

mod preview;
mod report;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use leasehold_audit::canonical;
use leasehold_backend_api::LedgerQuery;
use leasehold_domain::Cause;
use leasehold_domain::Clock;
use leasehold_domain::Cursor;
use leasehold_domain::Decision;
use leasehold_domain::Digest;
use leasehold_domain::EventKind;
use leasehold_domain::FencingToken;
use leasehold_domain::PolicyAnswer;
use leasehold_domain::PolicyVerdict;
use leasehold_domain::Transition;
use leasehold_domain::WallMillis;
use leasehold_domain::limits::REPLAY_EVENTS_MAX;
use leasehold_domain::limits::REPLAY_MS_MAX;
use leasehold_domain::limits::REPLAY_PAGE_ROWS_MAX;
use leasehold_policy_host::BoundPolicy;
use serde_json::Value;

pub use self::preview::PreviewGroup;
pub use self::preview::PreviewRange;
pub use self::preview::PreviewReport;
pub use self::report::ReplayDifference;
pub use self::report::ReplayReport;

use crate::evaluation_pool::EvaluationPool;
use crate::evaluation_pool::WAIT_MAX;
use crate::failure::Failure;
use crate::governance::Governance;
use crate::places::Places;
use crate::rollouts::Difference;
use crate::stores::HistoryRow;
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

    /// Replays the decisions in the ledger of one store. Stops after [`REPLAY_EVENTS_MAX`] events,
    /// or after the first page that ends later than [`REPLAY_MS_MAX`]; the report says where the next
    /// part begins.
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
        let began = self.clock.monotonic();
        let candidate = self.candidate(request).await?;
        let mut policies = Policies::new();
        let mut report = ReplayReport::begin(request, candidate.module, candidate.config);
        let mut after = request.after;
        let mut events = 0;
        loop {
            let page = ledgers.query(query(request, after), Places::default());
            let mut page = page.await?;
            if let Some(to) = request.to {
                let found = page.rows.len();
                page.rows.retain(|row| row.row.cursor <= to);
                if page.rows.len() < found {
                    page.next = None;
                }
            }
            events += page.rows.len();
            let last = page.rows.last().map(|row| row.row.cursor);
            let decisions = decisions(&page.rows, request)?;
            self.load(&decisions, candidate, request, &mut policies)
                .await?;
            let judge = move || judge_all(&decisions, candidate, report, policies);
            (report, policies) = self.thread.run(judge).await?;
            let complete_to = page.complete_to.first().map(|(_, cursor)| *cursor);
            let complete_to = complete_to.unwrap_or_default();
            report.complete_to = request.to.map_or(complete_to, |to| to.min(complete_to));
            report.next = page.next.and(last);
            let took = self.clock.monotonic().saturating_sub(began);
            let is_long = took >= Duration::from_millis(REPLAY_MS_MAX);
            if report.next.is_none() || events >= REPLAY_EVENTS_MAX || is_long {
                return Ok(report);
            }
            after = report.next;
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
        decisions: &[Recorded],
        candidate: Candidate,
        request: &ReplayRequest,
        policies: &mut Policies,
    ) -> Result<(), Failure> {
        for recorded in decisions {
            let (module, config) = candidate.of(recorded.verdict());
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
struct Recorded {
    cursor: Cursor,
    at: WallMillis,
    cause: Arc<Cause>,
    decision: Arc<Decision>,
    verdict: usize,
    /// The token of the lease that the request got.
    token: Option<FencingToken>,
}

impl Recorded {
    fn verdict(&self) -> &PolicyVerdict {
        &self.decision.verdicts[self.verdict]
    }
}

fn query(request: &ReplayRequest, after: Option<Cursor>) -> LedgerQuery {
    LedgerQuery {
        from: request.from,
        until: request.until,
        namespace: request.namespace.clone(),
        policy: Some(request.policy.clone()),
        after,
        limit: REPLAY_PAGE_ROWS_MAX,
        ..LedgerQuery::default()
    }
}

/// Returns the verdicts of the policy in these events.
fn decisions(rows: &[HistoryRow], request: &ReplayRequest) -> Result<Vec<Recorded>, Failure> {
    let mut all = Vec::with_capacity(rows.len());
    for HistoryRow { row, .. } in rows {
        let parsed = canonical::parse(&row.body);
        let event = parsed
            .map_err(|error| Failure::internal(error.to_string()))?
            .event;
        let (cause, transitions) = match event.kind {
            EventKind::Lock {
                cause, transitions, ..
            } => (cause, transitions),
            EventKind::Denied(cause) => (Some(cause), Vec::new()),
            EventKind::Governance(_) => (None, Vec::new()),
        };
        let Some((cause, decision)) = cause.and_then(|cause| {
            let decision = cause.decision.clone()?;
            Some((cause, decision))
        }) else {
            continue;
        };
        let token = granted(&cause, &transitions);
        for (verdict, found) in decision.verdicts.iter().enumerate() {
            let by_binding = request.binding.as_deref();
            let is_meant = by_binding.is_none_or(|binding| *found.binding == *binding);
            if *found.policy == *request.policy && is_meant {
                all.push(Recorded {
                    cursor: row.cursor,
                    at: event.wall,
                    cause: cause.clone(),
                    decision: decision.clone(),
                    verdict,
                    token,
                });
            }
        }
    }
    Ok(all)
}

/// Returns the token of the lease that an event's own request got in it.
fn granted(cause: &Cause, transitions: &[Transition]) -> Option<FencingToken> {
    transitions.iter().find_map(|transition| match transition {
        Transition::Granted {
            token, request_id, ..
        } if *request_id == cause.request_id => Some(*token),
        _ => None,
    })
}

/// Evaluates these decisions again.
fn judge_all(
    decisions: &[Recorded],
    candidate: Candidate,
    mut report: ReplayReport,
    policies: Policies,
) -> (ReplayReport, Policies) {
    for recorded in decisions {
        judge(recorded, candidate, &policies, &mut report);
    }
    (report, policies)
}

fn judge(
    recorded: &Recorded,
    candidate: Candidate,
    policies: &Policies,
    report: &mut ReplayReport,
) {
    let verdict = recorded.verdict();
    let (cause, decision) = (&recorded.cause, &recorded.decision);
    let unknown = |report: &mut ReplayReport, reason| {
        report.unknown(reason);
        report.note(recorded.cursor, recorded.verdict, reason);
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
        report.note(recorded.cursor, recorded.verdict, said);
        return report.judged(recorded.as_difference(difference, said));
    }
    if manifest.needs_lock && decision.facts.lock.is_none() {
        return unknown(report, "lock-not-recorded");
    }
    if manifest.needs_usage && decision.facts.usage.is_none() {
        return unknown(report, "usage-not-recorded");
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
    report.note(recorded.cursor, recorded.verdict, &said);
    report.judged(recorded.as_difference(difference, &said));
}

impl Recorded {
    fn as_difference(&self, kind: Option<Difference>, candidate: &str) -> Option<ReplayDifference> {
        let principal = &self.cause.principal;
        Some(ReplayDifference {
            kind: kind?,
            cursor: self.cursor,
            at: self.at,
            subject: principal.subject.to_string(),
            team: principal.team.as_ref().map(ToString::to_string),
            operation: self.cause.request.operation.as_str(),
            lock: self.cause.request.lock.clone(),
            token: self.token,
            recorded: crate::rollouts::described(&self.verdict().answer),
            candidate: candidate.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests;
