//! The ledger of one store, kept up: the carrier brings it the store's events, and the archivist
//! brings its rows into the store, if the store keeps the ledger for all of its gateways.

use std::sync::Arc;

use leasehold_audit::ArchivistOptions;
use leasehold_audit::CarrierOptions;
use leasehold_audit::CarrierStatus;
use leasehold_audit::Elsewhere;
use leasehold_backend_api::Backend;
use leasehold_backend_api::Ledger;
use leasehold_backend_api::LedgerArchive;
use leasehold_backend_api::LedgerPeers;
use leasehold_domain::Cursor;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Who has the ledger's rows besides this gateway.
#[derive(Debug, Clone, Default)]
pub(crate) enum OtherLedgers {
    /// Nobody.
    #[default]
    None,
    /// Other gateways, each in its own ledger.
    Peers(Arc<dyn LedgerPeers>),
    /// The store itself.
    Archive(Arc<dyn LedgerArchive>),
}

/// A task, and how it is told to end.
#[derive(Debug)]
struct Task {
    stop: watch::Sender<bool>,
    handle: JoinHandle<()>,
}

/// The tasks of one ledger.
#[derive(Debug)]
pub(crate) struct Bookkeeping {
    carrier: Task,
    archivist: Option<Task>,
}

impl Bookkeeping {
    /// Begins. `status` tells how far the ledger is; `keep_events` stay in the store although the
    /// ledger has them.
    pub(crate) fn begin(
        backend: Arc<dyn Backend>,
        ledger: Arc<dyn Ledger>,
        others: OtherLedgers,
        status: Arc<CarrierStatus>,
        keep_events: u64,
    ) -> Self {
        let (elsewhere, archivist) = match others {
            OtherLedgers::None => (Elsewhere::default(), None),
            OtherLedgers::Peers(peers) => {
                let elsewhere = Elsewhere {
                    peers: Some(peers),
                    archived: None,
                };
                (elsewhere, None)
            }
            OtherLedgers::Archive(archive) => {
                let (task, archived) = archive_into(archive.clone(), ledger.clone(), &status);
                let elsewhere = Elsewhere {
                    peers: Some(archive),
                    archived: Some(archived),
                };
                (elsewhere, Some(task))
            }
        };
        Self {
            carrier: carry(backend, ledger, elsewhere, status, keep_events),
            archivist,
        }
    }

    /// Lets the ledger get what it has not yet, then the archive, and ends.
    pub(crate) async fn end(self) {
        for task in [Some(self.carrier), self.archivist].into_iter().flatten() {
            task.stop.send_replace(true);
            if let Err(error) = task.handle.await {
                tracing::error!(%error, "bookkeeping.end failed");
            }
        }
    }
}

fn carry(
    backend: Arc<dyn Backend>,
    ledger: Arc<dyn Ledger>,
    elsewhere: Elsewhere,
    status: Arc<CarrierStatus>,
    keep_events: u64,
) -> Task {
    let (stop, stopped) = watch::channel(false);
    let options = CarrierOptions {
        keep_events,
        ..CarrierOptions::default()
    };
    let handle = tokio::spawn(async move {
        let carried =
            leasehold_audit::carry(backend, ledger, elsewhere, options, status, stopped).await;
        if let Err(error) = carried {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "carrier failed; events stay in the store"
            );
        }
    });
    Task { stop, handle }
}

fn archive_into(
    archive: Arc<dyn LedgerArchive>,
    ledger: Arc<dyn Ledger>,
    status: &Arc<CarrierStatus>,
) -> (Task, watch::Receiver<Cursor>) {
    let (stop, stopped) = watch::channel(false);
    let (sender, archived) = watch::channel(Cursor(0));
    let (options, status) = (ArchivistOptions::default(), status.clone());
    let handle = tokio::spawn(async move {
        let archived =
            leasehold_audit::archive(ledger, archive, options, status, sender, stopped).await;
        if let Err(error) = archived {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "archivist failed; events stay in the store"
            );
        }
    });
    (Task { stop, handle }, archived)
}
