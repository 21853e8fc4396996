//! A store besides the home store: opened in the background, again and again until it is there.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use leasehold_domain::Clock;
use leasehold_domain::StoreName;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::NotOpen;
use super::Parts;
use super::Slot;
use crate::safety::Safety;
use crate::telemetry::Metrics;

const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// Opens the store once.
pub(crate) type Open = Box<dyn Fn() -> BoxFuture<'static, Result<Parts, NotOpen>> + Send + Sync>;

/// What each store is run with.
pub(crate) type With = (Arc<dyn Clock>, Arc<Metrics>, Safety);

/// The task of one store.
#[derive(Debug)]
pub struct Extra {
    /// Where the others see whether it is open.
    pub slot: Arc<Slot>,
    /// Turns true when it was tried once.
    tried: watch::Receiver<bool>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Extra {
    /// Begins to open a store; `open` is asked until it succeeds.
    pub fn begin(name: StoreName, with: With, open: Open) -> Self {
        let slot = Arc::new(Slot::default());
        let (told, tried) = watch::channel(false);
        let (stop, stopped) = watch::channel(false);
        let keeper = Keeper {
            name,
            slot: slot.clone(),
            told,
            stopped,
        };
        let task = tokio::spawn(keeper.keep(with, open));
        Self {
            slot,
            tried,
            stop,
            task,
        }
    }

    /// Waits until it was tried once, but not for long.
    pub async fn tried(&self, at_most: Duration) {
        let mut tried = self.tried.clone();
        // A keeper that is gone, or slow, is not waited for.
        let _ = tokio::time::timeout(at_most, tried.wait_for(|tried| *tried)).await;
    }

    /// Closes the store, or gives up opening it.
    pub async fn close(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "store.close failed");
        }
    }
}

struct Keeper {
    name: StoreName,
    slot: Arc<Slot>,
    told: watch::Sender<bool>,
    stopped: watch::Receiver<bool>,
}

impl Keeper {
    async fn keep(mut self, (clock, metrics, safety): With, open: Open) {
        let mut stopped = self.stopped.clone();
        let parts = tokio::select! {
            biased;
            _ = stopped.wait_for(|stop| *stop) => return,
            parts = self.parts(open) => parts,
        };
        let running = parts.run(clock, &metrics, &safety).await;
        self.slot.opened(running.open.clone());
        self.told.send_replace(true);
        tracing::info!(store = %self.name, "store.open");
        // A sender that is gone is the end, too.
        let reason = tokio::select! {
            _ = self.stopped.wait_for(|stop| *stop) => None,
            reason = running.stopped() => Some(reason),
        };
        if let Some(reason) = reason {
            tracing::error!(store = %self.name, reason, "store.stopped; restart the gateway");
            // It refuses everything by itself. The other stores go on.
            let _ = self.stopped.wait_for(|stop| *stop).await;
        }
        running.close().await;
    }

    async fn parts(&self, open: Open) -> Parts {
        let mut pause = PAUSE_MIN;
        loop {
            match open().await {
                Ok(parts) => return parts,
                Err(failed) => {
                    let problem = &failed.problem;
                    tracing::warn!(store = %self.name, problem, "store.open failed; again in {pause:?}");
                    self.slot.failed(failed);
                }
            }
            self.told.send_replace(true);
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

#[cfg(test)]
mod tests;
