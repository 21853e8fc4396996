//! A store with its tasks: the carrier of its events, the ear of those who wait, and the watchman
//! who sees whether it agrees.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::failure::FailureKind;
use futures_util::FutureExt;
use leasehold_audit::CarrierStatus;
use leasehold_audit::LedgerOptions;
use leasehold_audit::SqliteLedger;
use leasehold_backend_api::Backend;
use leasehold_backend_api::Documents;
use leasehold_backend_api::Ledger;
use leasehold_domain::Clock;
use leasehold_domain::StoreName;
use tokio::sync::watch;

use super::Claims;
use super::NotOpen;
use super::OpenStore;
use super::Remembered;
use super::StoreMembers;
use super::StoreParts;
use super::level::follow_level;
use crate::bookkeeping::Bookkeeping;
use crate::bookkeeping::OtherLedgers;
use crate::data_dir::ledger_file;
use crate::safety::Safety;
use crate::storage_note;
use crate::store_client::StoreClient;
use crate::tasks::Supervised;
use crate::tasks::supervise;
use crate::telemetry::Metrics;
use crate::waits::Waits;
use crate::watches::Watches;
use crate::watchman::Watchman;

/// What a store is made of.
#[derive(Debug)]
pub struct Parts {
    /// The store's name.
    pub name: StoreName,
    /// The store.
    pub backend: Arc<dyn Backend>,
    /// Its documents.
    pub documents: Arc<dyn Documents>,
    /// Its ledger.
    pub ledger: Arc<dyn Ledger>,
    /// Who writes to it besides this gateway.
    pub members: StoreMembers,
    /// Who has the ledger's rows besides.
    pub others: OtherLedgers,
    /// What the data directory remembers.
    pub remembered: Arc<Remembered>,
    /// The moves of namespaces that it knows of.
    pub claims: Claims,
    /// How many events stay in the store although the ledger has them.
    pub keep_events: u64,
}

/// A store whose tasks run.
#[derive(Debug)]
pub struct RunningStore {
    /// What requests use.
    pub open: Arc<OpenStore>,
    backend: Arc<dyn Backend>,
    stop: watch::Sender<bool>,
    bookkeeping: Bookkeeping,
    waits: Supervised,
    watchman: Supervised,
    remembering: Supervised,
    _levels: Supervised,
}

/// Opens the ledger of one store in its folder, which is made if absent. That reads the open
/// segment, so it is done on a thread for blocking work.
///
/// # Errors
/// The folder cannot be made, or the ledger in it cannot be used.
pub async fn open_ledger(folder: &Path) -> Result<SqliteLedger, LedgerNotOpen> {
    let folder = folder.to_owned();
    let opened = tokio::task::spawn_blocking(move || open_ledger_here(&folder)).await;
    opened.unwrap_or_else(|error| Err(format!("opening the ledger: {error}").into()))
}

fn open_ledger_here(folder: &Path) -> Result<SqliteLedger, LedgerNotOpen> {
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let path = ledger_file(folder);
    SqliteLedger::open(&path, LedgerOptions::default()).map_err(|error| LedgerNotOpen {
        is_not_what_was_written: error.is_not_what_was_written(),
        problem: format!("{}: {}", path.display(), crate::input::with_causes(&error)),
    })
}

/// Why a ledger was not opened.
#[derive(Debug)]
pub struct LedgerNotOpen {
    /// Whether the file can be read, and holds something else than was written into it.
    pub(crate) is_not_what_was_written: bool,
    /// For operators.
    pub problem: String,
}

impl From<String> for LedgerNotOpen {
    /// The system refused; nothing is known of the file.
    fn from(problem: String) -> Self {
        Self {
            is_not_what_was_written: false,
            problem,
        }
    }
}

impl From<LedgerNotOpen> for String {
    fn from(error: LedgerNotOpen) -> Self {
        error.problem
    }
}

/// How often the data directory remembers where store and ledger are.
const REMEMBER_EVERY: Duration = Duration::from_secs(10);

