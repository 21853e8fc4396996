//! `Backend` on Postgres.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream;
use futures_util::stream::BoxStream;
use leasehold_backend_api::Backend;
use leasehold_backend_api::BackendError;
use leasehold_backend_api::Batch;
use leasehold_backend_api::ErrorKind;
use leasehold_backend_api::Freshness;
use leasehold_backend_api::Health;
use leasehold_backend_api::LedgerHead;
use leasehold_backend_api::StoreHistory;
use leasehold_domain::Cursor;
use leasehold_domain::Event;
use leasehold_domain::ListQuery;
use leasehold_domain::LockRef;
use leasehold_domain::LockView;
use leasehold_domain::Millis;
use leasehold_domain::NamespaceName;
use leasehold_domain::Outcome;
use leasehold_domain::Page;
use leasehold_domain::RequestId;
use leasehold_domain::Subject;
use leasehold_domain::TeamName;
use leasehold_domain::Usage;
use tokio::sync::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::aside::Aside;
use crate::batcher::Queue;
use crate::error;
use crate::item::Answer;
use crate::item::Item;
use crate::item::Query;
use crate::outbox::Found;
use crate::writer::Shared;

/// How long a stream waits before it asks a database again that did not answer.
const STREAM_PAUSE: Duration = Duration::from_millis(500);

/// A durable store of locks and documents in a database that several gateways may share.
pub struct PostgresBackend {
    pub(crate) shared: Arc<Shared>,
    pub(crate) queue: Queue,
    pub(crate) aside: Arc<Aside>,
    pub(crate) consumer: String,
    /// Whether the consumer was unknown before this opening.
    pub(crate) is_new: bool,
    pub(crate) closing: watch::Sender<bool>,
    /// The batcher, until it was waited for.
    pub(crate) writer: Mutex<Option<JoinHandle<()>>>,
}

impl fmt::Debug for PostgresBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresBackend")
            .field("consumer", &self.consumer)
            .finish_non_exhaustive()
    }
}

impl Drop for PostgresBackend {
    /// Lets the tasks end that would otherwise go on without anybody to work for.
    fn drop(&mut self) {
        self.closing.send_replace(true);
    }
}

impl PostgresBackend {
    /// What the server is taken with although it weakens a promise, because the configuration
    /// allows it by name: that its commits wait for no standby. None while all is as it should be;
    /// it changes when another server becomes the primary.
    #[must_use]
    pub fn concessions(&self) -> watch::Receiver<Option<String>> {
        self.shared.status.concessions()
    }

    /// Has one item carried out, unless the store is closing or has stopped.
    pub(crate) async fn propose(&self, item: Item) -> Result<Answer, BackendError> {
        if *self.closing.borrow() {
            return Err(error::closed());
        }
        self.shared.poison.check()?;
        self.queue.propose(item).await
    }

    /// An answer that does not fit its item.
    pub(crate) fn misfit<T>(answer: &Answer) -> Result<T, BackendError> {
        let detail = format!("the answer does not fit the request: {answer:?}");
        Err(BackendError::unknown(ErrorKind::Corrupt, detail))
    }
}

#[async_trait]
impl Backend for PostgresBackend {
    async fn execute(&self, batch: Batch) -> Result<Vec<Outcome>, BackendError> {
        match self.propose(Item::Batch(batch)).await? {
            Answer::Outcomes(outcomes) => Ok(outcomes),
            other => Self::misfit(&other),
        }
    }

    async fn read(&self, lock: &LockRef, freshness: Freshness) -> Result<LockView, BackendError> {
        if let Freshness::Stale { max_age_ms } = freshness {
            let mirror = self.shared.mirror.read().await;
            // A writer that panicked may have left the mirror half changed.
            self.shared.poison.check()?;
            let now_us = self.shared.keeper.look(&*self.shared.clock);
            let age = self.shared.status.age(self.shared.clock.monotonic());
            let stale_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
            if stale_ms <= max_age_ms {
                let view = mirror.state.view(lock, Millis(now_us / 1_000));
                return Ok(LockView { stale_ms, ..view });
            }
        }
        match self.propose(Item::Read(Query::Lock(lock.clone()))).await? {
            Answer::Lock(view) => Ok(*view),
            other => Self::misfit(&other),
        }
    }

    async fn list(&self, query: ListQuery) -> Result<Page<LockView>, BackendError> {
        match self.propose(Item::Read(Query::Locks(query))).await? {
            Answer::Locks(page) => Ok(page),
            other => Self::misfit(&other),
        }
    }

