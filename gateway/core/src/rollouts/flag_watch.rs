//! Asks the flag service while open rollouts name flags, and tells the ledger what it says.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use super::Reporter;
use crate::flags::FlagStatus;
use crate::flags::OfrepSource;
use crate::governance::Governance;

/// How often it is looked whether the service is to be asked.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Asks the service when that is due, and as soon as a rollout names another flag. What an answer
/// changes is recorded once for each rollout, on each gateway.
pub async fn watch_flags(
    governance: Arc<Governance>,
    reporter: Arc<Reporter>,
    source: Arc<OfrepSource>,
) -> ControlFlow<()> {
    let mut changes = governance.changes();
    // What the ledger was told of the flag of each rollout, by the rollout's salt.
    let mut told: HashMap<Arc<str>, FlagStatus> = HashMap::new();
    let mut pace = tokio::time::interval(LOOK_EVERY);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = pace.tick() => {}
            changed = changes.changed() => {
                if changed.is_err() {
                    return ControlFlow::Break(());
                }
            }
        }
        let open = governance.open_rollouts();
        let flags = open.iter().filter_map(|open| open.flag.as_ref());
        let wanted: BTreeSet<String> = flags.map(|flag| flag.key.clone()).collect();
        source.look(&wanted).await;
        told.retain(|salt, _| open.iter().any(|open| open.id.salt == *salt));
        for open in &open {
            let Some(status) = governance.flag_status(open) else {
                continue;
            };
            let before = told.get(&open.id.salt);
            if before.is_some_and(|before| before.is_alike(&status)) {
                continue;
            }
            match reporter.record_flag(&open.id, &status).await {
                Ok(()) => drop(told.insert(open.id.salt.clone(), status)),
                Err(failure) => {
                    tracing::warn!(message = %failure.message, detail = ?failure.detail, "flags.answer not recorded; tried again");
                }
            }
        }
    }
}
