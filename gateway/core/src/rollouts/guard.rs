//! Moves rollouts without anybody asking: back, when a guardrail of a canary is exceeded, and forward
//! along an automatic plan. Every gateway judges the sums of all; the first write takes effect.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use leasehold_domain::WallMillis;
use leasehold_domain::limits::ROLLOUT_BATCHES_WAITING_MAX;
use leasehold_domain::limits::ROLLOUT_WINDOWS_KEPT_MAX;

use super::Comparer;
use super::Reporter;
use super::sum::StepSum;
use super::tally::WindowBatch;
use super::window::Evidence;
use super::window::WindowVerdict;
use crate::caller::Caller;
use crate::failure::FailureKind;
use crate::governance::Governance;
use crate::governance::OpenRollout;
use crate::governance::RolloutAction;
use crate::governance::RolloutId;
use crate::governance::RolloutReason;
use crate::governance::document::RolloutStage;
use crate::safety::ClockWatch;
use crate::telemetry::Metrics;

/// How often the windows are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What watches over the open rollouts of one gateway.
#[derive(Debug)]
struct Guard {
    governance: Arc<Governance>,
    comparer: Arc<Comparer>,
    reporter: Arc<Reporter>,
    metrics: Arc<Metrics>,
    clocks: ClockWatch,
    streaks: HashMap<RolloutId, Streak>,
    /// Differences that the ledger is to be told, oldest first.
    batches: VecDeque<(RolloutId, WindowBatch)>,
}

/// The judged windows of one step.
#[derive(Debug, Default)]
struct Streak {
    /// How many windows were judged.
    judged: u64,
    /// Number of bad windows since the last good one.
    bad: u32,
    /// Set once the candidate must be rolled back.
    evidence: Option<Evidence>,
}

impl Streak {
    /// Judges the windows that can be judged now.
    fn judge(&mut self, sum: &StepSum, now: WallMillis) {
        let judged = sum.judged(now);
        let oldest = judged.saturating_sub(ROLLOUT_WINDOWS_KEPT_MAX as u64);
        for index in self.judged.max(oldest)..judged {
            match sum.window(index).verdict {
                WindowVerdict::Good => self.bad = 0,
                // It neither clears a bad window nor adds to it.
                WindowVerdict::NotEnoughData => {}
                WindowVerdict::Bad(evidence) => {
                    self.bad += 1;
                    if self.bad >= 2 {
                        self.evidence.get_or_insert_with(|| Evidence {
                            reason: evidence.reason,
                            text: format!("two windows in a row: {}", evidence.text),
                        });
                    }
                }
            }
        }
        self.judged = self.judged.max(judged);
    }
}

/// Looks at the open rollouts once a second, and as soon as they change. In the shadow stage the
/// candidate has no effect, so it is not rolled back.
pub async fn guard(
    governance: Arc<Governance>,
    comparer: Arc<Comparer>,
    reporter: Arc<Reporter>,
    metrics: Arc<Metrics>,
) -> ControlFlow<()> {
    let mut changes = governance.changes();
    let mut guard = Guard {
        clocks: ClockWatch::new(reporter.incidents().clone(), metrics.clone()),
        batches: VecDeque::new(),
        governance,
        comparer,
        reporter,
        metrics,
        streaks: HashMap::new(),
    };
    let mut pace = tokio::time::interval(LOOK_EVERY);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = pace.tick() => guard.look().await,
            changed = changes.changed() => {
                if changed.is_err() {
                    return ControlFlow::Break(());
                }
                guard.hear().await;
                // The others wait to hear that this gateway runs a step.
                guard.tell().await;
            }
        }
    }
}

impl Guard {
    async fn tell(&self) {
        if let Err(failure) = self.reporter.tell().await {
            tracing::warn!(message = %failure.message, detail = ?failure.detail, "rollouts.report not written; tried again");
        }
    }

    /// Compares the clocks of the gateways that have just reported with that of this one.
    async fn hear(&self) {
        let Ok(heard) = self.reporter.heard().await else {
            return;
        };
        for (gateway, told) in heard {
            self.clocks
                .heard(&gateway, told, self.reporter.wall())
                .await;
        }
    }

