//! The embedded store of a gateway that does not run: read for a backup, and made from one.

use std::path::Path;

pub(crate) use leasehold_backend_raft::BlobFiles;
use leasehold_backend_raft::RaftConfig;
pub(crate) use leasehold_backend_raft::Restore;
pub(crate) use leasehold_backend_raft::Restored;
pub(crate) use leasehold_backend_raft::StoppedStore;
pub(crate) use leasehold_backend_raft::entries_ahead;

use crate::data_dir::ledger_file;
use crate::data_dir::raft_folder;

/// Creates an empty store in a data folder that has neither a store nor a ledger; returns the name
/// of its new group. Blocks until it is durable.
///
/// # Errors
/// There is one already, or it cannot be written.
pub fn create(data_dir: &Path) -> Result<String, String> {
    let ledger = ledger_file(data_dir);
    if std::fs::symlink_metadata(&ledger).is_ok() {
        return Err(format!(
            "{}: there is a ledger already, of a store that was lost or is elsewhere; choose \
             another folder, or move it away",
            ledger.display()
        ));
    }
    let config = RaftConfig::new(raft_folder(data_dir));
    leasehold_backend_raft::create(&config).map_err(|error| error.to_string())
}

/// Reads the store in a data folder. Blocks.
///
/// # Errors
/// There is none, it is in use, or it cannot be read.
pub fn read_stopped(data_dir: &Path) -> Result<StoppedStore, String> {
    let config = RaftConfig::new(raft_folder(data_dir));
    StoppedStore::read(&config).map_err(|error| error.to_string())
}

/// Returns a store that has nothing, for a data folder whose store is lost.
pub(crate) fn lost_store() -> StoppedStore {
    StoppedStore::empty()
}

/// Opens the blobs of a store that is to be made in a data folder: what is put there before
/// [`write_restored`] is in the store. Blocks.
///
/// # Errors
/// The folder cannot be written.
pub(crate) fn new_blobs(data_dir: &Path) -> Result<BlobFiles, String> {
    let folder = raft_folder(data_dir);
    let opened = std::fs::create_dir_all(&folder).and_then(|()| BlobFiles::open(&folder));
    opened.map_err(|error| error.to_string())
}

/// Writes a store into a directory that is not there yet, or has blobs only. Blocks until it is durable.
///
/// # Errors
/// It cannot be written, or the picture is not what it should be.
pub(crate) fn write_beside(restore: Restore, directory: &Path) -> Result<Restored, String> {
    let config = RaftConfig::new(directory.to_owned());
    restore.write(&config).map_err(|error| error.to_string())
}

/// Writes a store into a data folder that has none. Blocks until it is durable.
///
/// # Errors
/// It cannot be written, or the picture is not what it should be.
pub(crate) fn write_restored(restore: Restore, data_dir: &Path) -> Result<Restored, String> {
    write_beside(restore, &raft_folder(data_dir))
}
