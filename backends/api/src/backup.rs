//! The contract of a store that can be made anew from a backup.

use std::fmt::Debug;

use async_trait::async_trait;
use leasehold_domain::Cursor;

use crate::BackendError;

/// Locks, documents and blobs as they were after one write. Together with the ledger up to
/// `newest` it is all that a store needs to be made anew elsewhere.
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
}

impl Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Picture")
            .field("newest", &self.newest)
            .field("revision", &self.revision)
            .field("state_bytes", &self.state.len())
            .finish()
    }
}

/// A store that can be backed up while it serves.
#[async_trait]
pub trait Backup: Debug + Send + Sync + 'static {
    /// A picture of the store, with all that was answered before the call.
    ///
    /// *Errors.* `Unavailable` if the store cannot agree now; a picture has no effect.
    async fn picture(&self) -> Result<Picture, BackendError>;
}
