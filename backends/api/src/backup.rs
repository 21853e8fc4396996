//! The contract of a store that can be made anew from a backup.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use leasehold_domain::Cursor;
use leasehold_domain::Digest;

use crate::BackendError;

/// Locks and documents as they were after one write, and which blobs there were. Together with the
/// blobs' bytes and the ledger up to `newest` it is all that a store needs to be made anew elsewhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    /// The last event that went before it.
    pub newest: Cursor,
    /// The store's revision of that write: no token was given out until then that is
    /// `(revision + 1)` × [`leasehold_domain::limits::TOKENS_PER_WRITE`] or more.
    pub revision: u64,
    /// The lock machine's state in its stored form, with version and checksum. Holds the secrets
    /// of leases.
    pub state: Vec<u8>,
    /// The digests of the blobs, in order. Their bytes are read one by one: [`BlobSource::blob`].
    pub blobs: Vec<Digest>,
}

impl Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Picture")
            .field("newest", &self.newest)
            .field("revision", &self.revision)
            .field("state_bytes", &self.state.len())
            .field("blobs", &self.blobs.len())
            .finish()
    }
}

/// Where the bytes of a picture's blobs are.
#[async_trait]
pub trait BlobSource: Debug + Send + Sync + 'static {
    /// Returns the bytes of a blob of a picture; `None` if they are lost for good, so that a backup
    /// must go without them.
    ///
    /// *Errors.* `Unavailable` if the bytes may be where this store cannot read now.
    async fn blob(&self, digest: &Digest) -> Result<Option<Arc<[u8]>>, BackendError>;
}

/// A store that can be backed up while it serves.
#[async_trait]
pub trait Backup: BlobSource + Debug + Send + Sync + 'static {
    /// A picture of the store, with all that was answered before the call.
    ///
    /// *Errors.* `Unavailable` if the store cannot agree now; a picture has no effect.
    async fn picture(&self) -> Result<Picture, BackendError>;
}
