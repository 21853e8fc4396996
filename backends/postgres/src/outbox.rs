//! The newest events in memory, and who waits for more.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use leasehold_domain::Cursor;
use leasehold_domain::Event;
use tokio::sync::watch;

/// Events that are kept in memory; older ones are read from the database.
const EVENTS_KEPT: usize = 16_384;
/// Events taken at once.
pub(crate) const EVENTS_AT_ONCE: usize = 1_024;

/// What streams read. All that is in it is durable.
#[derive(Debug)]
pub(crate) struct Outbox {
    events: Mutex<VecDeque<Arc<Event>>>,
    newest: watch::Sender<Cursor>,
    documents: watch::Sender<u64>,
}

/// Where a stream finds what comes after a cursor.
#[derive(Debug)]
pub(crate) enum Found {
    /// Here. Empty if there is nothing new.
    Here(Vec<Arc<Event>>),
    /// Only in the database.
    Stored,
}

impl Outbox {
    pub(crate) fn new() -> Self {
        Self {
            events: Mutex::default(),
            newest: watch::Sender::new(Cursor(0)),
            documents: watch::Sender::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Event>>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the events of a write, and wakes who waits.
    pub(crate) fn push(&self, events: impl IntoIterator<Item = Event>) {
        let newest = {
            let mut kept = self.lock();
            kept.extend(events.into_iter().map(Arc::new));
            let surplus = kept.len().saturating_sub(EVENTS_KEPT);
            kept.drain(..surplus);
            kept.back().map(|event| event.cursor)
        };
        if let Some(newest) = newest {
            self.tell(newest);
        }
    }

    /// Begins anew at a cursor: what came before is in the database.
    pub(crate) fn restart(&self, newest: Cursor) {
        self.lock().clear();
        self.tell(newest);
    }

    fn tell(&self, newest: Cursor) {
        self.newest
            .send_if_modified(|shown| std::mem::replace(shown, newest) != newest);
    }

    /// Wakes governance if the documents have changed.
    pub(crate) fn tell_documents(&self, revision: u64) {
        self.documents
            .send_if_modified(|shown| std::mem::replace(shown, revision) != revision);
    }

    pub(crate) fn watch_newest(&self) -> watch::Receiver<Cursor> {
        self.newest.subscribe()
    }

    pub(crate) fn watch_documents(&self) -> watch::Receiver<u64> {
        self.documents.subscribe()
    }

    /// What comes after a cursor.
    pub(crate) fn after(&self, after: Cursor) -> Found {
        let kept = self.lock();
        let newest = *self.newest.borrow();
        if after >= newest {
            return Found::Here(Vec::new());
        }
        match kept.front() {
            Some(first) if first.cursor.0 <= after.0 + 1 => {
                let from = kept.partition_point(|event| event.cursor <= after);
                Found::Here(kept.range(from..).take(EVENTS_AT_ONCE).cloned().collect())
            }
            _ => Found::Stored,
        }
    }
}
