//! Incidents of decisions that the self-check did not reproduce.

use std::sync::Arc;

use leasehold_domain::StoreName;
use leasehold_domain::WallMillis;

use super::Incidents;
use super::incident::Incident;
use super::incident::NotReproduced;

/// Keeps one open incident for each policy version whose verdicts were not reproduced. Evaluations that
/// agree again prove nothing about those that differed, so such an incident ends when an operator
/// acknowledges it.
#[derive(Debug)]
pub(crate) struct EvaluationWatch(Arc<Incidents>);

impl EvaluationWatch {
    pub(crate) fn new(incidents: Arc<Incidents>) -> Self {
        Self(incidents)
    }

    /// Opens an incident about a verdict in the ledger of this store, or counts it in the open one.
    pub(crate) async fn differs(&self, store: &StoreName, found: NotReproduced, now: WallMillis) {
        tracing::error!(
            %store,
            policy = found.policy,
            version = found.version,
            decision = found.decision,
            recorded = found.recorded,
            evaluated = found.evaluated,
            "policy.not_reproduced: a recorded decision was evaluated again with another result"
        );
        let open = |incident: &Incident| {
            let same = |known: &NotReproduced| {
                known.policy == found.policy && known.version == found.version
            };
            incident.is_open()
                && incident.store == store.as_str()
                && incident.not_reproduced.as_ref().is_some_and(same)
        };
        match self.0.find(open) {
            Some(id) => {
                self.0.change(&id, |incident| {
                    if let Some(known) = &mut incident.not_reproduced {
                        known.verdicts += found.verdicts;
                    }
                });
            }
            None => self.0.add(Incident {
                not_reproduced: Some(found),
                ..Incident::open(store.as_str(), self.0.gateway(), now)
            }),
        }
        self.0.keep().await;
    }

    /// Ends the incidents that an operator has acknowledged.
    pub(crate) async fn end_acknowledged(&self, now: WallMillis) {
        let of_kind = |incident: &Incident| incident.not_reproduced.is_some();
        self.0.end_acknowledged(of_kind, now).await;
    }
}
