//! Where in the data directory each part is.

use std::path::Path;
use std::path::PathBuf;

use leasehold_domain::StoreName;

/// The folder of a store's ledger: the data directory for the home store, a folder in it for others.
pub fn store_folder(data_dir: &Path, name: &StoreName) -> PathBuf {
    match name.is_home() {
        true => data_dir.to_owned(),
        false => data_dir.join("stores").join(name.as_str()),
    }
}

/// Where in a store's folder its ledger is.
pub fn ledger_file(folder: &Path) -> PathBuf {
    folder.join("ledger.sqlite")
}

/// The file that gets the first administrator's key if standard output is no terminal.
pub fn first_key_file(data_dir: &Path) -> PathBuf {
    data_dir.join("administrator.key")
}

/// The key that signs the ledgers' checkpoints, if the configuration names no other.
pub(crate) fn log_key_file(data_dir: &Path) -> PathBuf {
    data_dir.join("log-key.pem")
}

/// Where compiled modules are kept: what is there is executed.
pub fn compiled_folder(data_dir: &Path) -> PathBuf {
    data_dir.join("compiled")
}

/// Where in a data folder the embedded store is.
pub fn raft_folder(data_dir: &Path) -> PathBuf {
    data_dir.join("raft")
}