/// Remembers now and then where store and ledger are, and once more at the end.
async fn remember(parts: StoreParts, mut stopped: watch::Receiver<bool>) {
    loop {
        // A sender that is gone is the end, too.
        let stop = stopped.wait_for(|stop| *stop);
        if tokio::time::timeout(REMEMBER_EVERY, stop).await.is_ok() {
            return;
        }
        if let Err(error) = parts.remember().await {
            tracing::warn!(store = %parts.name, %error, "store.remember failed");
        }
    }
}

impl Parts {
    /// Returns the parts of the store that must be of one history.
    pub(crate) fn to_compare(&self) -> StoreParts {
        StoreParts {
            name: self.name.clone(),
            backend: self.backend.clone(),
            ledger: self.ledger.clone(),
            others: self.others.peers(),
            remembered: self.remembered.clone(),
        }
    }

    /// Checks that the parts of the store are of one history, and records in the ledger what was
    /// wrong and could be mended. Nothing is granted before.
    ///
    /// # Errors
    /// The parts do not fit; the message says how, and what an operator can do.
    pub async fn join(&self) -> Result<(), NotOpen> {
        let joined = self.to_compare().join().await;
        let mended = joined.map_err(|error| NotOpen {
            kind: match error.is_older() {
                true => FailureKind::Fenced,
                false => FailureKind::Unavailable,
            },
            problem: error.to_string(),
        })?;
        if let Some(mended) = mended {
            let recorded =
                storage_note::record(&*self.backend, "ledger-filled", &self.name, &mended);
            recorded.await.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Puts the store together and starts its tasks.
    pub async fn run(
        self,
        clock: Arc<dyn Clock>,
        metrics: &Arc<Metrics>,
        safety: &Safety,
    ) -> RunningStore {
        let parts = self.to_compare();
        let Self {
            name,
            backend,
            documents,
            ledger,
            members,
            others,
            remembered: _,
            claims,
            keep_events,
        } = self;
        let (stop, stopped) = watch::channel(false);
        let status = Arc::new(CarrierStatus::new(safety.unwritten_events_max));
        let tasks = metrics.tasks();
        let bookkeeping = Bookkeeping::begin(
            (backend.clone(), ledger.clone()),
            others,
            status.clone(),
            keep_events,
            tasks,
        );
        let (waits, from) = (Arc::new(Waits::default()), backend.health().await.newest);
        let follow = waits.clone().task(backend.clone(), from, metrics.clone());
        let following = supervise("waits", tasks, follow);
        let door = StoreClient::new(&name, backend.clone(), clock.clone(), metrics, safety);
        let door = Arc::new(door);
        let (watched, watched_stop) = (door.clone(), stopped.clone());
        let watchman = supervise("safe-mode", tasks, move || {
            let watchman = Watchman::new(watched.clone(), clock.clone());
            let watching = watchman.watch(watched_stop.clone());
            async move {
                watching.await;
                ControlFlow::Break(())
            }
        });
        let kept = parts.clone();
        let remembering = supervise("remember-stores", tasks, move || {
            remember(kept.clone(), stopped.clone()).map(ControlFlow::Break)
        });
        let levels = follow_level((documents.clone(), ledger.clone()), members.clone(), tasks);
        let open = OpenStore {
            watches: Watches::new(door.clone(), ledger.clone()),
            members,
            name,
            door,
            documents,
            ledger,
            parts,
            claims,
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
            remembering,
            _levels: levels,
        }
    }
}

impl RunningStore {
    /// Resolves when the store has stopped for good in this process, and returns why.
    pub async fn stopped(&self) -> String {
        self.backend.stopped().await
    }

    /// Closes the store: what was answered is durable already, and the ledger gets what it has not
    /// yet.
    pub async fn close(mut self) {
        self.stop.send_replace(true);
        self.bookkeeping.end().await;
        self.watchman.finished().await;
        self.remembering.finished().await;
        // Once the ledger has everything, and while the store still answers.
        if let Err(error) = self.open.parts.remember().await {
            tracing::warn!(store = %self.open.name, %error, "store.remember failed");
        }
        drop(self.waits);
        self.backend.close().await;
    }
}

#[cfg(test)]
mod tests;
