//! The state that the log makes, and the events that the ledger does not have yet.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::sync::RwLockReadGuard;
use std::sync::RwLockWriteGuard;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use futures_util::StreamExt;
use futures_util::stream;
use futures_util::stream::BoxStream;
use leasehold_backend_api::BackendError;
use leasehold_backend_api::ErrorKind;
use leasehold_backend_api::LedgerHead;
use leasehold_backend_api::StoreHistory;
use leasehold_backend_api::Writes;
use leasehold_domain::Cursor;
use leasehold_domain::Digest;
use leasehold_domain::Event;
use leasehold_domain::FeatureLevel;
use leasehold_domain::StoreId;
use leasehold_machine::State;
use tokio::sync::Notify;
use tokio::sync::watch;

use crate::entry::LogId;
use crate::entry::Membership;
use crate::trim::TrimMark;

/// What all parts of a node share.
#[derive(Debug)]
pub(crate) struct Applied {
    inner: RwLock<Inner>,
    /// The newest cursor; wakes event streams.
    newest: watch::Sender<Cursor>,
    /// The last entry that is applied.
    reached: AtomicU64,
    /// Wakes reads that wait for an entry, in the order in which they came.
    advanced: Notify,
    /// The documents' revision; wakes governance.
    documents: watch::Sender<u64>,
    /// The number of registered blobs; wakes the task that fetches those that are not here.
    blobs: watch::Sender<usize>,
    /// Where the ledger was at the last trim, for the log to keep; it needs no write of its own.
    trimmed: Arc<TrimMark>,
}

/// All that a snapshot holds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Inner {
    pub(crate) state: State,
    /// Events after `trimmed`. They are made again when the log is replayed, so they need no write
    /// of their own; a snapshot holds those that are left.
    pub(crate) events: VecDeque<Arc<Event>>,
    pub(crate) trimmed: Cursor,
    pub(crate) last_applied: Option<LogId>,
    pub(crate) membership: Membership,
    /// The highest feature level that each member supports, where it is not the first.
    pub(crate) supported_levels: BTreeMap<u64, FeatureLevel>,
    /// The digests of all blobs. Their bytes are files of each member. Shared with the snapshot that is
    /// being written.
    pub(crate) blobs: Arc<BTreeSet<Digest>>,
    /// Entries with commands that were applied since the start, for the snapshot policy and metrics.
    pub(crate) writes: Writes,
}

/// What those are told who wait for the applied state.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reached {
    newest: Cursor,
    documents: u64,
    blobs: usize,
}

impl Inner {
    /// Returns what those are told who wait.
    pub(crate) fn reached(&self) -> Reached {
        Reached {
            newest: self.state.newest(),
            documents: self.state.documents_revision(),
            blobs: self.blobs.len(),
        }
    }

    /// Records that there is a blob of that digest.
    pub(crate) fn register_blob(&mut self, digest: Digest) {
        if !self.blobs.contains(&digest) {
            Arc::make_mut(&mut self.blobs).insert(digest);
        }
    }

    /// Adds events, but for those that the ledger has: a replay of the log makes them again.
    pub(crate) fn keep(&mut self, events: Vec<Event>) {
        let trimmed = self.trimmed;
        let kept = events.into_iter().filter(|event| event.cursor > trimmed);
        self.events.extend(kept.map(Arc::new));
    }

    /// The last entry that is applied; 0 also before the first, which only makes the group.
    fn index(&self) -> u64 {
        self.last_applied.map_or(0, |id| id.index)
    }

    fn trim(&mut self, up_to: Cursor) {
        let gone = self.events.partition_point(|event| event.cursor <= up_to);
        self.events.drain(..gone);
        self.trimmed = self.trimmed.max(up_to);
    }
}

impl Applied {
    /// Begins with what a snapshot holds. `trimmed` is what the log kept.
    pub(crate) fn new(mut inner: Inner, trimmed: Arc<TrimMark>) -> Self {
        inner.trim(trimmed.get().cursor);
        let newest = watch::Sender::new(inner.state.newest());
        let reached = AtomicU64::new(inner.index());
        let documents = watch::Sender::new(inner.state.documents_revision());
        let blobs = watch::Sender::new(inner.blobs.len());
        Self {
            inner: RwLock::new(inner),
            newest,
            reached,
            advanced: Notify::new(),
            documents,
            blobs,
            trimmed,
        }
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes who listens, after a write that left the state there.
    pub(crate) fn tell(&self, reached: Reached) {
        let Reached {
            newest,
            documents,
            blobs,
        } = reached;
        self.newest
            .send_if_modified(|shown| std::mem::replace(shown, newest) != newest);
        self.documents
            .send_if_modified(|shown| std::mem::replace(shown, documents) != documents);
        self.blobs
            .send_if_modified(|shown| std::mem::replace(shown, blobs) != blobs);
    }

    /// The last entry that is applied.
    pub(crate) fn index(&self) -> u64 {
        self.reached.load(Ordering::Acquire)
    }

    /// An entry is applied. Said before its answer is given: another node may be told of it.
    pub(crate) fn advance(&self, index: u64) {
        self.reached.store(index, Ordering::Release);
        self.advanced.notify_waiters();
    }

    /// Resolves when that entry is applied.
    pub(crate) async fn reach(&self, index: u64) {
        loop {
            // Before the look: an entry that is applied in between wakes it.
            let advanced = self.advanced.notified();
            if self.index() >= index {
                return;
            }
            advanced.await;
        }
    }

    /// Goes on from a peer's snapshot.
    pub(crate) fn replace(&self, mut inner: Inner) {
        // Both ledgers are the same: what this node's own has need not be kept.
        inner.trim(self.trimmed.get().cursor.min(inner.state.newest()));
        let (reached, index) = (inner.reached(), inner.index());
        *self.write() = inner;
        self.advance(index);
        self.tell(reached);
    }

    pub(crate) fn watch_documents(&self) -> watch::Receiver<u64> {
        self.documents.subscribe()
    }

    /// Yields when blobs were registered.
    pub(crate) fn watch_blobs(&self) -> watch::Receiver<usize> {
        self.blobs.subscribe()
    }

    /// Forgets events that the ledger has.
    pub(crate) fn trim(&self, up_to: LedgerHead) {
        let mut inner = self.write();
        let newest = inner.state.newest();
        inner.trim(up_to.cursor.min(newest));
        // A ledger that was filled from a peer may be ahead of what this node has applied.
        if up_to.cursor <= newest {
            self.trimmed.advance(up_to);
        }
    }

    /// Where this node stands in the history of its group.
    pub(crate) fn history(&self, id: StoreId) -> StoreHistory {
        let inner = self.read();
        StoreHistory {
            id,
            newest: inner.state.newest(),
            trimmed: inner.trimmed,
            revision: inner.index(),
            ledger: self.trimmed.get().ledger,
            begins_after: None,
        }
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
