//! Rollouts as the API shows them.

use leasehold_core::caller::Caller;
use leasehold_core::governance::RolloutId;
use leasehold_core::governance::Stored;
use leasehold_core::governance::document::Guardrails;
use leasehold_core::governance::document::RolloutChange;
use leasehold_core::governance::document::RolloutDocument;
use leasehold_core::governance::document::RolloutStep;
use leasehold_core::governance::document::RolloutVersion;
use leasehold_core::rollouts::SampleDifference;
use leasehold_core::rollouts::Standing;
use leasehold_core::rollouts::WindowVerdict;
use leasehold_core::telemetry::rfc3339;
use leasehold_domain::WallMillis;
use leasehold_wire::v1::rollouts as wire;

use crate::services::App;

/// Shows a rollout, with what this gateway has compared in its step.
pub(super) fn show(app: &App, caller: &Caller, stored: Stored<RolloutDocument>) -> wire::Rollout {
    let standing = app
        .pipeline
        .standing(caller, &RolloutId::of(&stored.document));
    let revision = stored.revision;
    let RolloutDocument {
        name,
        binding,
        policy,
        current,
        candidate,
        unit,
        salt,
        bucket_function,
        targets,
        steps,
        guardrails,
        replay_report,
        state,
        started_by,
        started_at,
        changes,
    } = stored.document;
    wire::Rollout {
        name,
        binding,
        policy,
        current: version(current),
        candidate: version(candidate),
        stage: state.stage.as_str().to_owned(),
        share_percent: percent(state.share),
        held: state.held,
        step: state.step as u64,
        epoch: state.epoch,
        since: rfc3339(WallMillis(state.since_ms)),
        steps: steps.into_iter().map(step).collect(),
        unit: unit.as_str().to_owned(),
        salt,
        bucket_function,
        targets: wire::RolloutTargets {
            locks: targets.locks,
            teams: targets.teams,
            subjects: targets.subjects,
        },
        guardrails: show_guardrails(guardrails),
        replay_report,
        started_by,
        started_at,
        changes: changes.into_iter().map(change).collect(),
        revision,
        comparison: standing.map(comparison),
    }
}

fn version(version: RolloutVersion) -> wire::RolloutVersion {
    let RolloutVersion { version, config } = version;
    wire::RolloutVersion { version, config }
}

/// Returns thousandths of a percent as percent.
fn percent(share: u32) -> f64 {
    f64::from(share) / super::THOUSANDTHS
}

fn step(step: RolloutStep) -> wire::RolloutStep {
    let is_canary = step.stage.as_str() == "canary";
    wire::RolloutStep {
        stage: step.stage.as_str().to_owned(),
        share_percent: is_canary.then(|| percent(step.share)),
        least_ms: (step.least_ms > 0).then_some(step.least_ms),
    }
}

fn show_guardrails(rails: Guardrails) -> wire::RolloutGuardrails {
    wire::RolloutGuardrails {
        window_ms: Some(rails.window_ms),
        least_samples: Some(rails.least_samples),
        newly_denied_max_percent: Some(percent(rails.newly_denied_max)),
        failed_max_percent: Some(percent(rails.failed_max)),
        failures_burst: Some(rails.failures_burst),
        fuel_ratio_max_percent: Some(rails.fuel_ratio_max_percent),
    }
}

fn change(change: RolloutChange) -> wire::RolloutChange {
    let RolloutChange {
        at,
        by,
        action,
        to,
        reason,
        compared,
    } = change;
    wire::RolloutChange {
        at,
        by,
        action,
        to,
        reason,
        compared,
    }
}

fn comparison(standing: Standing) -> wire::RolloutComparison {
    let counts = &standing.counts;
    let evidence = match &standing.verdict {
        Some(WindowVerdict::Bad(evidence)) => Some(evidence.text.clone()),
        _ => None,
    };
    let differences = counts.differences.iter();
    wire::RolloutComparison {
        compared: counts.compared,
        agreed: counts.agreed(),
        shed: counts.shed,
        differences: differences
            .map(|(kind, count)| (kind.as_str().to_owned(), *count))
            .collect(),
        current_fuel: counts.current_fuel,
        candidate_fuel: counts.candidate_fuel,
        verdict: standing.verdict.map(|verdict| verdict.as_str().to_owned()),
        evidence,
        newest: standing.differences.into_iter().map(difference).collect(),
    }
}

fn difference(sample: SampleDifference) -> wire::RolloutDifference {
    wire::RolloutDifference {
        at: rfc3339(sample.at),
        kind: sample.kind.as_str().to_owned(),
        operation: sample.operation.to_owned(),
        lock: sample.lock.to_string(),
        subject: sample.subject,
        team: sample.team,
        current: sample.current,
        candidate: sample.candidate,
    }
}
