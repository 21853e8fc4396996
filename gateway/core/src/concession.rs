//! What a store is taken with although it weakens a promise, because the configuration allows it
//! by name: each time that this begins it is on record.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use leasehold_backend_api::Backend;
use leasehold_backend_api::BackendError;
use leasehold_backend_api::ErrorKind;
use tokio::sync::watch;

use crate::storage_note;
use crate::tasks::TaskMetrics;
use crate::tasks::supervise;

/// How long to wait before a failed record is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// The kind of a store, and what is conceded to it.
pub type Concessions = (&'static str, watch::Receiver<Option<String>>);

/// Records what is conceded to a store, if anything ever is.
///
/// # Errors
/// The store does not take the record.
pub async fn begin(
    backend: Arc<dyn Backend>,
    concessions: Option<Concessions>,
) -> Result<(), BackendError> {
    match concessions {
        Some((store, concessions)) => record_from_now_on(backend, store, concessions).await,
        None => Ok(()),
    }
}

/// Records what is conceded now, and from then on whatever begins to be: a failover may lead to a
/// server that is worse than the one before.
///
/// # Errors
/// The store does not take the record.
async fn record_from_now_on(
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
    storage_note::record(backend, "storage-concession", &store, concession).await
}
