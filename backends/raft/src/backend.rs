//! `Backend` on a replicated log.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use leasehold_backend_api::Backend;
use leasehold_backend_api::BackendError;
use leasehold_backend_api::Batch;
use leasehold_backend_api::ErrorKind;
use leasehold_backend_api::Freshness;
use leasehold_backend_api::Health;
use leasehold_domain::Action;
use leasehold_domain::Clock;
use leasehold_domain::Cursor;
use leasehold_domain::Event;
use leasehold_domain::ListQuery;
use leasehold_domain::LockRef;
use leasehold_domain::LockView;
use leasehold_domain::NamespaceName;
use leasehold_domain::Outcome;
use leasehold_domain::Page;
use leasehold_domain::RequestId;
use leasehold_domain::Subject;
use leasehold_domain::TeamName;
use leasehold_domain::Usage;
use openraft::Raft;
use openraft::raft::ReadPolicy;
use tokio::sync::watch;

use crate::batcher::Hurry;
use crate::batcher::Queue;
use crate::clock::Stamper;
use crate::entry::Answer;
use crate::entry::Item;
use crate::entry::TypeConfig;
use crate::error;
use crate::folder::Released;
use crate::log::Poison;
use crate::machine::Machine;
use crate::outbox::Applied;

/// How long closing waits for the last write of a snapshot.
const RELEASE_MAX: Duration = Duration::from_secs(30);

/// A durable store of locks and documents: one node of a Raft group.
pub struct RaftBackend {
    pub(crate) raft: Raft<TypeConfig, Machine>,
    pub(crate) applied: Arc<Applied>,
    pub(crate) queue: Queue,
    pub(crate) stamper: Arc<Stamper>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) poison: Poison,
    pub(crate) closing: watch::Sender<bool>,
    /// Resolves when all parts of the node have let go of its folder.
    pub(crate) released: Released,
}

impl fmt::Debug for RaftBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RaftBackend")
            .field("poison", &self.poison.reason())
            .finish_non_exhaustive()
    }
}

impl RaftBackend {
    /// Resolves when an I/O error has poisoned the store: the process must end, and what the disk
    /// holds must be read again by a new one.
    pub async fn fatal(&self) {
        self.poison.wait().await;
    }

    /// Proposes one item, unless the store is closing or poisoned.
    pub(crate) async fn propose(&self, item: Item) -> Result<Answer, BackendError> {
        if *self.closing.borrow() || self.poison.is_set() {
            return Err(error::closed());
        }
        let hurry = self.hurry(&item);
        self.queue.propose(item, hurry).await
    }

    /// An acquire that would wait for a lock which somebody has is in no hurry to be written. That
    /// may have changed by then, which costs it some time and nothing else.
    fn hurry(&self, item: &Item) -> Hurry {
        let Item::Batch { commands, .. } = item else {
            return Hurry::Now;
        };
        let [command] = commands.as_slice() else {
            return Hurry::Now;
        };
        match command.action {
            Action::Acquire {
                wait_ms: Some(_), ..
            } if self.applied.read().state.makes_wait(&command.lock) => Hurry::Patient,
            _ => Hurry::Now,
        }
    }

    /// Makes sure that this node still leads, and has applied all that was answered.
    pub(crate) async fn linearize(&self) -> Result<(), BackendError> {
        if *self.closing.borrow() {
            return Err(error::closed());
        }
        let linearized = self.raft.ensure_linearizable(ReadPolicy::ReadIndex).await;
        linearized
            .map(|_| ())
            .map_err(|raft_error| error::read_error(&raft_error))
    }

    /// An answer that does not fit its item.
    pub(crate) fn misfit() -> BackendError {
        BackendError::unknown(ErrorKind::Corrupt, "the answer does not fit the request")
    }
}

#[async_trait]
impl Backend for RaftBackend {
    async fn execute(&self, batch: Batch) -> Result<Vec<Outcome>, BackendError> {
        let Batch {
            commands,
            atomicity,
            notes,
        } = batch;
        match self
            .propose(Item::Batch {
                commands,
                atomicity,
                notes,
            })
            .await?
        {
            Answer::Outcomes(outcomes) => Ok(outcomes),
            Answer::Edited(_) | Answer::Stored(_) | Answer::Ticked => Err(Self::misfit()),
        }
    }

    async fn read(&self, lock: &LockRef, freshness: Freshness) -> Result<LockView, BackendError> {
        // A group of one applies its own log at once: what it has applied is not stale.
        if freshness == Freshness::Linearizable {
            self.linearize().await?;
        }
        let now = self.stamper.look(&*self.clock);
        Ok(self.applied.read().state.view(lock, now))
    }

    async fn list(&self, query: ListQuery) -> Result<Page<LockView>, BackendError> {
        self.linearize().await?;
        let now = self.stamper.look(&*self.clock);
        Ok(self.applied.read().state.list(&query, now))
    }

    async fn usage(
        &self,
        namespace: &NamespaceName,
        subject: &Subject,
        team: Option<&TeamName>,
    ) -> Result<Usage, BackendError> {
        self.linearize().await?;
        Ok(self.applied.read().state.usage(namespace, subject, team))
    }

    async fn holds(
        &self,
        lock: &LockRef,
        subject: &Subject,
        request_id: &RequestId,
    ) -> Result<bool, BackendError> {
        self.linearize().await?;
        Ok(self.applied.read().state.holds(lock, subject, request_id))
    }

    fn events(&self, after: Cursor) -> BoxStream<'static, Result<Arc<Event>, BackendError>> {
        self.applied.events(after)
    }

    async fn trim(&self, up_to: Cursor) -> Result<(), BackendError> {
        self.applied.trim(up_to);
        Ok(())
    }

    async fn health(&self) -> Health {
        let poisoned = self.poison.reason();
        let closing = *self.closing.borrow();
        let inner = self.applied.read();
        Health {
            ready: poisoned.is_none() && !closing,
            detail: match poisoned {
                Some(reason) => format!("poisoned: {reason}"),
                None if closing => "closing".to_owned(),
                None => "leads a group of one".to_owned(),
            },
            newest: inner.state.newest(),
            trimmed: inner.trimmed,
            counts: inner.state.counts(),
            writes: inner.writes,
        }
    }

    async fn close(&self) {
        self.closing.send_replace(true);
        self.queue.drain().await;
        if let Err(error) = self.raft.shutdown().await {
            tracing::error!(%error, "raft.shutdown failed");
        }
        if tokio::time::timeout(RELEASE_MAX, self.released.wait())
            .await
            .is_err()
        {
            tracing::error!("raft.close: the folder is still in use");
        }
    }
}

#[cfg(test)]
mod tests;
