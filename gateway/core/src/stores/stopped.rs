//! The parts in the data directory of a gateway with an embedded store that does not run.

use std::path::Path;

use leasehold_audit::continuity;
use leasehold_backend_api::Ledger;
use leasehold_backend_api::LedgerHead;
use leasehold_domain::Cursor;
use leasehold_domain::Digest;
use leasehold_domain::StoreName;

use super::Remembered;
use super::continuity::ContinuityError;
use super::continuity::memory;
use super::open_ledger;
use crate::data_dir::ledger_file;
use crate::data_dir::raft_folder;
use crate::embedded::StoppedStore;
use crate::embedded::read_stopped;

/// What the parts of a directory are.
#[derive(Debug)]
pub struct StoppedParts {
    /// Where the ledger ends.
    pub head: LedgerHead,
    /// The first event of the ledger that does not fit its hash chain; `None` where all do.
    pub bad: Option<Cursor>,
    /// Why the parts are not of one history; `None` if they are.
    pub problem: Option<String>,
}

/// Compares the parts in a directory, and checks the ledger's hash chain.
///
/// # Errors
/// A part is in use, or cannot be read.
pub async fn verify_stopped(data_dir: &Path) -> Result<StoppedParts, String> {
    let nothing = LedgerHead {
        cursor: Cursor(0),
        chain: Digest([0; 32]),
    };
    let without_ledger = |problem| StoppedParts {
        head: nothing,
        bad: None,
        problem: Some(problem),
    };
    if let Some(problem) = store_is_missing(data_dir).await? {
        return Ok(without_ledger(problem));
    }
    let folder = data_dir.to_owned();
    let store = tokio::task::spawn_blocking(move || read_stopped(&folder)).await;
    let store = store.map_err(|error| error.to_string())??;
    if let Some(problem) = ledger_is_missing(data_dir, &store) {
        return Ok(without_ledger(problem));
    }
    let ledger = match open_ledger(data_dir).await {
        Err(error) if error.is_not_what_was_written => return Ok(without_ledger(error.problem)),
        opened => opened?,
    };
    let bad = ledger.verify().await.map_err(|error| error.to_string())?;
    Ok(StoppedParts {
        head: ledger.head(),
        bad,
        problem: compare_stopped(data_dir, &store, &ledger).await?,
    })
}

/// Returns why the directory is not whole, if its store is missing.
///
/// # Errors
/// A part cannot be read.
pub async fn store_is_missing(data_dir: &Path) -> Result<Option<String>, String> {
    let remembered = Remembered::open(data_dir).map_err(|error| error.to_string())?;
    missing_store(data_dir, &remembered).await
}

/// Returns what is wrong if the embedded store of a data directory is missing while its other parts
/// are there.
///
/// # Errors
/// The ledger cannot be read.
pub async fn missing_store(
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

/// Returns why the directory is not whole, if its store has events and its ledger is missing.
pub fn ledger_is_missing(data_dir: &Path, store: &StoppedStore) -> Option<String> {
    let file = ledger_file(data_dir);
    let newest = store.history.map_or(store.picture.newest, |at| at.newest).0;
    (!file.exists()).then(|| {
        format!(
            "{} is missing, and the store is at event {newest}",
            file.display()
        )
    })
}

/// Returns why the ledger is not the continuation of what the store has forgotten; `None` if it is.
///
/// # Errors
/// A part cannot be read.
pub async fn compare_stopped(
    data_dir: &Path,
    store: &StoppedStore,
    ledger: &dyn Ledger,
) -> Result<Option<String>, String> {
    let remembered = Remembered::open(data_dir).map_err(|error| error.to_string())?;
    let memory = match remembered.get(&StoreName::home()) {
        Some(remembered) => memory(&remembered).map_err(|error| error.to_string())?,
        None => None,
    };
    let history = store.history.ok_or("the store waits for its cluster")?;
    let evidence = continuity::gather_stopped(history, &store.events, ledger, memory).await;
    let evidence = evidence.map_err(|error| error.to_string())?;
    let problem = continuity::compare(&evidence).err();
    Ok(problem.map(|found| ContinuityError::Refused(found).to_string()))
}
