//! A store with its tasks: the carrier of its events, the ear of those who wait, and the watchman
//! who sees whether it agrees.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use leasehold_audit::CarrierOptions;
use leasehold_audit::CarrierStatus;
use leasehold_audit::LedgerOptions;
use leasehold_audit::SqliteLedger;
use leasehold_backend_api::Backend;
use leasehold_backend_api::Documents;
use leasehold_backend_api::Ledger;
use leasehold_backend_api::LedgerPeers;
use leasehold_domain::Clock;
use leasehold_domain::StoreName;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::OpenStore;
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
    /// Where rows can be had that the ledger has missed.
    pub(crate) peers: Option<Arc<dyn LedgerPeers>>,
    /// How many events stay in the store although the ledger has them.
    pub(crate) keep_events: u64,
}

/// A store whose tasks run.
#[derive(Debug)]
pub(crate) struct RunningStore {
    pub(crate) open: Arc<OpenStore>,
    backend: Arc<dyn Backend>,
    stop: watch::Sender<bool>,
    carrier: JoinHandle<()>,
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
            peers,
            keep_events,
        } = self;
        let (stop, stopped) = watch::channel(false);
        let status = Arc::new(CarrierStatus::default());
        let carried = (backend.clone(), ledger.clone(), peers, status.clone());
        let options = CarrierOptions {
            keep_events,
            ..CarrierOptions::default()
        };
        let carrier = tokio::spawn(carry(name.clone(), carried, options, stopped.clone()));
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
            carrier,
            waits: following,
            watchman,
        }
    }
}

type Carried = (
    Arc<dyn Backend>,
    Arc<dyn Ledger>,
    Option<Arc<dyn LedgerPeers>>,
    Arc<CarrierStatus>,
);

async fn carry(
    store: StoreName,
    (backend, ledger, peers, status): Carried,
    options: CarrierOptions,
    stopped: watch::Receiver<bool>,
) {
    let carried = leasehold_audit::carry(backend, ledger, peers, options, status, stopped).await;
    if let Err(error) = carried {
        tracing::error!(%store, %error, "carrier failed; events stay in the store");
    }
}

impl RunningStore {
    /// Closes the store: what was answered is durable already, and the ledger gets what it has not
    /// yet.
    pub(crate) async fn close(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.carrier.await {
            tracing::error!(store = %self.open.name, %error, "carrier.stop failed");
        }
        if let Err(error) = self.watchman.await {
            tracing::error!(store = %self.open.name, %error, "watchman.stop failed");
        }
        self.waits.abort();
        self.backend.close().await;
    }
}
