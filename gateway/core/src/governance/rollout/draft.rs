//! The draft of a rollout, and the checks before it is started.

use leasehold_domain::NamespaceName;
use leasehold_domain::WallMillis;
use leasehold_policy_evaluate::BUCKET_FUNCTION;
use serde_json::Value;

use super::check::check_flag;
use super::check::check_guardrails;
use super::check::check_report;
use super::check::check_steps;
use super::check::check_targets;
use crate::caller::Caller;
use crate::failure::Failure;
use crate::governance::document::Guardrails;
use crate::governance::document::RolloutChange;
use crate::governance::document::RolloutDocument;
use crate::governance::document::RolloutStage;
use crate::governance::document::RolloutState;
use crate::governance::document::RolloutStep;
use crate::governance::document::RolloutTargets;
use crate::governance::document::RolloutUnit;
use crate::governance::document::RolloutVersion;

/// A rollout that is to be started.
#[derive(Debug, Clone, PartialEq)]
pub struct RolloutDraft {
    /// Its name: 1 to 63 of `a-z 0-9 -`.
    pub name: String,
    /// The binding that it changes.
    pub binding: String,
    /// The policy in that binding.
    pub policy: String,
    /// The candidate's version; `None` for the version that is bound.
    pub version: Option<String>,
    /// The candidate's configuration; `None` for the one that is bound.
    pub config: Option<Value>,
    /// What shares one bucket.
    pub unit: RolloutUnit,
    /// The key of the flag that may narrow or hold it; `None` for none.
    pub flag: Option<String>,
    /// Locks, teams and subjects that the candidate judges in every canary step.
    pub targets: RolloutTargets,
    /// The steps; empty for shadow, canaries of 1, 10 and 50 percent, and full.
    pub steps: Vec<RolloutStep>,
    /// The guardrails that roll it back automatically.
    pub guardrails: Guardrails,
    /// Whether it goes to its next step by itself, once that is allowed.
    pub automatic: bool,
    /// SHA-256 of the report of a replay, on which approvals rely.
    pub replay_report: Option<String>,
}

impl RolloutDraft {
    /// Checks everything that does not depend on what is stored.
    pub(super) fn check(&self) -> Result<(), Failure> {
        if self.name.parse::<NamespaceName>().is_err() {
            return Err(Failure::invalid("name: 1 to 63 of a-z, 0-9 and -"));
        }
        check_flag(self.flag.as_deref())?;
        check_targets(&self.targets)?;
        check_steps(&self.steps)?;
        check_guardrails(&self.guardrails)?;
        check_report(self.replay_report.as_deref())
    }

    /// Returns the candidate.
    pub(super) fn candidate(&self, current: &RolloutVersion) -> Result<RolloutVersion, Failure> {
        let version = self.version.as_ref().unwrap_or(&current.version).clone();
        let config = self.config.as_ref().unwrap_or(&current.config).clone();
        let candidate = RolloutVersion { version, config };
        match candidate == *current {
            true => Err(Failure::invalid(
                "version, config: the same as in the binding; name another version or configuration",
            )),
            false => Ok(candidate),
        }
    }

    /// Returns the document of the rollout that `caller` starts.
    pub(super) fn document(
        &self,
        caller: &Caller,
        current: RolloutVersion,
        candidate: RolloutVersion,
        now: WallMillis,
    ) -> RolloutDocument {
        let steps = match self.steps.is_empty() {
            true => default_steps(),
            false => self.steps.clone(),
        };
        let state = RolloutState {
            stage: steps[0].stage,
            share: steps[0].share,
            step: 0,
            epoch: 0,
            since_ms: now.0,
            held: false,
        };
        let at = crate::telemetry::rfc3339(now);
        let by = caller.principal.subject.to_string();
        RolloutDocument {
            name: self.name.clone(),
            binding: self.binding.clone(),
            policy: self.policy.clone(),
            current,
            candidate,
            unit: self.unit,
            salt: format!("{}-{:016x}", self.name, rand::random::<u64>()),
            bucket_function: BUCKET_FUNCTION.to_owned(),
            flag: self.flag.clone(),
            targets: self.targets.clone(),
            steps,
            guardrails: self.guardrails,
            automatic: self.automatic,
            state,
            replay_report: self.replay_report.clone(),
            started_by: by.clone(),
            started_at: at.clone(),
            changes: vec![RolloutChange {
                at,
                by,
                action: "started".to_owned(),
                to: state.describe(),
                reason: None,
                compared: None,
            }],
        }
    }
}

/// Shadow, canaries of 1, 10 and 50 percent, and full.
fn default_steps() -> Vec<RolloutStep> {
    let step = |stage, share| RolloutStep {
        stage,
        share,
        least_ms: 0,
    };
    let canaries = [1_000, 10_000, 50_000].map(|share| step(RolloutStage::Canary, share));
    let mut steps = vec![step(RolloutStage::Shadow, 0)];
    steps.extend(canaries);
    steps.push(step(RolloutStage::Full, 0));
    steps
}
