//! The contract of a store of governance documents and blobs.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use leasehold_domain::Digest;
use leasehold_domain::Document;
use leasehold_domain::DocumentSet;
use leasehold_domain::Edit;
use leasehold_domain::EditOutcome;
use leasehold_domain::FeatureLevel;

use crate::BackendError;

/// Governance state: small documents that every gateway keeps in memory, and blobs by digest.
#[async_trait]
pub trait Documents: Debug + Send + Sync + 'static {
    /// The document of that name, linearizably.
    async fn get(&self, collection: &str, id: &str) -> Result<Option<Document>, BackendError>;

    /// All documents of a collection in the order of their ids, as of one point in time.
    async fn list(&self, collection: &str) -> Result<Vec<Document>, BackendError>;

    /// Returns all documents of all collections as of one point in time, linearizably. Takes constant
    /// time besides what linearizability costs. Two snapshots share what did not change between
    /// them, unless the store was read anew in between, so comparing them
    /// ([`DocumentSet::changes_since`]) takes time in proportion to what changed.
    async fn snapshot(&self) -> Result<DocumentSet, BackendError>;

    /// Applies all edits, or none, together with the audit events of those that have one; durable
    /// before the answer.
    async fn write(&self, edits: Vec<Edit>) -> Result<EditOutcome, BackendError>;

    /// The store's revision of documents, linearizably: that of the last write that was answered
    /// before this was asked, or of a later one. It grows with every write, also of a deletion.
    async fn revision(&self) -> Result<u64, BackendError>;

    /// Returns the feature level by whose rules the store writes, as far as this gateway knows it. It
    /// never falls, so what it allows stays allowed. Answers at once.
    fn level(&self) -> FeatureLevel;

    /// A stream that yields the store's revision whenever any document has changed, beginning
    /// with the current one. Revisions may be skipped; the last one never is.
    fn watch(&self) -> BoxStream<'static, u64>;

    /// Stores bytes under their SHA-256; storing them again is harmless. Durable before the answer, as
    /// a write is: a document may name the digest from then on.
    ///
    /// *Errors.* A store takes blobs of up to [`leasehold_domain::limits::BLOB_BYTES_MAX`] bytes, and
    /// may refuse longer ones as `Invalid`.
    async fn put_blob(&self, bytes: Arc<[u8]>) -> Result<Digest, BackendError>;

    /// Returns the bytes of that digest; `None` if no such blob was stored.
    ///
    /// *Errors.* `Unavailable` if there may be such a blob where this gateway cannot read now.
    /// `Corrupt` if it was stored, and its bytes are lost.
    async fn get_blob(&self, digest: &Digest) -> Result<Option<Arc<[u8]>>, BackendError>;
}
