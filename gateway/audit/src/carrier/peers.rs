//! What the backend has forgotten, and this ledger never had: it comes from other nodes' ledgers,
//! and is believed only if it makes the same hash chain.

use leasehold_backend_api::BackendError;
use leasehold_backend_api::ErrorKind;

use super::Carrier;
use super::CarryError;
use crate::canonical;

impl Carrier {
    /// Whether the error only says that the ledger is behind what the backend still has.
    pub(super) fn is_behind(&self, error: &CarryError) -> bool {
        matches!(error, CarryError::Backend(inner) if inner.kind == ErrorKind::Trimmed)
            && self.elsewhere.peers.is_some()
    }

    /// Gets what the backend does not have any more.
    pub(super) async fn catch_up(&mut self) -> Result<(), CarryError> {
        let Some(peers) = self.elsewhere.peers.clone() else {
            return Ok(());
        };
        loop {
            let (head, trimmed) = (self.ledger.head(), self.backend.health().await.trimmed);
            if head.cursor >= trimmed {
                return Ok(());
            }
            tracing::info!(from = head.cursor.0, to = trimmed.0, "ledger.catching up");
            let rows = peers.rows(head.cursor).await.map_err(CarryError::Backend)?;
            let Some(last) = rows.last().map(|row| row.chain) else {
                return Err(CarryError::Backend(missing()));
            };
            let mut events = Vec::with_capacity(rows.len());
            for row in &rows {
                let recorded = canonical::parse(&row.body)
                    .map_err(|error| CarryError::Ledger(different(&error.to_string())))?;
                events.push(std::sync::Arc::new(recorded.event));
            }
            let appended = self.ledger.append(events).await;
            let head = appended.map_err(CarryError::Ledger)?;
            if head.chain != last {
                let detail = format!("up to event {} the hash chains differ", head.cursor.0);
                return Err(CarryError::Ledger(different(&detail)));
            }
            self.status.head(head.cursor);
        }
    }
}

fn missing() -> BackendError {
    BackendError::without_effect(ErrorKind::Unavailable, "no other node has the rows")
}

/// Evidence: the nodes of one group must never differ.
fn different(detail: &str) -> BackendError {
    let detail = format!("the ledger of another node differs from this one: {detail}");
    BackendError::without_effect(ErrorKind::Corrupt, detail)
}
