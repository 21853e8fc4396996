//! What a store is taken with although it weakens a promise, because the configuration allows it
//! by name: each time that this begins it is on record.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use leasehold_backend_api::Backend;
use leasehold_backend_api::BackendError;
use leasehold_backend_api::Batch;
use leasehold_backend_api::ErrorKind;
use leasehold_domain::Change;
use leasehold_domain::Digest;
use leasehold_domain::InvalidName;
use leasehold_domain::Note;
use leasehold_domain::Principal;
use leasehold_domain::RoleSet;
use tokio::sync::watch;

use crate::tasks::TaskMetrics;
use crate::tasks::supervise;

/// The ledger's word for it, and for whose doing it is.
const COLLECTION: &str = "storage";
const ACTOR: &str = "leasehold:storage";
/// How long to wait before a failed record is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// Records what is conceded now, and from then on whatever begins to be: a failover may lead to a
/// server that is worse than the one before.
///
/// # Errors
/// The store does not take the record.
pub(crate) async fn record_from_now_on(
    backend: Arc<dyn Backend>,
    store: &'static str,
    mut concessions: watch::Receiver<Option<String>>,
) -> Result<(), BackendError> {
    let now = concessions.borrow_and_update().clone();
    if let Some(concession) = now {
        record(&*backend, store, &concession).await?;
    }
    supervise("concessions", &TaskMetrics::default(), move || {
        let (backend, mut concessions) = (backend.clone(), concessions.clone());
        async move {
            while concessions.changed().await.is_ok() {
                let now = concessions.borrow_and_update().clone();
                if let Some(concession) = now {
                    insist(&*backend, store, &concession).await;
                }
            }
            ControlFlow::Break(())
        }
    })
    .detach();
    Ok(())
}

/// Tries until the store takes it: what is conceded may come with a store that is in trouble.
async fn insist(backend: &dyn Backend, store: &str, concession: &str) {
    while let Err(error) = record(backend, store, concession).await {
        tracing::warn!(%error, concession, "a concession could not be recorded");
        if !error.is_retryable() || error.kind == ErrorKind::Closed {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn record(backend: &dyn Backend, store: &str, concession: &str) -> Result<(), BackendError> {
    tracing::warn!(store, concession, "storage.concession");
    let change = change(store, concession).map_err(|error| {
        BackendError::without_effect(ErrorKind::Invalid, format!("a name of ours: {error}"))
    })?;
    let note = Note::Governance(Box::new(change));
    backend.execute(Batch::note(note)).await.map(drop)
}

fn change(store: &str, concession: &str) -> Result<Change, InvalidName> {
    Ok(Change {
        request_id: "storage-concession".parse()?,
        principal: Arc::new(Principal {
            subject: ACTOR.parse()?,
            team: None,
            roles: RoleSet::default(),
            claims: BTreeMap::new(),
        }),
        collection: COLLECTION.into(),
        id: store.into(),
        digest: Some(Digest::of(concession.as_bytes())),
        summary: concession.into(),
    })
}
