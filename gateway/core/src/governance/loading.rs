//! How the plan is kept up. New state is loaded in two phases: everything is compiled and checked
//! beside the old plan, which is then swapped at once.
//!
//! What another gateway has written is heard of some milliseconds later. So whatever this gateway
//! does not know is in doubt until it has asked the store: [`Governance::catch_up`]. The question is
//! not about the unknown thing but whether the plan is the newest. One question settles all doubts
//! that there are, and questions have a pause between them: strangers who make up keys cost the
//! store ten small reads a second, however many they are.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::Weak;
use std::time::Duration;

use crate::failure::FailureKind;
use futures_util::StreamExt;
use leasehold_domain::limits::CATCH_UP_EVERY_MS;
use leasehold_domain::limits::CATCH_UP_WAIT_MS_MAX;
use leasehold_domain::limits::STRANGERS_WAITING_MAX;
use tokio::sync::Semaphore;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::Governance;
use crate::failure::Failure;

/// How soon a state that could not be loaded is loaded again.
const RELOAD_PAUSE_MIN: Duration = Duration::from_millis(100);
const RELOAD_PAUSE_MAX: Duration = Duration::from_secs(5);
/// How long one question and what it loads may take before it is given up and asked anew. Compiling
/// the modules of a first binding is part of it.
const LOOK_DEADLINE: Duration = Duration::from_secs(60);

/// Requests that met something unknown, by number.
#[derive(Debug)]
pub(super) struct Doubts {
    /// How many there were.
    pub(super) asked: watch::Sender<u64>,
    settled: watch::Sender<Settled>,
    /// Places for those whom nobody knows: they must not keep others from being served.
    pub(super) strangers: Semaphore,
}

impl Default for Doubts {
    fn default() -> Self {
        Self {
            asked: watch::Sender::default(),
            settled: watch::Sender::default(),
            strangers: Semaphore::new(STRANGERS_WAITING_MAX),
        }
    }
}

/// What the newest question came to.
#[derive(Debug)]
struct Settled {
    /// The last doubt that there was when it was asked.
    to: u64,
    how: Result<(), Failure>,
}

impl Default for Settled {
    fn default() -> Self {
        Self { to: 0, how: Ok(()) }
    }
}

/// Settles doubts until governance is gone.
pub(super) async fn settle(governance: Weak<Governance>) -> ControlFlow<()> {
    let Some(mut asked) = governance.upgrade().map(|all| all.doubts.asked.subscribe()) else {
        return ControlFlow::Break(());
    };
    // Those who asked before a restart of this task wait, too.
    asked.mark_changed();
    let mut pace = tokio::time::interval(Duration::from_millis(CATCH_UP_EVERY_MS));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while asked.changed().await.is_ok() {
        pace.tick().await;
        let Some(governance) = governance.upgrade() else {
            break;
        };
        // All that have asked by now ask before the store is asked.
        let to = *asked.borrow_and_update();
        let how = match tokio::time::timeout(LOOK_DEADLINE, governance.look()).await {
            Ok(how) => how,
            Err(_) => Err(unanswered()),
        };
        governance.confirmation.tried(how.is_ok());
        governance.doubts.settled.send_replace(Settled { to, how });
    }
    ControlFlow::Break(())
}

fn unanswered() -> Failure {
    Failure {
        retry_after_ms: Some(1_000),
        ..Failure::new(
            FailureKind::Unavailable,
            "the store of governance does not answer",
        )
    }
}

impl Governance {
    /// Puts into force what any gateway had written before this was called.
    ///
    /// # Errors
    /// `unavailable`: the store does not say, or not in time.
    pub(crate) async fn catch_up(&self) -> Result<(), Failure> {
        let mut settled = self.doubts.settled.subscribe();
        let mut own = 0;
        self.doubts.asked.send_modify(|asked| {
            *asked += 1;
            own = *asked;
        });
        let settled = settled.wait_for(|settled| settled.to >= own);
        let patience = Duration::from_millis(CATCH_UP_WAIT_MS_MAX);
        match tokio::time::timeout(patience, settled).await {
            Ok(Ok(settled)) => settled.how.clone(),
            Ok(Err(_)) | Err(_) => {
                self.confirmation.tried(false);
                Err(unanswered())
            }
        }
    }

    /// Asks the store for its revision, and loads what is newer than the plan in force.
    async fn look(&self) -> Result<(), Failure> {
        let asked = self.clock.monotonic();
        let newest = self.documents.revision().await?;
        self.reload_to(newest).await?;
        self.confirmation.confirmed(asked);
        Ok(())
    }

    /// Follows the store's changes for ever; other gateways write, too. A stream that ends is opened
    /// again.
    pub async fn follow(self: Arc<Self>) {
        loop {
            let mut revisions = self.documents.watch();
            while let Some(revision) = revisions.next().await {
                self.follow_to(revision).await;
            }
            tracing::warn!("governance.watch ended; it is opened again");
            tokio::time::sleep(RELOAD_PAUSE_MIN).await;
        }
    }

    /// Loads until the plan is of that revision, unless what is stored cannot be loaded.
    async fn follow_to(&self, revision: u64) {
        let mut pause = RELOAD_PAUSE_MIN;
        while let Err(failure) = self.reload_to(revision).await {
            // The old plan stays in force until the store can be read again.
            tracing::error!(message = %failure.message, detail = ?failure.detail, "governance.reload failed");
            if !failure.kind.is_retryable() {
                return;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RELOAD_PAUSE_MAX);
        }
    }

    /// Loads what has changed, unless the plan in force is of that revision or a later one.
    pub(super) async fn reload_to(&self, revision: u64) -> Result<(), Failure> {
        let _one_at_a_time = self.reloading.lock().await;
        match self.plan().revision >= revision {
            true => Ok(()),
            false => self.load_all().await,
        }
    }

    /// Loads everything again, because modules could not be read before.
    pub(super) async fn load_missing(&self) -> Result<(), Failure> {
        let _one_at_a_time = self.reloading.lock().await;
        self.load_all().await
    }

    /// Reads and checks what has changed while the old plan is in force, and swaps. Keys are in force
    /// as soon as they are read: a module that cannot be loaded must not keep a revoked key valid.
    pub(super) async fn load_all(&self) -> Result<(), Failure> {
        let asked = self.clock.monotonic();
        let newest = self.documents.snapshot().await?;
        let target = {
            let mut replica = self.replica();
            let target = replica.target(Some(&newest));
            self.enact_keys(&mut replica, &target);
            target
        };
        let prepared = self.prepare(&target).await?;
        let mut replica = self.replica();
        // Something may have been written here meanwhile.
        let target = replica.target(Some(&newest));
        self.enact(&mut replica, target, &prepared);
        self.confirmation.confirmed(asked);
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests;
