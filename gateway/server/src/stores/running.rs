//! A store with its tasks: the carrier of its events, the ear of those who wait, and the watchman
//! who sees whether it agrees.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use leasehold_audit::CarrierStatus;
use leasehold_audit::LedgerOptions;
use leasehold_audit::SqliteLedger;
use leasehold_backend_api::Backend;
use leasehold_backend_api::Documents;
use leasehold_backend_api::Ledger;
use leasehold_domain::Clock;
use leasehold_domain::StoreName;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::OpenStore;
use crate::bookkeeping::Bookkeeping;
use crate::bookkeeping::OtherLedgers;
use crate::pipeline::execute::Store;
use crate::pipeline::watch::Watches;
use crate::safety::Safety;
use crate::safety::Watchman;
use crate::telemetry::Metrics;
use crate::waits::Waits;

/// What a store is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) name: StoreName,
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) documents: Arc<dyn Documents>,
    pub(crate) ledger: Arc<dyn Ledger>,
    /// Who has the ledger's rows besides.
    pub(crate) others: OtherLedgers,
    /// How many events stay in the store although the ledger has them.
    pub(crate) keep_events: u64,
}

/// A store whose tasks run.
#[derive(Debug)]
pub(crate) struct RunningStore {
    pub(crate) open: Arc<OpenStore>,
    backend: Arc<dyn Backend>,
    stop: watch::Sender<bool>,
    bookkeeping: Bookkeeping,
    waits: JoinHandle<()>,
    watchman: JoinHandle<()>,
}

/// Where in a store's folder its ledger is.
pub(crate) fn ledger_file(folder: &Path) -> PathBuf {
    folder.join("ledger.sqlite")
}

/// Opens the ledger of one store in its folder, which is made if absent.
///
/// # Errors
/// The folder cannot be made, or the ledger in it cannot be used.
pub(crate) fn open_ledger(folder: &Path) -> Result<SqliteLedger, String> {
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let path = ledger_file(folder);
    SqliteLedger::open(&path, LedgerOptions::default()).map_err(|error| error.to_string())
}

impl Parts {
    /// Puts the store together and starts its tasks.
    pub(crate) async fn run(
        self,
        clock: Arc<dyn Clock>,
        metrics: &Arc<Metrics>,
        safety: &Safety,
    ) -> RunningStore {
        let Self {
            name,
            backend,
            documents,
            ledger,
            others,
            keep_events,
        } = self;
        let (stop, stopped) = watch::channel(false);
        let status = Arc::new(CarrierStatus::default());
        let bookkeeping = Bookkeeping::begin(
            backend.clone(),
            ledger.clone(),
            others,
            status.clone(),
            keep_events,
        );
        let waits = Arc::new(Waits::default());
        let from = backend.health().await.newest;
        let follow = waits.clone().follow(backend.clone(), from, metrics.clone());
        let following = tokio::spawn(follow);
        let door = Store::new(&name, backend.clone(), clock.clone(), metrics, safety);
        let door = Arc::new(door);
        let watchman = Watchman::new(door.clone(), clock);
        let watchman = tokio::spawn(watchman.watch(stopped));
        let open = OpenStore {
            watches: Watches::new(door.clone(), ledger.clone()),
            name,
            door,
            documents,
            ledger,
            carrier: status,
            waits,
        };
        RunningStore {
            open: Arc::new(open),
            backend,
            stop,
            bookkeeping,
            waits: following,
            watchman,
        }
    }
}

impl RunningStore {
    /// Closes the store: what was answered is durable already, and the ledger gets what it has not
    /// yet.
    pub(crate) async fn close(self) {
        self.stop.send_replace(true);
        self.bookkeeping.end().await;
        if let Err(error) = self.watchman.await {
            tracing::error!(store = %self.open.name, %error, "watchman.stop failed");
        }
        self.waits.abort();
        self.backend.close().await;
    }
}
