//! A data directory whose embedded store is missing while its other parts are there.

use std::path::Path;

use leasehold_backend_api::Ledger;
use leasehold_domain::StoreName;

use super::AppError;
use super::embedded::raft_folder;
use crate::config::Config;
use crate::config::StorageBackend;
use crate::stores::Remembered;
use crate::stores::ledger_file;
use crate::stores::open_ledger;

/// Refuses to create an embedded store in a data directory that had one: the new one would know
/// nothing of the locks that are held, and its fencing tokens would be smaller.
///
/// A gateway that waits for its cluster to take it in may come without a store: it gets the group's.
///
/// # Errors
/// The store is missing. Nothing was created.
pub(super) async fn check(config: &Config, remembered: &Remembered) -> Result<(), AppError> {
    let waits = config.cluster.listen.is_some() && config.cluster.join;
    if config.storage.backend != StorageBackend::Raft || waits {
        return Ok(());
    }
    let problem = problem(&config.storage.data_dir, remembered).await;
    match problem.map_err(AppError::Ledger)? {
        Some(problem) => Err(AppError::Parts(problem)),
        None => Ok(()),
    }
}

/// Returns what is wrong if the embedded store of a data directory is missing while its other parts
/// are there.
///
/// # Errors
/// The ledger cannot be read.
pub(crate) async fn problem(
    data_dir: &Path,
    remembered: &Remembered,
) -> Result<Option<String>, String> {
    let store = raft_folder(data_dir);
    if store.join("log").is_dir() {
        return Ok(None);
    }
    let mut had = Vec::new();
    if let Some(was) = remembered.get(&StoreName::home())
        && was.id.is_some()
    {
        had.push(format!("stores.json remembers event {}", was.newest));
    }
    if ledger_file(data_dir).exists() {
        let ledger = open_ledger(data_dir).await?;
        had.push(format!(
            "the ledger ends at event {}",
            ledger.head().cursor.0
        ));
    }
    if had.is_empty() {
        return Ok(None);
    }
    Ok(Some(format!(
        "{} is missing (a new store would begin at event 0), but {}; bring it back, or restore a \
         backup into a new directory; `leasehold store accept-older` starts a new history",
        store.display(),
        had.join(" and "),
    )))
}
