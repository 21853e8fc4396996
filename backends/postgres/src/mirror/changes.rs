//! What one write did besides its events, as the log keeps it for gateways that follow.

use leasehold_backend_api::BackendError;
use leasehold_domain::Edit;
use leasehold_domain::LockRef;
use leasehold_machine::EndedRequest;
use leasehold_machine::RecordChange;
use leasehold_machine::stored;
use leasehold_stored::Formed;
use leasehold_stored::formed;
use leasehold_stored::store as form;

use crate::error;

/// What one write did to the records, and which documents it changed without an event.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(super) locks: Vec<LockChange>,
    pub(super) ended: Vec<EndedRequest>,
    /// Those that have an event are named by it.
    pub(crate) documents: Vec<DocumentName>,
}

#[derive(Debug)]
pub(super) struct LockChange {
    pub(super) lock: LockRef,
    /// `None` if the record is gone.
    pub(super) change: Option<RecordChange>,
}

/// The name of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DocumentName {
    pub(crate) collection: Box<str>,
    pub(crate) id: Box<str>,
}

impl DocumentName {
    /// Returns the names of the documents that these edits change without an event.
    pub(super) fn without_event(edits: &[Edit]) -> impl Iterator<Item = Self> {
        let edits = edits.iter().filter(|edit| edit.change.is_none());
        edits.map(|edit| Self {
            collection: edit.collection.clone(),
            id: edit.id.clone(),
        })
    }
}

formed!(struct Changes => form::Changes<'a> { locks, ended, documents });
formed!(struct LockChange => form::LockChange<'a> { lock, change });
formed!(struct DocumentName => form::DocumentName<'a> { collection, id });

impl Changes {
    /// Decodes what the log has of a write.
    ///
    /// # Errors
    /// The bytes are not of this form.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, BackendError> {
        stored::decode(bytes).map_err(|failure| error::corrupt("log", failure))
    }

    /// Encodes them for the log.
    pub(crate) fn pack(&self) -> Vec<u8> {
        stored::pack_form(&self.form())
    }
}
