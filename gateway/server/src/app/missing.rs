//! A data directory whose embedded store is missing while its other parts are there.

use leasehold_core::config::Config;
use leasehold_core::config::StorageBackend;
use leasehold_core::stores::Remembered;
use leasehold_core::stores::stopped::missing_store;

use super::AppError;

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
    let problem = missing_store(&config.storage.data_dir, remembered).await;
    match problem.map_err(AppError::Ledger)? {
        Some(problem) => Err(AppError::Parts(problem)),
        None => Ok(()),
    }
}
