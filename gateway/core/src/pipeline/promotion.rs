//! Changes of rollouts that somebody asks for, checked against what all gateways have reported.

use std::time::Duration;

use leasehold_domain::limits::ROLLOUT_REACH_WAIT_MS_MAX;

use super::Pipeline;
use crate::caller::Caller;
use crate::failure::Failure;
use crate::failure::FailureKind;
use crate::flags::FlagStatus;
use crate::governance::OpenRollout;
use crate::governance::RolloutAction;
use crate::governance::RolloutReason;
use crate::governance::Stored;
use crate::governance::document::RolloutDocument;
use crate::rollouts::Counts;
use crate::rollouts::StepSum;
use crate::rollouts::WindowVerdict;

/// How often it is looked whether all gateways run a step.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A step of an open rollout over all gateways.
#[derive(Debug, Clone)]
pub struct StepStatus {
    /// What the gateways have counted, and which of them run it.
    pub sum: StepSum,
    /// Why an automatic rollout does not leave it now; `None` if it does, or is not automatic.
    pub waits: Option<String>,
    /// What this gateway knows of the rollout's flag; `None` if it names none.
    pub flag: Option<FlagStatus>,
}

impl Pipeline {
    /// Changes a rollout and records what all gateways have compared in its step. Does not advance it
    /// while a guardrail is exceeded or a gateway does not run the step, unless `force`.
    ///
    /// # Errors
    /// `conflict`: a guardrail, with the evidence, gateways that do not run the step, or the rollout's
    /// stage. Those of [`Governance::change_rollout`](crate::governance::Governance::change_rollout).
    pub async fn change_rollout(
        &self,
        caller: &Caller,
        name: &str,
        (action, force): (RolloutAction, bool),
        (reason, epoch): (Option<&str>, Option<u64>),
    ) -> Result<Stored<RolloutDocument>, Failure> {
        let governance = &self.inner.governance;
        let rollout = governance.rollout(name).await?.document;
        let open = OpenRollout::of(&rollout);
        let mut sum = None;
        if rollout.state.stage.is_open() {
            sum = match (action, force) {
                (RolloutAction::Advance, false) => {
                    Some(Box::pin(self.may_advance(name, &open)).await?)
                }
                // A way back does not wait for counts.
                _ => Box::pin(self.sum(&open)).await.ok(),
            };
        }
        let counts = sum.map(|sum| sum.counts);
        let counts = counts.filter(|counts| *counts != Counts::default());
        let compared = counts.map(|counts| counts.to_string());
        let why = RolloutReason {
            reason,
            compared: compared.as_deref(),
        };
        governance
            .change_rollout(caller, name, action, why, epoch)
            .await
    }

    /// Returns the steps of these rollouts over all gateways; `None` for one that is not open.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn steps(
        &self,
        rollouts: &[&RolloutDocument],
    ) -> Result<Vec<Option<StepStatus>>, Failure> {
        let is_open = |rollout: &&&RolloutDocument| rollout.state.stage.is_open();
        let open = rollouts.iter().filter(is_open);
        let open: Vec<OpenRollout> = open.map(|rollout| OpenRollout::of(rollout)).collect();
        let mut sums = self.reporter.sums(&open).await?.into_iter();
        let mut all = Vec::with_capacity(rollouts.len());
        for rollout in rollouts {
            let sum = match rollout.state.stage.is_open() {
                true => sums.next(),
                false => None,
            };
            all.push(match sum {
                Some(sum) => Some(self.status(rollout, sum).await?),
                None => None,
            });
        }
        Ok(all)
    }

    async fn status(&self, rollout: &RolloutDocument, sum: StepSum) -> Result<StepStatus, Failure> {
        let (mut waits, open) = (None, OpenRollout::of(rollout));
        if rollout.automatic {
            waits = sum.waits(self.inner.decider.clock().wall());
            let governance = &self.inner.governance;
            waits = waits.or_else(|| governance.held_by_flag(&open));
            if waits.is_none() && !governance.next_step_is_approved(&rollout.name).await? {
                waits = Some(format!(
                    "others must approve the next step: `leasehold rollout request-approval {}`",
                    rollout.name
                ));
            }
        }
        let flag = self.inner.governance.flag_status(&open);
        Ok(StepStatus { sum, waits, flag })
    }

    async fn sum(&self, open: &OpenRollout) -> Result<StepSum, Failure> {
        let sums = self.reporter.sums(std::slice::from_ref(open)).await?;
        let sum = sums.into_iter().next();
        sum.ok_or_else(|| Failure::internal("one sum for one rollout"))
    }

    /// Waits a little until all gateways run a step, and checks its guardrails.
    async fn may_advance(&self, name: &str, open: &OpenRollout) -> Result<StepSum, Failure> {
        let clock = self.inner.decider.clock();
        let refused = |problem: String| {
            let message = format!("rollout {name}: {problem}");
            Err(Failure::new(FailureKind::Conflict, message))
        };
        let began = clock.monotonic();
        let patience = Duration::from_millis(ROLLOUT_REACH_WAIT_MS_MAX);
        let sum = loop {
            let sum = self.sum(open).await?;
            let not_reached = sum.not_reached();
            if not_reached.is_empty() {
                break sum;
            }
            if clock.monotonic().saturating_sub(began) >= patience {
                let names = not_reached.join(", ");
                return refused(format!("these gateways do not run its step: {names}"));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        };
        let own = self.comparer().standing(&open.id);
        let own = own.and_then(|standing| standing.verdict);
        let newest = sum.newest(clock.wall()).map(|window| window.verdict);
        for verdict in newest.into_iter().chain(own) {
            if let WindowVerdict::Bad(evidence) = verdict {
                return refused(format!("a guardrail is exceeded: {}", evidence.text));
            }
        }
        Ok(sum)
    }
}
