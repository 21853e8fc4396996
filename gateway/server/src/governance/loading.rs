//! How the plan is kept up. New state is loaded in two phases: everything is compiled and checked
//! beside the old plan, which is then swapped at once.
//!
//! What another gateway has written is heard of some milliseconds later. So whatever this gateway
//! does not know is in doubt until it has asked the store: [`Governance::catch_up`]. The question is
//! not about the unknown thing but whether the plan is the newest. One question settles all doubts
//! that there are, and questions have a pause between them: strangers who make up keys cost the
//! store ten small reads a second, however many they are.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::Weak;
use std::time::Duration;

use futures_util::StreamExt;
use leasehold_domain::limits::CATCH_UP_EVERY_MS;
use leasehold_domain::limits::CATCH_UP_WAIT_MS_MAX;
use leasehold_domain::limits::STRANGERS_WAITING_MAX;
use leasehold_wire::v1::error::ErrorCode;
use tokio::sync::Semaphore;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::Governance;
use super::bind;
use super::document;
use super::document::BindingDocument;
use super::document::BoundPolicyDocument;
use super::document::NamespaceDocument;
use super::document::PolicyDocument;
use super::documents_of;
use super::plan;
use super::plan::Plan;
use crate::authentication::KeyDocument;
use crate::pipeline::failure::Failure;

/// How soon a state that could not be loaded is loaded again.
const RELOAD_PAUSE_MIN: Duration = Duration::from_millis(100);
const RELOAD_PAUSE_MAX: Duration = Duration::from_secs(5);

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
pub(super) async fn settle(governance: Weak<Governance>, mut asked: watch::Receiver<u64>) {
    let mut pace = tokio::time::interval(Duration::from_millis(CATCH_UP_EVERY_MS));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while asked.changed().await.is_ok() {
        pace.tick().await;
        let Some(governance) = governance.upgrade() else {
            return;
        };
        // All that have asked by now ask before the store is asked.
        let to = *asked.borrow_and_update();
        let how = governance.look().await;
        governance.doubts.settled.send_replace(Settled { to, how });
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
            Ok(Err(_)) | Err(_) => Err(Failure::new(
                ErrorCode::Unavailable,
                "the store of governance does not answer",
            )),
        }
    }

    /// Asks the store for its revision, and loads what is newer than the plan in force.
    async fn look(&self) -> Result<(), Failure> {
        let newest = self.documents.revision().await?;
        self.reload_to(newest).await
    }

    /// Follows the store's changes until the stream ends; other gateways write, too.
    pub async fn follow(self: Arc<Self>) {
        let mut revisions = self.documents.watch();
        while let Some(revision) = revisions.next().await {
            let mut pause = RELOAD_PAUSE_MIN;
            while let Err(failure) = self.reload_to(revision).await {
                // The old plan stays in force until the store can be read again.
                tracing::error!(message = %failure.message, detail = ?failure.detail, "governance.reload failed");
                if !failure.code.is_retryable() {
                    break;
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(RELOAD_PAUSE_MAX);
            }
        }
    }

    /// Loads everything, unless the plan in force is of that revision or a later one.
    pub(super) async fn reload_to(&self, revision: u64) -> Result<(), Failure> {
        let _one_at_a_time = self.reloading.lock().await;
        match self.plan().revision >= revision {
            true => Ok(()),
            false => self.load_all().await,
        }
    }

    /// Reads everything, checks it beside the old plan, and swaps.
    pub(super) async fn load_all(&self) -> Result<(), Failure> {
        // Asked before the reads: what they show is of this revision, or newer.
        let revision = self.documents.revision().await?;
        let namespaces = documents_of::<NamespaceDocument>(self.all(document::NAMESPACES).await?);
        let versions = documents_of::<PolicyDocument>(self.all(document::POLICIES).await?);
        let bindings = documents_of::<BindingDocument>(self.all(document::BINDINGS).await?);
        let keys = documents_of::<KeyDocument>(self.all(document::KEYS).await?);
        let mut modules = HashMap::new();
        for version in &versions {
            let id = PolicyDocument::id(&version.policy, &version.version);
            modules.insert(id, self.module(&version.digest).await?);
        }
        let mut steps = Vec::new();
        for binding in &bindings {
            let bind = |document: &BoundPolicyDocument| bind(&modules, document);
            match plan::steps_of(binding, bind) {
                Ok(of_binding) => steps.extend(of_binding),
                Err(problem) => {
                    // Bindings are checked when they are written, so this is a newer or broken one.
                    tracing::error!(binding = %binding.name, problem, "governance.binding unreadable");
                }
            }
        }
        let plan = Arc::new(Plan::new(revision, namespaces, steps));
        *self.plan.write().unwrap_or_else(PoisonError::into_inner) = plan;
        self.keys.replace(keys);
        self.changed.send_replace(());
        Ok(())
    }
}

#[cfg(test)]
mod tests;