    async fn usage(
        &self,
        namespace: &NamespaceName,
        subject: &Subject,
        team: Option<&TeamName>,
    ) -> Result<Usage, BackendError> {
        let query = Query::Usage(namespace.clone(), subject.clone(), team.cloned());
        match self.propose(Item::Read(query)).await? {
            Answer::Usage(usage) => Ok(usage),
            other => Self::misfit(&other),
        }
    }

    async fn holds(
        &self,
        lock: &LockRef,
        subject: &Subject,
        request_id: &RequestId,
    ) -> Result<bool, BackendError> {
        let query = Query::Holds(lock.clone(), subject.clone(), request_id.clone());
        match self.propose(Item::Read(query)).await? {
            Answer::Holds(holds) => Ok(holds),
            other => Self::misfit(&other),
        }
    }

    fn events(&self, after: Cursor) -> BoxStream<'static, Result<Arc<Event>, BackendError>> {
        let newest = self.shared.outbox.watch_newest();
        let begin = Some((self.shared.clone(), self.aside.clone(), newest, after));
        stream::unfold(begin, |next| async move {
            let (shared, aside, mut newest, after) = next?;
            loop {
                newest.borrow_and_update();
                let trimmed = shared.status.trimmed_to();
                if after < trimmed {
                    let detail = format!("events up to {} are in the ledger only", trimmed.0);
                    let gone = BackendError::without_effect(ErrorKind::Trimmed, detail);
                    return Some((vec![Err(gone)], None));
                }
                let events = match shared.outbox.after(after) {
                    Found::Here(events) => events,
                    Found::Stored => match aside.events(after).await {
                        Ok(events) if !follows(&events, after) => {
                            // They were trimmed a moment ago, which nobody has told here yet.
                            let detail = format!("events after {} are in the ledger only", after.0);
                            let gone = BackendError::without_effect(ErrorKind::Trimmed, detail);
                            return Some((vec![Err(gone)], None));
                        }
                        Ok(events) => events,
                        Err(failure) if failure.is_retryable() => {
                            tracing::debug!(%failure, "events cannot be read; tried again");
                            tokio::time::sleep(STREAM_PAUSE).await;
                            continue;
                        }
                        Err(failure) => return Some((vec![Err(failure)], None)),
                    },
                };
                let events = match shared.levels.admit_events(events) {
                    Ok(events) => events,
                    Err(level) => {
                        let outdated = BackendError::outdated(level);
                        return Some((vec![Err(outdated)], None));
                    }
                };
                let Some(last) = events.last().map(|event| event.cursor) else {
                    newest.changed().await.ok()?;
                    continue;
                };
                let events = events.into_iter().map(Ok).collect();
                return Some((events, Some((shared, aside, newest, last))));
            }
        })
        .flat_map(stream::iter)
        .boxed()
    }

    async fn trim(&self, up_to: LedgerHead) -> Result<(), BackendError> {
        // A ledger that was filled from another may be ahead of what this gateway has read.
        let known = self.shared.status.newest();
        let (up_to, chain) = match up_to.cursor <= known {
            true => (up_to.cursor, Some(up_to.chain)),
            false => (known, None),
        };
        let trimmed = self.aside.trim(&self.consumer, up_to, chain).await?;
        self.shared.status.trimmed(trimmed);
        Ok(())
    }

    async fn history(&self) -> Result<StoreHistory, BackendError> {
        self.aside.history(&self.consumer, self.is_new).await
    }

    async fn health(&self) -> Health {
        self.shared.poison.health(self.shared.status.health())
    }

    async fn stopped(&self) -> String {
        self.shared.poison.stopped().await
    }

    async fn close(&self) {
        self.closing.send_replace(true);
        if let Some(writer) = self.writer.lock().await.take()
            && let Err(failure) = writer.await
        {
            tracing::error!(%failure, "postgres.close: the writer has failed");
        }
        if let Err(problem) = self.shared.known.keep().await {
            tracing::warn!(%problem, "postgres.memory cannot be written");
        }
        self.shared.status.close();
    }
}

/// Whether these are the events after a cursor: cursors have no gaps.
fn follows(events: &[Arc<Event>], after: Cursor) -> bool {
    let first = events.first();
    first.is_none_or(|first| first.cursor.0 == after.0 + 1)
}
