//! Checks of a rollout's plan that do not depend on what is stored.

use leasehold_domain::Digest;
use leasehold_domain::Subject;
use leasehold_domain::TeamName;
use leasehold_domain::limits::FLAG_KEY_BYTES_MAX;
use leasehold_domain::limits::ROLLOUT_STEP_MS_MAX;
use leasehold_domain::limits::ROLLOUT_STEPS_MAX;
use leasehold_domain::limits::ROLLOUT_TARGETS_MAX;
use leasehold_domain::limits::ROLLOUT_WINDOW_MS_MAX;
use leasehold_domain::limits::ROLLOUT_WINDOW_MS_MIN;
use leasehold_policy_evaluate::BUCKETS;

use crate::failure::Failure;
use crate::field_limits::name;
use crate::field_limits::within;
use crate::governance::document::Guardrails;
use crate::governance::document::RolloutStage;
use crate::governance::document::RolloutStep;
use crate::governance::document::RolloutTargets;
use crate::governance::pattern::LockPattern;

/// Checks the guardrails.
pub(super) fn check_guardrails(guardrails: &Guardrails) -> Result<(), Failure> {
    let Guardrails {
        window_ms,
        newly_denied_max,
        failed_max,
        failures_burst,
        ..
    } = *guardrails;
    let (min, max) = (ROLLOUT_WINDOW_MS_MIN, ROLLOUT_WINDOW_MS_MAX);
    within("guardrails.window_ms", window_ms, min, max)?;
    within("guardrails.failures_burst", failures_burst, 1, u64::MAX)?;
    if newly_denied_max > BUCKETS || failed_max > BUCKETS {
        return Err(Failure::invalid("guardrails: a share is 0 to 100 percent"));
    }
    Ok(())
}

/// Checks the key of a flag.
pub(super) fn check_flag(flag: Option<&str>) -> Result<(), Failure> {
    if flag.is_some_and(str::is_empty) {
        return Err(Failure::invalid("flag: must not be empty"));
    }
    name("flag", flag, FLAG_KEY_BYTES_MAX)
}

/// Checks the digest of a replay's report.
pub(super) fn check_report(digest: Option<&str>) -> Result<(), Failure> {
    let is_one = |text: &str| {
        let parsed = text.parse::<Digest>();
        parsed.is_ok_and(|digest| digest.to_string() == text)
    };
    match digest.is_none_or(is_one) {
        true => Ok(()),
        false => Err(Failure::invalid(
            "replay_report: the SHA-256 of a report, 64 of 0-9 and a-f",
        )),
    }
}

/// Checks the locks, teams and subjects that the candidate judges in every canary step.
pub(super) fn check_targets(targets: &RolloutTargets) -> Result<(), Failure> {
    let RolloutTargets {
        locks,
        teams,
        subjects,
    } = targets;
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

/// Checks the steps: they go in one direction.
pub(super) fn check_steps(steps: &[RolloutStep]) -> Result<(), Failure> {
    if steps.len() > ROLLOUT_STEPS_MAX {
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
    for (at, step) in steps.iter().enumerate() {
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
    match steps.first() {
        Some(step) if step.stage == RolloutStage::Full => {
            Err(Failure::invalid("steps: the first is shadow or canary"))
        }
        _ => Ok(()),
    }
}
