//! Records in the ledger what the gateway notices of its stores.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

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

/// The collection that the ledger shows.
const COLLECTION: &str = "storage";
/// The principal that the ledger shows.
const ACTOR: &str = "leasehold:storage";

/// Records something about a store, durably.
///
/// # Errors
/// The store does not take the record.
pub(crate) async fn record(
    backend: &dyn Backend,
    request_id: &str,
    store: &impl Display,
    summary: &str,
) -> Result<(), BackendError> {
    let change = change(request_id, &store.to_string(), summary).map_err(|error| {
        BackendError::without_effect(ErrorKind::Invalid, format!("a name of ours: {error}"))
    })?;
    let note = Note::Governance(Box::new(change));
    backend.execute(Batch::note(note)).await.map(drop)
}

/// Makes the ledger's record of something about a store.
pub(crate) fn change(request_id: &str, store: &str, summary: &str) -> Result<Change, InvalidName> {
    Ok(Change {
        request_id: request_id.parse()?,
        principal: Arc::new(Principal {
            subject: ACTOR.parse()?,
            team: None,
            roles: RoleSet::default(),
            claims: BTreeMap::new(),
        }),
        collection: COLLECTION.into(),
        id: store.into(),
        digest: Some(Digest::of(summary.as_bytes())),
        summary: summary.into(),
    })
}
