//! The feature level of a store that several gateways share: one of its documents.

use leasehold_domain::Cursor;
use leasehold_domain::Edit;
use leasehold_domain::FeatureLevel;
use leasehold_domain::Precondition;

use crate::BackendError;
use crate::Documents;

/// Gives a store that keeps its level among its documents the level of the build that founds it.
/// `newest` is the store's newest event. A store with events or documents is left as it is, and so is
/// one that another gateway founds at the same time.
///
/// # Errors
/// The store cannot be read or written.
pub async fn found_level(
    documents: &dyn Documents,
    newest: Cursor,
    to: FeatureLevel,
) -> Result<(), BackendError> {
    if newest > Cursor(0) || documents.revision().await? > 0 {
        return Ok(());
    }
    let founding = level_edit(to, Precondition::Absent);
    documents.write(vec![founding]).await.map(|_| ())
}

/// Returns the edit that gives a store that keeps its level among its documents another level.
#[must_use]
pub fn level_edit(to: FeatureLevel, precondition: Precondition) -> Edit {
    Edit {
        collection: FeatureLevel::COLLECTION.into(),
        id: FeatureLevel::DOCUMENT.into(),
        body: Some(to.to_string().into_bytes().into()),
        precondition,
        change: None,
    }
}
