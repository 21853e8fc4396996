//! Self-check: evaluates samples of this gateway's decisions again, as the ledger has recorded them.
//!
//! The process that judged has the same engine and the same budgets. So another answer, or other fuel,
//! means that the ledger's record, the stored module or the engine is at fault, and is an incident.

use std::sync::Arc;
use std::time::Duration;

use leasehold_backend_api::LedgerQuery;
use leasehold_domain::Clock;
use leasehold_domain::PolicyAnswer;
use leasehold_domain::PolicyVerdict;
use leasehold_domain::WallMillis;
use leasehold_domain::limits::SELF_CHECK_SAMPLE_AGE_MS_MAX;
use leasehold_policy_host::BoundPolicy;

use super::pages::Pages;
use super::pages::Recorded;
use super::samples::DecisionSample;
use super::samples::DecisionSamples;
use crate::evaluation_pool::EvaluationPool;
use crate::evaluation_pool::WAIT_MAX;
use crate::failure::Failure;
use crate::governance::Governance;
use crate::safety::EvaluationWatch;
use crate::safety::Incidents;
use crate::safety::NotReproduced;
use crate::stores::Stores;
use crate::tasks::Supervised;
use crate::tasks::TaskMetrics;
use crate::tasks::supervise;
use crate::telemetry::Metrics;
use crate::telemetry::SelfCheckOutcome;

/// How often the samples are looked for in the ledger.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// By how much the time of an event may be before the time at which its request was received, because
/// the store goes by another clock.
const CLOCK_SLACK_MS: u64 = 1_000;

/// Evaluates samples of decisions again.
#[derive(Debug)]
pub struct SelfCheck {
    samples: Arc<DecisionSamples>,
    stores: Arc<Stores>,
    governance: Arc<Governance>,
    incidents: EvaluationWatch,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    thread: EvaluationPool,
}

impl SelfCheck {
    /// Checks these samples. Differences become incidents.
    #[must_use]
    pub fn new(
        samples: Arc<DecisionSamples>,
        (stores, governance): (&Arc<Stores>, &Arc<Governance>),
        incidents: &Arc<Incidents>,
        (metrics, clock): (&Arc<Metrics>, &Arc<dyn Clock>),
    ) -> Self {
        Self {
            samples,
            stores: stores.clone(),
            governance: governance.clone(),
            incidents: EvaluationWatch::new(incidents.clone()),
            metrics: metrics.clone(),
            clock: clock.clone(),
            thread: EvaluationPool::new(1, WAIT_MAX),
        }
    }

    /// Checks the samples until the task is dropped.
    #[must_use]
    pub fn start(self: Arc<Self>, tasks: &TaskMetrics) -> Supervised {
        supervise("self-check", tasks, move || {
            let this = self.clone();
            async move {
                loop {
                    tokio::time::sleep(LOOK_EVERY).await;
                    this.look().await;
                }
            }
        })
    }

    /// Checks the samples that the ledger contains by now, and ends acknowledged incidents.
    pub(crate) async fn look(&self) {
        self.incidents.end_acknowledged(self.clock.wall()).await;
        for _ in 0..self.samples.len() {
            let Some(sample) = self.samples.take() else {
                return;
            };
            if !sample.is_due(self.clock.monotonic()) {
                self.samples.put_back(sample);
                continue;
            }
            match self.check(&sample).await {
                Ok(true) => {}
                Ok(false) => self.keep(sample),
                Err(failure) => {
                    tracing::debug!(?failure, "self_check: not possible now; tried again");
                    self.keep(sample);
                }
            }
        }
    }

    /// Puts a sample back until it is too old. Decisions of requests that failed, and some renewals,
    /// are not in the ledger.
    fn keep(&self, mut sample: DecisionSample) {
        sample.searches += 1;
        let age = self.clock.monotonic().saturating_sub(sample.taken);
        match age < Duration::from_millis(SELF_CHECK_SAMPLE_AGE_MS_MAX) {
            true => self.samples.put_back(sample),
            false => self.metrics.self_checked(SelfCheckOutcome::Unknown),
        }
    }

