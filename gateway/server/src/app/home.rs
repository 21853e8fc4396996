//! Opens the default store, whichever it is.

use std::sync::Arc;

use leasehold_core::config::Config;
use leasehold_core::config::StorageBackend;
use leasehold_core::telemetry::Metrics;
use leasehold_domain::Clock;

use super::AppError;
use super::away;
use super::backends;
use super::backends::Opened;

/// Opens the store of `[storage]`.
pub(super) async fn open_home(
    config: &Config,
    clock: Arc<dyn Clock>,
    metrics: &Metrics,
) -> Result<Opened, AppError> {
    let chosen = config.storage.chosen();
    match chosen.backend {
        StorageBackend::Raft => {
            // Beside a cluster a folder without a store may be one that was lost.
            let may_create = config.cluster.listen.is_none();
            backends::open_raft(config, clock, metrics, may_create).await
        }
        StorageBackend::Postgres | StorageBackend::Etcd | StorageBackend::Memory => {
            away::open_when_there(config, clock, metrics).await
        }
    }
}

/// Opens the store of `[storage]`, which must be there already, and does not wait for it.
///
/// # Errors
/// There is none, or it cannot be opened now.
pub(super) async fn open_existing(
    config: &Config,
    clock: Arc<dyn Clock>,
    metrics: &Metrics,
) -> Result<Opened, AppError> {
    let chosen = config.storage.chosen();
    match chosen.backend {
        StorageBackend::Raft => backends::open_raft(config, clock, metrics, false).await,
        StorageBackend::Memory => {
            let problem = "memory: nothing is there while no gateway runs";
            Err(AppError::Storage(problem.to_owned()))
        }
        StorageBackend::Postgres | StorageBackend::Etcd => {
            backends::open_shared(chosen, &config.storage.data_dir, clock).await
        }
    }
}
