//! The draft of a rollout, and the checks before it is started.

use leasehold_domain::NamespaceName;
use leasehold_domain::Subject;
use leasehold_domain::TeamName;
use leasehold_domain::WallMillis;
use leasehold_domain::limits::ROLLOUT_STEP_MS_MAX;
use leasehold_domain::limits::ROLLOUT_STEPS_MAX;
use leasehold_domain::limits::ROLLOUT_TARGETS_MAX;
use leasehold_domain::limits::ROLLOUT_WINDOW_MS_MAX;
use leasehold_domain::limits::ROLLOUT_WINDOW_MS_MIN;
use leasehold_policy_evaluate::BUCKET_FUNCTION;
use leasehold_policy_evaluate::BUCKETS;
use serde_json::Value;

use crate::caller::Caller;
use crate::failure::Failure;
use crate::field_limits::within;
use crate::governance::document::Guardrails;
use crate::governance::document::RolloutChange;
use crate::governance::document::RolloutDocument;
use crate::governance::document::RolloutStage;
use crate::governance::document::RolloutState;
use crate::governance::document::RolloutStep;
use crate::governance::document::RolloutTargets;
use crate::governance::document::RolloutUnit;
use crate::governance::document::RolloutVersion;
use crate::governance::pattern::LockPattern;

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
    /// Locks, teams and subjects that the candidate judges in every canary step.
    pub targets: RolloutTargets,
    /// The steps; empty for shadow, canaries of 1, 10 and 50 percent, and full.
    pub steps: Vec<RolloutStep>,
    /// The guardrails that roll it back automatically.
    pub guardrails: Guardrails,
}

impl RolloutDraft {
    /// Checks everything that does not depend on what is stored.
    pub(super) fn check(&self) -> Result<(), Failure> {
        if self.name.parse::<NamespaceName>().is_err() {
            return Err(Failure::invalid("name: 1 to 63 of a-z, 0-9 and -"));
        }
        self.check_targets()?;
        self.check_steps()?;
        let Guardrails {
            window_ms,
            newly_denied_max,
            failed_max,
            failures_burst,
            ..
        } = self.guardrails;
        let (min, max) = (ROLLOUT_WINDOW_MS_MIN, ROLLOUT_WINDOW_MS_MAX);
        within("guardrails.window_ms", window_ms, min, max)?;
        within("guardrails.failures_burst", failures_burst, 1, u64::MAX)?;
        if newly_denied_max > BUCKETS || failed_max > BUCKETS {
            return Err(Failure::invalid("guardrails: a share is 0 to 100 percent"));
        }
        Ok(())
    }

    fn check_targets(&self) -> Result<(), Failure> {
        let RolloutTargets {
            locks,
            teams,
            subjects,
        } = &self.targets;
        for (what, list) in [("locks", locks), ("teams", teams), ("subjects", subjects)] {
            if list.len() > ROLLOUT_TARGETS_MAX {
                let message = format!("targets.{what}: at most {ROLLOUT_TARGETS_MAX}");
                return Err(Failure::invalid(message));
            }
        }
        for text in locks {
            LockPattern::parse(text)
                .map_err(|problem| Failure::invalid(format!("targets.locks: {problem}")))?;
        }
        for text in teams {
            let team = text.parse::<TeamName>();
            team.map_err(|error| Failure::invalid(format!("targets.teams: {error}")))?;
        }
        for text in subjects {
            let subject = text.parse::<Subject>();
            subject.map_err(|error| Failure::invalid(format!("targets.subjects: {error}")))?;
        }
        Ok(())
    }

    fn check_steps(&self) -> Result<(), Failure> {
        if self.steps.len() > ROLLOUT_STEPS_MAX {
            let message = format!("steps: at most {ROLLOUT_STEPS_MAX}");
            return Err(Failure::invalid(message));
        }
        let rank = |step: &RolloutStep| match step.stage {
            RolloutStage::Shadow => Some(0),
            RolloutStage::Canary => Some(1),
            RolloutStage::Full => Some(2),
            RolloutStage::RolledBack | RolloutStage::Superseded => None,
        };
        let mut last: Option<(u8, u32)> = None;
        for (at, step) in self.steps.iter().enumerate() {
            let wrong = |problem: &str| Err(Failure::invalid(format!("steps[{at}]: {problem}")));
            let Some(rank) = rank(step) else {
                return wrong("stage: shadow, canary or full");
            };
            if step.share > BUCKETS || (step.share > 0 && step.stage != RolloutStage::Canary) {
                return wrong("share_percent: 0 to 100, and only of a canary");
            }
            let field = format!("steps[{at}].least_ms");
            within(&field, step.least_ms, 0, ROLLOUT_STEP_MS_MAX)?;
            if last.is_some_and(|last| last >= (rank, step.share)) {
                return wrong("shadow comes first, then canaries of growing shares, then full");
            }
            last = Some((rank, step.share));
        }
        match self.steps.first() {
            Some(step) if step.stage == RolloutStage::Full => {
                Err(Failure::invalid("steps: the first is shadow or canary"))
            }
            _ => Ok(()),
        }
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
            targets: self.targets.clone(),
            steps,
            guardrails: self.guardrails,
            state,
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