    /// Checks the decision of a sample. Returns whether the ledger contains it.
    async fn check(&self, sample: &DecisionSample) -> Result<bool, Failure> {
        let Some(recorded) = self.recorded(sample).await? else {
            return Ok(false);
        };
        for index in 0..recorded.decision.verdicts.len() {
            let outcome = match self.evaluate(&recorded, index).await? {
                None => SelfCheckOutcome::Unknown,
                Some(Ok(())) => SelfCheckOutcome::Reproduced,
                Some(Err(found)) => {
                    let now = self.clock.wall();
                    self.incidents.differs(&sample.store, *found, now).await;
                    SelfCheckOutcome::NotReproduced
                }
            };
            self.metrics.self_checked(outcome);
        }
        Ok(true)
    }

    /// Reads the decision of a sample from the ledger: from one page of events of the lock, so that a
    /// lock with many events costs no more. Behind them the decision is not found.
    async fn recorded(&self, sample: &DecisionSample) -> Result<Option<Recorded>, Failure> {
        let ledgers = self.stores.ledgers([&sample.store]);
        let query = LedgerQuery {
            from: Some(WallMillis(sample.received.0.saturating_sub(CLOCK_SLACK_MS))),
            lock: Some(sample.lock.to_string()),
            ..LedgerQuery::default()
        };
        let page = Pages::new(&ledgers, &*self.clock, query, None)
            .read()
            .await?;
        let mut decisions = page.decisions.into_iter();
        Ok(decisions.find(|recorded| recorded.decision.id == sample.id))
    }

    /// Evaluates one verdict again. `None`: it cannot be said whether it is reproduced, as its module is
    /// not kept any more, or one of both evaluations met a fault that need not come again.
    async fn evaluate(
        &self,
        recorded: &Recorded,
        index: usize,
    ) -> Result<Option<Result<(), Box<NotReproduced>>>, Failure> {
        let verdict = &recorded.decision.verdicts[index];
        if matches!(verdict.answer, PolicyAnswer::Error { .. }) {
            return Ok(None);
        }
        let by = (verdict.module, verdict.config);
        let Ok(policy) = self.governance.recorded(by.0, by.1).await? else {
            return Ok(None);
        };
        let recorded = recorded.clone();
        let again = move || compare(&recorded, index, &policy);
        self.thread.run(again).await
    }
}

/// Evaluates a recorded verdict again by its own policy.
fn compare(
    recorded: &Recorded,
    index: usize,
    policy: &BoundPolicy,
) -> Option<Result<(), Box<NotReproduced>>> {
    let (cause, decision) = (&recorded.cause, &recorded.decision);
    let verdict: &PolicyVerdict = &decision.verdicts[index];
    let evaluation = policy.decide(&cause.request, &cause.principal, &decision.facts);
    let evaluated = match &evaluation.answer {
        Ok(answer) if *answer == verdict.answer && evaluation.fuel == verdict.fuel => {
            return Some(Ok(()));
        }
        Ok(answer) => crate::rollouts::described(answer),
        Err(fault) if fault.is_deterministic() => format!("failed: {fault}"),
        Err(_) => return None,
    };
    let with_fuel = |said: &str, fuel: u64| format!("{said}; fuel {fuel}");
    let said = crate::rollouts::described(&verdict.answer);
    Some(Err(Box::new(NotReproduced {
        policy: verdict.policy.to_string(),
        version: verdict.version.to_string(),
        decision: format!("{:032x}", decision.id),
        recorded: with_fuel(&said, verdict.fuel),
        evaluated: with_fuel(&evaluated, evaluation.fuel),
        verdicts: 1,
    })))
}

#[cfg(test)]
mod tests;
