//! Opens a Postgres or etcd store that is older than this gateway remembers, so that an operator can
//! start a new history from it.

use std::sync::Arc;
use std::time::Duration;

use leasehold_core::config::Config;
use leasehold_core::config::StorageBackend;
use leasehold_core::data_dir::store_folder;
use leasehold_core::stores::Remembered;
use leasehold_core::stores::accept::AcceptError;
use leasehold_core::stores::accept::Accepted;
use leasehold_core::stores::accept::Terms;
use leasehold_core::stores::accept::accept_older;
use leasehold_core::stores::accept::shared::OldStore;
use leasehold_core::stores::accept::shared::accept_shared;
use leasehold_domain::Clock;
use leasehold_domain::StoreName;
use leasehold_domain::SystemClock;

use super::AppError;
use super::backends;
use super::database_memory::DatabaseMemory;

/// How long the store may take to open.
const OPEN_WITHIN: Duration = Duration::from_secs(30);

/// Starts a new history of one of the stores of a gateway that does not run.
///
/// # Errors
/// There is no such store, it cannot be opened, or its parts are not such that a new history could
/// continue them.
pub async fn accept_older_store(
    config: &Config,
    name: &StoreName,
    terms: Terms,
) -> Result<Accepted, AcceptError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let data_dir = &config.storage.data_dir;
    let chosen = match name.is_home() {
        true => config.storage.chosen(),
        false => {
            let store = config.stores.get(name.as_str());
            let store = store.ok_or_else(|| {
                AcceptError::Refused(format!("there is no [stores.{name}] in the configuration"))
            })?;
            store.chosen()
        }
    };
    let folder = store_folder(data_dir, name);
    if chosen.backend == StorageBackend::Raft {
        return accept_older(data_dir, terms, clock.wall()).await;
    }
    if terms.without_store {
        let problem = "--without-store is for the embedded store alone";
        return Err(AcceptError::Refused(problem.to_owned()));
    }
    let failed = |error: &dyn std::fmt::Display| AcceptError::Failed(error.to_string());
    let remembered = Remembered::open(data_dir).map_err(|error| failed(&error))?;
    let opening = backends::open_older(chosen, &folder, clock.clone());
    let opened = tokio::time::timeout(OPEN_WITHIN, opening).await;
    let opened = opened.map_err(|_| failed(&"the store does not answer"))?;
    let (opened, database) = opened.map_err(|error: AppError| failed(&error))?;
    let new_history = opened
        .new_history
        .ok_or_else(|| failed(&"a store of this kind has no history that can be started anew"))?;
    let old = OldStore {
        name: name.clone(),
        folder,
        backend: opened.backend.clone(),
        new_history,
        others: opened.others,
        seen: database
            .as_deref()
            .map_or(0, DatabaseMemory::replaced_version),
    };
    let accepted = accept_shared(old, &remembered, terms, clock.wall()).await;
    opened.backend.close().await;
    let accepted = accepted?;
    if let Some(database) = database {
        let version = accepted.revision;
        let written = tokio::task::spawn_blocking(move || database.accept(version)).await;
        let written = written.map_err(|error| failed(&error))?;
        written.map_err(|error| failed(&error))?;
    }
    Ok(accepted)
}
