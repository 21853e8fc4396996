//! What the backend has forgotten, and this ledger never had: it comes from other nodes' ledgers,
//! and is believed only if it makes the same hash chain.

use std::sync::Arc;

use leasehold_backend_api::Backend;
use leasehold_backend_api::BackendError;
use leasehold_backend_api::ErrorKind;
use leasehold_backend_api::Ledger;
use leasehold_backend_api::LedgerHead;
use leasehold_backend_api::LedgerPeers;
use leasehold_backend_api::LedgerRow;
use leasehold_domain::Event;

use super::Carrier;
use super::CarryError;
use crate::canonical;
use crate::chain;

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
        fill(&*self.backend, &*self.ledger, &*peers, |head| {
            self.status.head(head.cursor);
            self.status.went_well();
        })
        .await
    }
}

/// Appends the rows that the backend has forgotten and the ledger lacks, from another copy of the
/// ledger, until the backend can go on. Rows are appended only if they make the hash chain that the
/// other copy has. `reached` is called after each part, which is durable then.
///
/// # Errors
/// `Unavailable` if nobody has the rows now; `Corrupt` if the other copy differs.
pub async fn fill(
    backend: &dyn Backend,
    ledger: &dyn Ledger,
    peers: &dyn LedgerPeers,
    mut reached: impl FnMut(LedgerHead),
) -> Result<(), CarryError> {
    loop {
        let (head, trimmed) = (ledger.head(), backend.health().await.trimmed);
        if head.cursor >= trimmed {
            return Ok(());
        }
        tracing::info!(from = head.cursor.0, to = trimmed.0, "ledger.catching up");
        let rows = peers.rows(head.cursor).await.map_err(CarryError::Backend)?;
        let Some(last) = rows.last().map(|row| row.chain) else {
            return Err(CarryError::Backend(missing()));
        };
        // Before anything of it is stored: what is in the ledger stays there.
        let events = checked(head, &rows).map_err(CarryError::Ledger)?;
        let appended = ledger.append(events).await;
        let head = appended.map_err(CarryError::Ledger)?;
        if head.chain != last {
            let detail = format!("up to event {} the hash chains differ", head.cursor.0);
            return Err(CarryError::Ledger(different(&detail)));
        }
        reached(head);
    }
}

/// The events of rows that go on where the ledger ends, each with the hash chain that it says.
fn checked(head: LedgerHead, rows: &[LedgerRow]) -> Result<Vec<Arc<Event>>, BackendError> {
    let mut events = Vec::with_capacity(rows.len());
    let mut chain = head.chain;
    for (row, expected) in rows.iter().zip(head.cursor.0 + 1..) {
        let wrong = |what: &str| different(&format!("event {expected}: {what}"));
        let recorded = canonical::parse(&row.body).map_err(|error| wrong(&error.to_string()))?;
        if row.cursor.0 != expected || recorded.event.cursor.0 != expected {
            return Err(wrong("another stands in its place"));
        }
        chain = chain::after(&chain, row.body.as_bytes());
        if chain != row.chain {
            return Err(wrong("its hash chain is not that of its bytes"));
        }
        events.push(Arc::new(recorded.event));
    }
    Ok(events)
}

fn missing() -> BackendError {
    BackendError::without_effect(ErrorKind::Unavailable, "no other node has the rows")
}

/// Evidence: the nodes of one group must never differ.
fn different(detail: &str) -> BackendError {
    let detail = format!("the ledger of another node differs from this one: {detail}");
    BackendError::without_effect(ErrorKind::Corrupt, detail)
}

#[cfg(test)]
mod tests;
