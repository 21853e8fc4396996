//! Incidents of checkpoints that a witness did not cosign.

use std::sync::Arc;

use leasehold_domain::StoreName;
use leasehold_domain::WallMillis;

use super::Incidents;
use super::incident::Incident;
use super::incident::WitnessRefusal;

/// Keeps one open incident for each witness that refuses the checkpoints of a ledger. That it cosigns
/// again does not explain why it did not, so such an incident ends when an operator acknowledges it.
#[derive(Debug)]
pub(crate) struct RefusalWatch(Arc<Incidents>);

impl RefusalWatch {
    pub(crate) fn new(incidents: Arc<Incidents>) -> Self {
        Self(incidents)
    }

    /// Opens an incident about the ledger of this store, or counts the refusal in the open one.
    pub(crate) async fn refused(&self, store: &StoreName, found: WitnessRefusal, now: WallMillis) {
        let WitnessRefusal {
            witness, answer, ..
        } = &found;
        tracing::error!(%store, witness, answer, size = found.size, "witness.refused");
        let open = |incident: &Incident| {
            let known = incident.witness.as_ref();
            incident.is_open()
                && incident.store == store.as_str()
                && known.is_some_and(|known| known.witness == found.witness)
        };
        match self.0.find(open) {
            // The file is written when something else changes: the count alone is not worth it.
            Some(id) => {
                self.0.change(&id, |incident| {
                    if let Some(known) = &mut incident.witness {
                        known.refusals += 1;
                    }
                });
            }
            None => {
                self.0.add(Incident {
                    witness: Some(found),
                    ..Incident::open(store.as_str(), self.0.gateway(), now)
                });
                self.0.keep().await;
            }
        }
    }

    /// Ends the incidents that an operator has acknowledged.
    pub(crate) async fn end_acknowledged(&self, now: WallMillis) {
        let of_kind = |incident: &Incident| incident.witness.is_some();
        self.0.end_acknowledged(of_kind, now).await;
    }
}
