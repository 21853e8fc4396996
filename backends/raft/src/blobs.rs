//! Blobs: bytes by digest, outside of the log, the state and its snapshots.
//!
//! The log registers digests; each member keeps the bytes in files of its own. A blob exists once it is
//! registered, and it is registered only when a majority of the voters has it durably. A member that
//! does not have a registered blob (it was down, it is new, its file is damaged) fetches it from the
//! others: when it is asked for it, and by itself in the background.

mod fetch;
mod files;
mod replicate;
mod serve;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::Weak;

use leasehold_backend_api::BackendError;
use leasehold_backend_api::ErrorKind;
use leasehold_backend_api::Poison;
use leasehold_domain::Digest;
use tokio::sync::Notify;

pub use self::files::BlobFiles;
pub use self::files::BlobWriteError;
pub(crate) use self::files::DIRECTORY;
pub(crate) use self::replicate::admit;
use crate::OpenError;
use crate::entry::TypeConfig;
use crate::error;
use crate::folder::FolderLock;
use crate::outbox::Applied;
use crate::peer::Peers;
use crate::seat::Seats;

/// The blobs of one member.
#[derive(Debug)]
pub(crate) struct Blobs {
    files: Arc<BlobFiles>,
    /// Held by each access to the files; none once the node has closed.
    lock: Mutex<Option<FolderLock>>,
    seats: Arc<Seats<TypeConfig>>,
    applied: Arc<Applied>,
    peers: Option<Arc<Peers>>,
    poison: Poison,
    /// Fetches under way: one for each blob.
    turns: Mutex<HashMap<Digest, Weak<tokio::sync::Mutex<()>>>>,
    /// Wakes the background task when a file was found damaged.
    damaged: Notify,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Blobs {
    /// The blobs of a node with these files. They keep its directory until [`Blobs::close`].
    ///
    /// # Errors
    /// The node has no peers, and not all registered blobs are here: the directory is not as the node
    /// left it.
    pub(crate) fn open(
        (files, folder): (BlobFiles, FolderLock),
        seats: &Arc<Seats<TypeConfig>>,
        peers: &Option<Arc<Peers>>,
        poison: &Poison,
    ) -> Result<Arc<Self>, OpenError> {
        let blobs = Self {
            files: Arc::new(files),
            lock: Mutex::new(Some(folder)),
            seats: seats.clone(),
            applied: seats.applied.clone(),
            peers: peers.clone(),
            poison: poison.clone(),
            turns: Mutex::default(),
            damaged: Notify::new(),
        };
        if peers.is_none() {
            blobs.check_all_are_here()?;
        }
        Ok(Arc::new(blobs))
    }

    /// Lets go of the directory once all accesses under way have ended.
    pub(crate) fn close(&self) {
        *lock(&self.lock) = None;
    }

    /// Whether the log, as far as it is applied here, has registered a blob.
    pub(crate) fn is_registered(&self, digest: &Digest) -> bool {
        self.applied.read().blobs.contains(digest)
    }

    /// Returns the registered blobs that are not here, and the last entry that is applied.
    pub(crate) fn missing(&self) -> (u64, Vec<Digest>) {
        let (applied, registered) = {
            let inner = self.applied.read();
            (
                inner.last_applied.map_or(0, |id| id.index),
                inner.blobs.clone(),
            )
        };
        (applied, self.files.missing(registered.iter()))
    }

    /// Returns those of the digests that are not here.
    pub(crate) fn missing_of(&self, digests: &[Digest]) -> Vec<Digest> {
        self.files.missing(digests)
    }

    /// Checks that all registered blobs are here, where there is no other member to fetch them from.
    fn check_all_are_here(&self) -> Result<(), OpenError> {
        let (_, missing) = self.missing();
        let Some(first) = missing.first() else {
            return Ok(());
        };
        let path = self.files.path(first);
        let detail = format!(
            "{} of the {} blobs (policy modules and configurations) that the log names are missing, such \
             as {}: bring the files back, or restore a backup into a new directory; `leasehold store \
             accept-older` starts a new history without them",
            missing.len(),
            self.applied.read().blobs.len(),
            path.display(),
        );
        Err(OpenError::Corrupt(detail))
    }

    /// Returns the bytes of a registered blob: of this member's file, or fetched from the others.
    ///
    /// # Errors
    /// `Unavailable`: it is not here, and not all others could be asked. `Corrupt`: no member has it.
    pub(crate) async fn get(&self, digest: Digest) -> Result<Arc<[u8]>, BackendError> {
        let read = self.with_files(move |files| files.read(&digest)).await?;
        match read {
            Ok(Some(bytes)) => return Ok(bytes.into()),
            Ok(None) => {}
            Err(error) => tracing::error!(%digest, %error, "blob.read failed"),
        }
        self.fetch(digest, None).await
    }

    /// Makes bytes durable on this member, and returns their digest.
    ///
    /// # Errors
    /// The disk is full. If it failed otherwise, the store is poisoned.
    pub(crate) async fn write(&self, bytes: Arc<[u8]>) -> Result<Digest, BackendError> {
        match self.with_files(move |files| files.put(&bytes)).await? {
            Ok(digest) => Ok(digest),
            Err(BlobWriteError::Full(error)) => {
                let detail = format!("the blob cannot be written: {error}");
                Err(unavailable(detail))
            }
            Err(BlobWriteError::Failed(error)) => {
                tracing::error!(%error, "blob.write failed; the store is poisoned");
                self.poison.set(&error.to_string());
                Err(error::closed())
            }
        }
    }

    /// Runs blocking work on the files on a thread for blocking work. Holds the lock on the directory
    /// until the work is done, also if the caller is cancelled.
    async fn with_files<T: Send + 'static>(
        &self,
        work: impl FnOnce(&BlobFiles) -> T + Send + 'static,
    ) -> Result<T, BackendError> {
        let folder = lock(&self.lock).clone().ok_or_else(error::closed)?;
        let files = self.files.clone();
        let done = tokio::task::spawn_blocking(move || {
            let done = work(&files);
            drop(folder);
            done
        });
        done.await
            .map_err(|error| BackendError::unknown(ErrorKind::Closed, error.to_string()))
    }
}

fn unavailable(detail: String) -> BackendError {
    BackendError::without_effect(ErrorKind::Unavailable, detail)
}
