//! What a gateway does by itself: watching its clock, ending what is due, looking whether the store
//! is there, and letting it forget its history.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::error;
use crate::error::Refusal;
use crate::item::Answer;
use crate::item::Item;
use crate::queue::Queue;
use crate::writer::Shared;

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
                match self.queue.propose(Item::Tick).await {
                    Ok(Answer::Ticked { more: true }) => {}
                    // The rest is for those who wrote it last, or is done.
                    Ok(_) => break,
                    Err(failure) => {
                        tracing::debug!(%failure, "watcher.tick refused; tried again");
                        break;
                    }
                }
            }
        }
    }

    fn is_due(&self) -> bool {
        // The look also counts idle time: the cap is for freezes.
        let now = self.shared.keeper.look();
        self.shared.status.is_due(now)
    }
}

/// Lets etcd forget, now and then and whenever the history is full, what was before the last time.
/// Any gateway may; one that is later than another is told so, and has nothing to do.
pub(crate) async fn compact(
    shared: Arc<Shared>,
    every: Duration,
    mut closing: watch::Receiver<bool>,
) {
    let mut every = tokio::time::interval(every);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = 0;
    loop {
        tokio::select! {
            _ = every.tick() => {}
            () = shared.growth.full() => {}
            _ = closing.wait_for(|closing| *closing) => return,
        }
        let known = shared.mirror.read().await.fed;
        if last > 0
            && let Ok(client) = shared.client()
            && let Err(status) = client.compact(last).await
            && error::refusal(&status) != Refusal::Compacted
        {
            let problem = error::describe(&status);
            tracing::warn!(problem, "etcd.compact refused: the history grows");
        }
        last = known;
    }
}
