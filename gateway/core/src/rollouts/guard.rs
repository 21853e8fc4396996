//! Rolls back canaries whose guardrails are exceeded. Each gateway acts on its own counts; the write
//! takes effect on all of them. Nothing is advanced automatically.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use super::Comparer;
use crate::caller::Caller;
use crate::failure::FailureKind;
use crate::governance::Governance;
use crate::governance::RolloutAction;
use crate::governance::RolloutReason;
use crate::governance::document::RolloutStage;
use crate::telemetry::Metrics;

/// How often the windows are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Checks the open rollouts once a second. In the shadow stage the candidate has no effect, so it is
/// not rolled back.
pub async fn guard(
    governance: Arc<Governance>,
    comparer: Arc<Comparer>,
    metrics: Arc<Metrics>,
) -> ControlFlow<()> {
    let mut pace = tokio::time::interval(LOOK_EVERY);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        pace.tick().await;
        let open = governance.open_rollouts();
        let rails: HashMap<_, _> = open
            .iter()
            .map(|(id, rails, _)| (id.clone(), *rails))
            .collect();
        let canaries: Vec<_> = open
            .iter()
            .filter(|(_, _, stage)| *stage == RolloutStage::Canary)
            .map(|(id, _, _)| id)
            .collect();
        for (id, evidence) in comparer.look(&rails) {
            if !canaries.contains(&&id) {
                continue;
            }
            let Ok(caller) = Caller::gateway("rollouts") else {
                continue;
            };
            let (name, action) = (&*id.name, RolloutAction::RollBack);
            let compared = comparer
                .standing(&id)
                .map(|standing| standing.counts.to_string());
            let why = RolloutReason {
                reason: Some(&evidence.text),
                compared: compared.as_deref(),
            };
            let changed = governance.change_rollout(&caller, name, action, why, Some(id.epoch));
            match changed.await {
                Ok(_) => {
                    metrics.rolled_back(evidence.reason);
                    tracing::warn!(rollout = name, evidence = %evidence.text, "rollouts.guard rolled back");
                }
                // Another gateway or a person has changed it first.
                Err(failure) if failure.kind == FailureKind::PreconditionFailed => {}
                Err(failure) => {
                    tracing::error!(rollout = name, message = %failure.message, detail = ?failure.detail, "rollouts.guard cannot roll back");
                }
            }
        }
    }
}
