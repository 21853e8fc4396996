//! The state that the log makes, and the events that the ledger does not have yet.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::sync::RwLockReadGuard;
use std::sync::RwLockWriteGuard;

use futures_util::StreamExt;
use futures_util::stream;
use futures_util::stream::BoxStream;
use leasehold_backend_api::BackendError;
use leasehold_backend_api::ErrorKind;
use leasehold_domain::Cursor;
use leasehold_domain::Event;
use leasehold_machine::State;
use tokio::sync::watch;

use crate::entry::LogId;
use crate::entry::Membership;

/// What all parts of a node share.
#[derive(Debug)]
pub(crate) struct Applied {
    inner: RwLock<Inner>,
    /// The newest cursor; wakes event streams.
    newest: watch::Sender<Cursor>,
    /// The documents' revision; wakes governance.
    documents: watch::Sender<u64>,
}

/// All that a snapshot holds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Inner {
    pub(crate) state: State,
    /// Events that were not trimmed. They are made again when the log is replayed, so they need
    /// no write of their own; a snapshot holds those that are left.
    pub(crate) events: VecDeque<Arc<Event>>,
    pub(crate) trimmed: Cursor,
    pub(crate) last_applied: Option<LogId>,
    pub(crate) membership: Membership,
    /// Commands applied since the start, for the snapshot policy and metrics.
    pub(crate) commands: u64,
    /// Entries applied since the start.
    pub(crate) entries: u64,
}

impl Applied {
    pub(crate) fn new(inner: Inner) -> Self {
        let newest = watch::Sender::new(inner.state.newest());
        let documents = watch::Sender::new(inner.state.documents_revision());
        Self {
            inner: RwLock::new(inner),
            newest,
            documents,
        }
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes who listens, after a write.
    pub(crate) fn tell(&self) {
        let (newest, documents) = {
            let inner = self.read();
            (inner.state.newest(), inner.state.documents_revision())
        };
        self.newest
            .send_if_modified(|shown| std::mem::replace(shown, newest) != newest);
        self.documents
            .send_if_modified(|shown| std::mem::replace(shown, documents) != documents);
    }

    pub(crate) fn watch_documents(&self) -> watch::Receiver<u64> {
        self.documents.subscribe()
    }

    /// Forgets events that the ledger has.
    pub(crate) fn trim(&self, up_to: Cursor) {
        let mut inner = self.write();
        let up_to = up_to.min(inner.state.newest());
        while inner
            .events
            .front()
            .is_some_and(|event| event.cursor <= up_to)
        {
            inner.events.pop_front();
        }
        inner.trimmed = inner.trimmed.max(up_to);
    }

    /// The events after a cursor that are there now, at most `most`.
    fn after(&self, after: Cursor, most: usize) -> Result<Vec<Arc<Event>>, BackendError> {
        let inner = self.read();
        if after < inner.trimmed {
            let detail = format!("events up to {} are in the ledger only", inner.trimmed.0);
            return Err(BackendError::without_effect(ErrorKind::Trimmed, detail));
        }
        let from = inner.events.partition_point(|event| event.cursor <= after);
        Ok(inner.events.range(from..).take(most).cloned().collect())
    }

    /// The events after a cursor, without end.
    pub(crate) fn events(
        self: &Arc<Self>,
        after: Cursor,
    ) -> BoxStream<'static, Result<Arc<Event>, BackendError>> {
        /// Events taken under one lock.
        const EVENTS_PER_LOCK: usize = 4_096;
        let newest = self.newest.subscribe();
        let begin = Some((self.clone(), newest, after));
        stream::unfold(begin, |next| async move {
            let (applied, mut newest, after) = next?;
            loop {
                newest.borrow_and_update();
                match applied.after(after, EVENTS_PER_LOCK) {
                    Err(error) => return Some((vec![Err(error)], None)),
                    Ok(events) if events.is_empty() => newest.changed().await.ok()?,
                    Ok(events) => {
                        let last = events.last().map_or(after, |event| event.cursor);
                        let events = events.into_iter().map(Ok).collect();
                        return Some((events, Some((applied, newest, last))));
                    }
                }
            }
        })
        .flat_map(stream::iter)
        .boxed()
    }
}
