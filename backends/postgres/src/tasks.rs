//! What a gateway does by itself: watching its clock, ending what is due, looking for writes of
//! others, and folding the log.

use std::sync::Arc;
use std::time::Duration;

use leasehold_domain::FeatureLevel;
use leasehold_domain::Millis;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::OpenError;
use crate::batcher::Queue;
use crate::fold::Folder;
use crate::item::Item;
use crate::schema;
use crate::writer::Shared;

/// How often the position that was seen last is kept for the next process. A new timeline is kept
/// before anything is served from it; this is for databases that come back from a backup.
const KEEP_EVERY: Duration = Duration::from_secs(2);

/// How often the feature level is looked at. It is known without asking the database.
const LEVEL_EVERY: Duration = Duration::from_secs(1);
/// When a migration that failed is tried again: an operator may give the right to make tables.
const MIGRATE_AGAIN: Duration = Duration::from_secs(30);

/// Asks the writer to tick when a deadline is due, and to look when it has not for a while.
#[derive(Debug)]
pub(crate) struct Watcher {
    pub(crate) shared: Arc<Shared>,
    pub(crate) queue: Queue,
    pub(crate) every: Duration,
}

impl Watcher {
    /// Runs until the store closes.
    pub(crate) async fn run(self, mut closing: watch::Receiver<bool>) {
        let mut every = tokio::time::interval(self.every);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = every.tick() => {}
                _ = closing.wait_for(|closing| *closing) => return,
            }
            if let Err(failure) = self.queue.propose(Item::Look).await {
                tracing::debug!(%failure, "watcher.look failed; tried again");
                continue;
            }
            // One tick ends a bounded number of leases; go on at once while there are more.
            while self.is_due() {
                if let Err(failure) = self.queue.propose(Item::Tick).await {
                    tracing::debug!(%failure, "watcher.tick refused; tried again");
                    break;
                }
            }
        }
    }

    fn is_due(&self) -> bool {
        // The look also counts idle time: the cap is for freezes.
        let now_us = self.shared.keeper.look(&*self.shared.clock);
        self.shared.status.is_due(Millis(now_us / 1_000))
    }
}

/// Brings the schema to what the store's feature level allows, when that was raised.
pub(crate) async fn migrate(shared: Arc<Shared>, mut closing: watch::Receiver<bool>) {
    let mut every = tokio::time::interval(LEVEL_EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut migrated = FeatureLevel::FIRST;
    loop {
        tokio::select! {
            _ = every.tick() => {}
            _ = closing.wait_for(|closing| *closing) => return,
        }
        let level = shared.status.level();
        if level <= migrated || shared.levels.admit(level).is_err() {
            continue;
        }
        match migrate_once(&shared).await {
            Ok(()) => migrated = level,
            Err(problem) => {
                tracing::warn!(%problem, "postgres.migration failed; tried again");
                every.reset_after(MIGRATE_AGAIN);
            }
        }
    }
}

async fn migrate_once(shared: &Shared) -> Result<(), OpenError> {
    let primary = shared.connect_beside(None).await?;
    let migrating = schema::migrate(&primary.connection, &shared.transactions, shared.levels);
    shared.transactions.within_load(migrating).await
}

/// Folds now and then, and keeps what was seen of the database.
pub(crate) async fn fold(mut folder: Folder, every: Duration, mut closing: watch::Receiver<bool>) {
    let mut every = tokio::time::interval(every);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut keep = tokio::time::interval(KEEP_EVERY);
    keep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let folds = tokio::select! {
            _ = every.tick() => true,
            _ = keep.tick() => false,
            _ = closing.wait_for(|closing| *closing) => return,
        };
        if folds {
            if let Err(failure) = folder.fold().await {
                tracing::debug!(%failure, "fold failed; tried again");
            }
        } else if let Err(problem) = folder.shared.known.keep().await {
            tracing::warn!(%problem, "postgres.memory cannot be written");
        }
    }
}