    /// Tells the ledger of the windows that are over.
    async fn record(&mut self) {
        self.batches.extend(self.comparer.batches());
        while self.batches.len() > ROLLOUT_BATCHES_WAITING_MAX {
            self.batches.pop_front();
        }
        while let Some((id, batch)) = self.batches.front() {
            if let Err(failure) = self.reporter.record(id, batch).await {
                tracing::warn!(message = %failure.message, detail = ?failure.detail, "rollouts.differences not recorded; tried again");
                return;
            }
            self.batches.pop_front();
        }
    }

    async fn look(&mut self) {
        let (open, now) = (self.governance.open_rollouts(), self.reporter.wall());
        let bursts = self.comparer.look(&open, now);
        self.streaks
            .retain(|id, _| open.iter().any(|open| open.id == *id));
        self.tell().await;
        self.record().await;
        for (id, evidence) in bursts {
            let is_canary =
                |open: &&OpenRollout| open.id == id && open.state.stage == RolloutStage::Canary;
            if open.iter().any(|open| is_canary(&open)) {
                self.roll_back(&id, &evidence).await;
            }
        }
        if open.is_empty() {
            return;
        }
        let sums = match self.reporter.sums(&open).await {
            Ok(sums) => sums,
            Err(failure) => {
                tracing::warn!(message = %failure.message, detail = ?failure.detail, "rollouts.guard cannot sum the reports");
                return;
            }
        };
        for (open, sum) in open.iter().zip(&sums) {
            let streak = self.streaks.entry(open.id.clone()).or_default();
            streak.judge(sum, now);
            let is_canary = open.state.stage == RolloutStage::Canary;
            match streak.evidence.clone() {
                Some(evidence) if is_canary => self.roll_back(&open.id, &evidence).await,
                _ if open.automatic => self.advance(open, sum, now).await,
                _ => {}
            }
        }
    }

    async fn roll_back(&self, id: &RolloutId, evidence: &Evidence) {
        let compared = self.compared(id).await;
        let why = RolloutReason {
            reason: Some(&evidence.text),
            compared: compared.as_deref(),
        };
        if self.change(id, RolloutAction::RollBack, why).await {
            self.metrics.rolled_back(evidence.reason);
            tracing::warn!(rollout = %id.name, evidence = %evidence.text, "rollouts.guard rolled back");
        }
    }

    /// Goes to the next step if everything is there that the plan and the rule of approvals ask for.
    async fn advance(&self, open: &OpenRollout, sum: &StepSum, now: WallMillis) {
        if sum.waits(now).is_some() || self.governance.held_by_flag(open).is_some() {
            return;
        }
        let id = &open.id;
        match self.governance.next_step_is_approved(&id.name).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(failure) => {
                tracing::warn!(rollout = %id.name, message = %failure.message, "rollouts.guard cannot read approvals");
                return;
            }
        }
        let counts = sum.counts.to_string();
        let why = RolloutReason {
            reason: Some("automatic: the last window is good on all gateways"),
            compared: Some(&counts),
        };
        if self.change(id, RolloutAction::Advance, why).await {
            tracing::info!(rollout = %id.name, epoch = id.epoch, "rollouts.guard advanced");
        }
    }

    async fn compared(&self, id: &RolloutId) -> Option<String> {
        let open = self.governance.open_rollouts().into_iter();
        let open: Vec<_> = open.filter(|open| open.id == *id).collect();
        let sums = self.reporter.sums(&open).await.ok()?;
        sums.first().map(|sum| sum.counts.to_string())
    }

    /// Makes a change of the step that was judged. Returns whether this gateway was the one.
    async fn change(&self, id: &RolloutId, action: RolloutAction, why: RolloutReason<'_>) -> bool {
        let Ok(caller) = Caller::gateway("rollouts") else {
            return false;
        };
        let governance = &self.governance;
        let changing = governance.change_rollout(&caller, &id.name, action, why, Some(id.epoch));
        match changing.await {
            Ok(_) => true,
            // Another gateway or a person has changed it first.
            Err(failure) if failure.kind == FailureKind::PreconditionFailed => false,
            Err(failure) => {
                tracing::error!(rollout = %id.name, message = %failure.message, detail = ?failure.detail, "rollouts.guard cannot change it");
                false
            }
        }
    }
}

#[cfg(test)]
mod tests;
