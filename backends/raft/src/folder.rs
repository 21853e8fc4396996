//! The node's folder: one process at a time, and it can be told when everything has let go of it.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use fs4::fs_std::FileExt;
use tokio::sync::watch;

use crate::OpenError;

/// Keeps other processes out of the folder for as long as any part of the node may write to it.
#[derive(Debug, Clone)]
pub(crate) struct FolderLock {
    /// Released by the kernel when the last clone closes the file, also after a kill.
    _file: Arc<File>,
    /// Closes with the last clone.
    _held: watch::Sender<()>,
}

/// Resolves when the last holder of something is gone: of the folder, or of the peers' address.
#[derive(Debug, Clone)]
pub(crate) struct Released(watch::Receiver<()>);

impl FolderLock {
    /// Takes the folder, or says that somebody has it.
    pub(crate) fn take(folder: &Path) -> Result<(Self, Released), OpenError> {
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(folder.join("lock"))?;
        if !file.try_lock_exclusive()? {
            return Err(OpenError::Locked(folder.to_owned()));
        }
        let (held, released) = watch::channel(());
        let lock = Self {
            _file: Arc::new(file),
            _held: held,
        };
        Ok((lock, Released(released)))
    }
}

impl Released {
    /// Resolves with the last clone of a sender.
    pub(crate) fn of(held: &watch::Sender<()>) -> Self {
        Self(held.subscribe())
    }

    /// Resolves when nothing of the node can use it any more.
    pub(crate) async fn wait(&self) {
        // Nothing is ever sent: an error means that all senders are gone.
        while self.0.clone().changed().await.is_ok() {}
    }
}
