//! `Backend` in memory.

use std::sync::Arc;
use std::sync::Weak;
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
use leasehold_backend_api::ImportLimit;
use leasehold_backend_api::LedgerHead;
use leasehold_backend_api::Poison;
use leasehold_backend_api::StoreHistory;
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
use leasehold_domain::limits;

use crate::shared::Shared;

/// Locks that one tick may end or grant, so that no write is long.
const LOCKS_PER_TICK_MAX: usize = 256;
/// The longest nap of the reaper; a hand-moved clock is seen that late.
const NAP_MAX: Duration = Duration::from_millis(10);

/// Locks in memory: forgotten when the process ends.
#[derive(Debug)]
pub struct MemoryBackend {
    pub(crate) shared: Arc<Shared>,
    import_limit: Option<ImportLimit>,
    /// Set when the reaper has ended.
    poison: Poison,
}

impl MemoryBackend {
    /// An empty store, and its reaper. Must be called inside a tokio runtime.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Self::begin(clock, None)
    }

    /// The same, with a limit that memory has not: it stands for a store that has one. Nothing
    /// enforces it here.
    #[must_use]
    pub fn limited(clock: Arc<dyn Clock>, limit: ImportLimit) -> Arc<Self> {
        Self::begin(clock, Some(limit))
    }

    fn begin(clock: Arc<dyn Clock>, import_limit: Option<ImportLimit>) -> Arc<Self> {
        let shared = Arc::new(Shared::new(clock));
        let poison = Poison::default();
        poison.spawn("reaper", reap(Arc::downgrade(&shared)));
        Arc::new(Self {
            shared,
            import_limit,
            poison,
        })
    }
}

/// Ticks when a deadline is due, until the store is gone.
async fn reap(shared: Weak<Shared>) {
    loop {
        {
            let Some(shared) = shared.upgrade() else {
                return;
            };
            while shared.is_due() {
                shared.write(|state, at| ((), state.tick(at, LOCKS_PER_TICK_MAX)));
            }
        }
        tokio::time::sleep(NAP_MAX).await;
    }
}

#[async_trait]
impl Backend for MemoryBackend {
    async fn execute(&self, batch: Batch) -> Result<Vec<Outcome>, BackendError> {
        let weight = batch.commands.len() + batch.notes.len();
        if weight > limits::LEASES_PER_RENEWAL_MAX {
            // More could make more tokens for one lock than a write has.
            let detail = format!("{weight} commands are too many");
            return Err(BackendError::without_effect(ErrorKind::Invalid, detail));
        }
        self.poison.check()?;
        {
            let mut inner = self.shared.lock();
            if inner.closed {
                return Err(BackendError::without_effect(ErrorKind::Closed, "closed"));
            }
            inner.sizes.record(weight as u64);
        }
        Ok(self.shared.write(|state, at| {
            let applied = state.execute(&batch.commands, batch.atomicity, &batch.notes, at);
            (applied.outcomes, applied.events)
        }))
    }

    async fn read(&self, lock: &LockRef, _: Freshness) -> Result<LockView, BackendError> {
        self.poison.check()?;
        Ok(self.shared.lock().state.view(lock, self.shared.now()))
    }

    async fn list(&self, query: ListQuery) -> Result<Page<LockView>, BackendError> {
        self.poison.check()?;
        Ok(self.shared.lock().state.list(&query, self.shared.now()))
    }

    async fn usage(
        &self,
        namespace: &NamespaceName,
        subject: &Subject,
        team: Option<&TeamName>,
    ) -> Result<Usage, BackendError> {
        self.poison.check()?;
        Ok(self.shared.lock().state.usage(namespace, subject, team))
    }

    async fn holds(
        &self,
        lock: &LockRef,
        subject: &Subject,
        request_id: &RequestId,
    ) -> Result<bool, BackendError> {
        self.poison.check()?;
        Ok(self.shared.lock().state.holds(lock, subject, request_id))
    }

    fn events(&self, after: Cursor) -> BoxStream<'static, Result<Arc<Event>, BackendError>> {
        let newest = self.shared.newest.subscribe();
        let begin = (self.shared.clone(), newest, after, false);
        stream::unfold(begin, |(shared, mut newest, after, ended)| async move {
            if ended {
                return None;
            }
            loop {
                newest.borrow_and_update();
                match shared.after(after) {
                    Err(error) => return Some((vec![Err(error)], (shared, newest, after, true))),
                    Ok(events) if !events.is_empty() => {
                        let last = events.last().map_or(after, |event| event.cursor);
                        let events = events.into_iter().map(Ok).collect();
                        return Some((events, (shared, newest, last, false)));
                    }
                    Ok(_) => newest.changed().await.ok()?,
                }
            }
        })
        .flat_map(stream::iter)
        .boxed()
    }

    async fn trim(&self, up_to: LedgerHead) -> Result<(), BackendError> {
        let mut inner = self.shared.lock();
        if up_to.cursor >= inner.trimmed {
            inner.ledger = Some(up_to);
        }
        let up_to = up_to.cursor;
        while inner
            .events
            .front()
            .is_some_and(|event| event.cursor <= up_to)
        {
            inner.events.pop_front();
        }
        inner.trimmed = inner.trimmed.max(up_to.min(inner.state.newest()));
        Ok(())
    }

    async fn history(&self) -> Result<StoreHistory, BackendError> {
        let inner = self.shared.lock();
        Ok(StoreHistory {
            id: self.shared.id,
            newest: inner.state.newest(),
            trimmed: inner.trimmed,
            revision: inner.writes,
            ledger: inner.ledger,
            begins_after: None,
        })
    }

    fn import_limit(&self) -> Option<ImportLimit> {
        self.import_limit
    }

    async fn health(&self) -> Health {
        let inner = self.shared.lock();
        self.poison.health(Health {
            ready: !inner.closed,
            detail: "in memory: forgotten when the process ends".to_owned(),
            newest: inner.state.newest(),
            trimmed: inner.trimmed,
            counts: inner.state.counts(),
            writes: inner.sizes,
        })
    }

    async fn stopped(&self) -> String {
        self.poison.stopped().await
    }

    async fn close(&self) {
        self.shared.lock().closed = true;
    }
}
