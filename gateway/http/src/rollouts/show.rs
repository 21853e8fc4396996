//! Rollouts as the API shows them.

use leasehold_core::caller::Caller;
use leasehold_core::failure::Failure;
use leasehold_core::flags::FlagStatus;
use leasehold_core::governance::RolloutId;
use leasehold_core::governance::Stored;
use leasehold_core::governance::document::Guardrails;
use leasehold_core::governance::document::RolloutChange;
use leasehold_core::governance::document::RolloutDocument;
use leasehold_core::governance::document::RolloutStep;
use leasehold_core::governance::document::RolloutVersion;
use leasehold_core::pipeline::StepStatus;
use leasehold_core::rollouts::GatewayStanding;
use leasehold_core::rollouts::SampleDifference;
use leasehold_core::rollouts::Standing;
use leasehold_core::rollouts::StepSum;
use leasehold_core::rollouts::WindowVerdict;
use leasehold_core::telemetry::rfc3339;
use leasehold_domain::WallMillis;
use leasehold_wire::v1::rollouts as wire;

use crate::services::App;

/// Shows rollouts with their steps over all gateways.
pub(super) async fn show_all(
    app: &App,
    caller: &Caller,
    stored: Vec<Stored<RolloutDocument>>,
) -> Result<Vec<wire::Rollout>, Failure> {
    let documents: Vec<&RolloutDocument> = stored.iter().map(|stored| &stored.document).collect();
    let steps = Box::pin(app.pipeline.steps(&documents)).await?;
    let shown = stored.into_iter().zip(steps);
    Ok(shown
        .map(|(stored, step)| show(app, caller, stored, step))
        .collect())
}

/// Shows a rollout with its step over all gateways.
pub(super) async fn show_one(
    app: &App,
    caller: &Caller,
    stored: Stored<RolloutDocument>,
) -> Result<wire::Rollout, Failure> {
    let step = Box::pin(app.pipeline.steps(&[&stored.document])).await?;
    Ok(show(app, caller, stored, step.into_iter().flatten().next()))
}

/// Shows a rollout that was changed, also if the store cannot be read for more.
pub(super) async fn after_change(
    app: &App,
    caller: &Caller,
    stored: Stored<RolloutDocument>,
) -> wire::Rollout {
    let step = Box::pin(app.pipeline.steps(&[&stored.document])).await;
    let step = step.unwrap_or_default().into_iter().flatten().next();
    show(app, caller, stored, step)
}

/// Shows a rollout, with what this gateway has compared in its step, and all of them.
pub(super) fn show(
    app: &App,
    caller: &Caller,
    stored: Stored<RolloutDocument>,
    step: Option<StepStatus>,
) -> wire::Rollout {
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
        flag: flag_key,
        targets,
        steps,
        guardrails,
        automatic,
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
        steps: steps.into_iter().map(show_step).collect(),
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
        automatic,
        waits: step.as_ref().and_then(|step| step.waits.clone()),
        flag: flag_key.map(|key| flag(key, step.as_ref().and_then(|step| step.flag.clone()))),
        total: step.as_ref().map(|step| total(app, &step.sum)),
        gateways: step
            .map(|step| step.sum.gateways.iter().map(gateway).collect())
            .unwrap_or_default(),
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

/// Shows the flag that a rollout names: what is known of it, while the rollout is open.
fn flag(key: String, status: Option<FlagStatus>) -> wire::RolloutFlag {
    let shown = |status: FlagStatus| wire::RolloutFlag {
        key: status.key,
        share_max_percent: Some(percent(status.limit.share)),
        hold: status.limit.hold,
        value: status.value,
        variant: status.variant,
        reason: status.reason,
        age_ms: status
            .age
            .map(|age| age.as_millis().try_into().unwrap_or(u64::MAX)),
        stale: status.stale,
        problem: status.problem,
    };
    status.map_or_else(
        || wire::RolloutFlag {
            key,
            share_max_percent: None,
            hold: false,
            value: None,
            variant: None,
            reason: None,
            age_ms: None,
            stale: false,
            problem: None,
        },
        shown,
    )
}

fn show_step(step: RolloutStep) -> wire::RolloutStep {
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

/// The counts of all gateways, with the verdict on the newest window that has enough data.
fn total(app: &App, sum: &StepSum) -> wire::RolloutTotal {
    let (counts, newest) = (&sum.counts, sum.newest(app.clock.wall()));
    let differences = counts.differences.iter();
    let evidence = newest.as_ref().and_then(|window| match &window.verdict {
        WindowVerdict::Bad(evidence) => Some(evidence.text.clone()),
        _ => None,
    });
    wire::RolloutTotal {
        compared: counts.compared,
        agreed: counts.agreed(),
        shed: counts.shed,
        differences: differences
            .map(|(kind, count)| (kind.as_str().to_owned(), *count))
            .collect(),
        current_fuel: counts.current_fuel,
        candidate_fuel: counts.candidate_fuel,
        window: newest.as_ref().map(|window| window.index),
        verdict: newest
            .as_ref()
            .map(|window| window.verdict.as_str().to_owned()),
        evidence,
        missing: newest.map(|window| window.missing).unwrap_or_default(),
    }
}

fn gateway(standing: &GatewayStanding) -> wire::RolloutGateway {
    wire::RolloutGateway {
        id: standing.id.clone(),
        name: standing.name.clone(),
        state: standing.state.as_str().to_owned(),
        reported_at: standing.reported.map(rfc3339),
        compared: standing.compared,
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
