//! The ledger of one store, kept up: the carrier brings it the store's events, and the archivist
//! brings its rows into the store, if the store keeps the ledger for all of its gateways.

use std::ops::ControlFlow;
use std::sync::Arc;

use leasehold_audit::ArchiveError;
use leasehold_audit::ArchivistOptions;
use leasehold_audit::CarrierOptions;
use leasehold_audit::CarrierStatus;
use leasehold_audit::CarryError;
use leasehold_audit::Elsewhere;
use leasehold_backend_api::Backend;
use leasehold_backend_api::Ledger;
use leasehold_backend_api::LedgerArchive;
use leasehold_backend_api::LedgerPeers;
use leasehold_domain::Cursor;
use tokio::sync::watch;

use crate::tasks::Supervised;
use crate::tasks::TaskMetrics;
use crate::tasks::supervise;

/// Who has the ledger's rows besides this gateway.
#[derive(Debug, Clone, Default)]
pub enum OtherLedgers {
    /// Nobody.
    #[default]
    None,
    /// Other gateways, each in its own ledger.
    Peers(Arc<dyn LedgerPeers>),
    /// The store itself.
    Archive(Arc<dyn LedgerArchive>),
}

impl OtherLedgers {
    /// Returns from whom rows can be had.
    pub fn peers(&self) -> Option<Arc<dyn LedgerPeers>> {
        match self {
            Self::None => None,
            Self::Peers(peers) => Some(peers.clone()),
            Self::Archive(archive) => Some(archive.clone()),
        }
    }
}

/// A task, and how it is told to end.
#[derive(Debug)]
struct Task {
    stop: watch::Sender<bool>,
    running: Supervised,
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
        (backend, ledger): (Arc<dyn Backend>, Arc<dyn Ledger>),
        others: OtherLedgers,
        status: Arc<CarrierStatus>,
        keep_events: u64,
        tasks: &TaskMetrics,
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
                let (task, archived) =
                    archive_into(archive.clone(), ledger.clone(), &status, tasks);
                let elsewhere = Elsewhere {
                    peers: Some(archive),
                    archived: Some(archived),
                };
                (elsewhere, Some(task))
            }
        };
        Self {
            carrier: carry((backend, ledger), elsewhere, status, keep_events, tasks),
            archivist,
        }
    }

    /// Lets the ledger get what it has not yet, then the archive, and ends.
    pub(crate) async fn end(self) {
        for mut task in [Some(self.carrier), self.archivist].into_iter().flatten() {
            task.stop.send_replace(true);
            task.running.finished().await;
        }
    }
}

/// Starts the carrier. After an error that does not pass it is started again, too: an operator may
/// have helped. Readiness shows what is wrong until then.
fn carry(
    (backend, ledger): (Arc<dyn Backend>, Arc<dyn Ledger>),
    elsewhere: Elsewhere,
    status: Arc<CarrierStatus>,
    keep_events: u64,
    tasks: &TaskMetrics,
) -> Task {
    let (stop, stopped) = watch::channel(false);
    let options = CarrierOptions {
        keep_events,
        ..CarrierOptions::default()
    };
    let running = supervise("carrier", tasks, move || {
        let carrying = leasehold_audit::carry(
            backend.clone(),
            ledger.clone(),
            elsewhere.clone(),
            options.clone(),
            status.clone(),
            stopped.clone(),
        );
        async move {
            let carried = carrying.await;
            let over = matches!(carried, Ok(()) | Err(CarryError::Undrained(_)));
            ending(carried, over)
        }
    });
    Task { stop, running }
}

fn archive_into(
    archive: Arc<dyn LedgerArchive>,
    ledger: Arc<dyn Ledger>,
    status: &Arc<CarrierStatus>,
    tasks: &TaskMetrics,
) -> (Task, watch::Receiver<Cursor>) {
    let (stop, stopped) = watch::channel(false);
    let (sender, archived) = watch::channel(Cursor(0));
    let status = status.clone();
    let running = supervise("archivist", tasks, move || {
        let archiving = leasehold_audit::archive(
            ledger.clone(),
            archive.clone(),
            ArchivistOptions::default(),
            status.clone(),
            sender.clone(),
            stopped.clone(),
        );
        async move {
            let archived = archiving.await;
            let over = matches!(archived, Ok(()) | Err(ArchiveError::Undrained(_)));
            ending(archived, over)
        }
    });
    (Task { stop, running }, archived)
}

/// Whether a task of the ledger is over. Events that it has not brought on stay in the store.
fn ending<E: std::error::Error + 'static>(ended: Result<(), E>, over: bool) -> ControlFlow<()> {
    if let Err(error) = &ended {
        let error = error as &dyn std::error::Error;
        tracing::error!(error, "ledger.task failed; events stay in the store");
    }
    match over {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    }
}
