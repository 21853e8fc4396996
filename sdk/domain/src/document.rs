//! Governance documents: what namespaces, bindings and keys are stored as.

use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

use crate::Change;

/// A governance document: a namespace, a binding, a key…
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// Its kind.
    pub collection: Box<str>,
    /// Its name in the collection.
    pub id: Box<str>,
    /// The revision of its last write; grows with every write of the store.
    pub revision: u64,
    /// Its bytes: JSON, written by the server.
    pub body: Arc<[u8]>,
}

/// Under which condition a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Precondition {
    /// None.
    Any,
    /// It does not exist.
    Absent,
    /// Its revision is this one.
    Revision(u64),
}

/// One change to documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// The document's kind.
    pub collection: Box<str>,
    /// Its name.
    pub id: Box<str>,
    /// Its new bytes; none to delete it.
    pub body: Option<Arc<[u8]>>,
    /// When the edit may happen.
    pub precondition: Precondition,
    /// What the ledger keeps of it, which names the same document. `None` for what a gateway notes
    /// for itself and nobody has asked for, such as the day of a key's last use: it makes no event.
    pub change: Option<Change>,
}

/// What a write of documents came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum EditOutcome {
    /// All edits took effect, at this revision.
    Done(u64),
    /// The precondition of the edit with this index did not hold; no edit took effect.
    Conflict {
        /// Which edit.
        index: usize,
        /// The document's revision; none if it does not exist.
        current: Option<u64>,
    },
}
