//! Edits of a rollout's plan. What decides who is in the canary, the unit and the salt, never changes.

use leasehold_domain::Precondition;
use leasehold_domain::limits::ROLLOUT_REASON_BYTES_MAX;

use super::RolloutReason;
use super::WRITES_MAX;
use super::changed_each_time;
use super::check::check_flag;
use super::check::check_guardrails;
use super::check::check_report;
use super::check::check_steps;
use super::check::check_targets;
use crate::caller::Caller;
use crate::failure::Failure;
use crate::failure::FailureKind;
use crate::field_limits::prose;
use crate::governance::ApprovalStanding;
use crate::governance::Governance;
use crate::governance::Stored;
use crate::governance::document::Guardrails;
use crate::governance::document::ROLLOUTS;
use crate::governance::document::RolloutDocument;
use crate::governance::document::RolloutStage;
use crate::governance::document::RolloutStep;
use crate::governance::document::RolloutTargets;
use crate::governance::edit;

/// An edit of a plan; `None` leaves a part as it is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RolloutEdit {
    /// The steps that follow the current one.
    pub next_steps: Option<Vec<RolloutStep>>,
    /// Locks, teams and subjects that the candidate judges in every canary step.
    pub targets: Option<RolloutTargets>,
    /// The guardrails.
    pub guardrails: Option<Guardrails>,
    /// The flag.
    pub flag: Option<FlagEdit>,
    /// Whether it goes to its next step by itself.
    pub automatic: Option<bool>,
    /// SHA-256 of the report of a replay.
    pub replay_report: Option<String>,
}

/// An edit of the flag that may narrow or hold a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FlagEdit {
    /// It follows the flag with this key.
    Follow(String),
    /// It follows none.
    Remove,
}

impl RolloutEdit {
    /// Returns the rollout with the edited plan.
    fn apply(&self, before: &RolloutDocument) -> Result<RolloutDocument, Failure> {
        let mut rollout = before.clone();
        if let Some(next) = &self.next_steps {
            rollout.steps.truncate(rollout.state.step + 1);
            rollout.steps.extend(next);
        }
        if let Some(targets) = &self.targets {
            rollout.targets = targets.clone();
        }
        if let Some(guardrails) = self.guardrails {
            rollout.guardrails = guardrails;
        }
        match &self.flag {
            Some(FlagEdit::Follow(key)) => rollout.flag = Some(key.clone()),
            Some(FlagEdit::Remove) => rollout.flag = None,
            None => {}
        }
        if let Some(automatic) = self.automatic {
            rollout.automatic = automatic;
        }
        if let Some(report) = &self.replay_report {
            rollout.replay_report = Some(report.clone());
        }
        check_steps(&rollout.steps)?;
        check_targets(&rollout.targets)?;
        check_guardrails(&rollout.guardrails)?;
        check_flag(rollout.flag.as_deref())?;
        check_report(rollout.replay_report.as_deref())?;
        if rollout == *before {
            return Err(Failure::invalid("the edit changes nothing"));
        }
        Ok(rollout)
    }
}

impl Governance {
    /// Edits the plan of an open rollout. Approvals of the plan before no longer count. In a canary the
    /// edited plan needs approvals first, because its targets, guardrails and flag are in force at once.
    ///
    /// # Errors
    /// A part is invalid, it names a flag and this gateway has no flag service, there is no such rollout, it is not open, it is in another epoch, others must
    /// approve the edited plan first, or the store cannot write.
    pub async fn edit_rollout(
        &self,
        caller: &Caller,
        name: &str,
        edited: &RolloutEdit,
        why: RolloutReason<'_>,
        seen: Option<u64>,
    ) -> Result<Stored<RolloutDocument>, Failure> {
        prose("reason", why.reason, ROLLOUT_REASON_BYTES_MAX)?;
        for _ in 0..WRITES_MAX {
            let stored = self.seen_rollout(name, seen).await?;
            let Stored {
                document: before,
                revision,
            } = stored;
            if !before.state.stage.is_open() {
                let message = format!("rollout {name}: it is {}", before.state.stage.as_str());
                return Err(Failure::new(FailureKind::Conflict, message));
            }
            let mut rollout = edited.apply(&before)?;
            if rollout.flag != before.flag {
                self.check_flag_service(rollout.flag.as_deref())?;
            }
            let mut approval = None;
            if rollout.state.stage == RolloutStage::Canary {
                let step = rollout.state.step;
                let proposals = self.proposals_of_rollout(&rollout, step).await?;
                approval = Box::pin(self.approved(caller, &proposals)).await?;
            }
            self.record(caller, &mut rollout, "edited", why);
            let mut summary = format!("rollout {name}: plan edited");
            if rollout.flag != before.flag {
                let key = |flag: &Option<String>| flag.clone().unwrap_or_else(|| "none".to_owned());
                summary += &format!("; flag {} -> {}", key(&before.flag), key(&rollout.flag));
            }
            if let Some(reason) = why.reason {
                summary += &format!(": {reason}");
            }
            let same = Precondition::Revision(revision);
            let edit = edit(caller, ROLLOUTS, name, Some(&rollout), same, summary)?;
            match self
                .commit([edit].into_iter().chain(approval).collect())
                .await
            {
                Ok(revision) => {
                    return Ok(Stored {
                        document: rollout,
                        revision,
                    });
                }
                Err(failure) if failure.kind == FailureKind::PreconditionFailed => {}
                Err(failure) => return Err(failure),
            }
        }
        Err(changed_each_time())
    }

    /// Requests approval of a rollout's plan as far as one of its steps; `None` for the last.
    ///
    /// # Errors
    /// There is no such rollout or step, the rollout is not open or has reached the step, or the store
    /// cannot write.
    pub async fn request_rollout_approval(
        &self,
        caller: &Caller,
        name: &str,
        to_step: Option<usize>,
    ) -> Result<ApprovalStanding, Failure> {
        let rollout = self.rollout(name).await?.document;
        if !rollout.state.stage.is_open() {
            let message = format!("rollout {name}: it is {}", rollout.state.stage.as_str());
            return Err(Failure::new(FailureKind::Conflict, message));
        }
        let last = rollout.steps.len().saturating_sub(1);
        let target = to_step.unwrap_or(last);
        if target <= rollout.state.step || target > last {
            let first = rollout.state.step + 1;
            let message = format!("to_step: a step that follows, {first} to {last}");
            return Err(Failure::invalid(message));
        }
        let proposal = self.proposal_of_rollout(&rollout, target).await?;
        self.requested(caller, proposal).await
    }

    /// Refuses a rollout that names a flag which this gateway has no service to ask for.
    pub(super) fn check_flag_service(&self, flag: Option<&str>) -> Result<(), Failure> {
        if flag.is_none() || self.flags.snapshot().has_service() {
            return Ok(());
        }
        let problem = "flag: this gateway has no flag service; set rollouts.flag_service";
        Err(Failure::invalid(problem))
    }

    /// Refuses a rollout that would begin with a canary that nobody could have approved.
    pub(super) async fn check_first_stage(&self, rollout: &RolloutDocument) -> Result<(), Failure> {
        if rollout.state.stage == RolloutStage::Shadow || !self.needs_approval().await? {
            return Ok(());
        }
        let message = "steps: changes need approval here, so a rollout begins with a shadow step";
        Err(Failure::new(FailureKind::Conflict, message))
    }
}
