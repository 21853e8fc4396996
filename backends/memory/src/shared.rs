//! The one state and its outbox, behind one mutex.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use leasehold_backend_api::BackendError;
use leasehold_backend_api::ErrorKind;
use leasehold_backend_api::LedgerHead;
use leasehold_backend_api::Writes;
use leasehold_domain::Clock;
use leasehold_domain::Cursor;
use leasehold_domain::Digest;
use leasehold_domain::Event;
use leasehold_domain::FeatureLevel;
use leasehold_domain::Millis;
use leasehold_domain::StoreId;
use leasehold_domain::limits::TOKENS_PER_WRITE;
use leasehold_machine::Moment;
use leasehold_machine::State;
use tokio::sync::watch;

/// What all handles of one memory backend share.
pub(crate) struct Shared {
    pub(crate) clock: Arc<dyn Clock>,
    /// Another one for each process: nothing outlives it.
    pub(crate) id: StoreId,
    inner: Mutex<Inner>,
    /// The newest cursor; wakes streams and nobody else.
    pub(crate) newest: watch::Sender<Cursor>,
    /// The documents' revision.
    pub(crate) documents: watch::Sender<u64>,
}

pub(crate) struct Inner {
    pub(crate) state: State,
    pub(crate) blobs: HashMap<Digest, Arc<[u8]>>,
    pub(crate) events: VecDeque<Arc<Event>>,
    pub(crate) trimmed: Cursor,
    /// Where the ledger was at the last trim.
    pub(crate) ledger: Option<LedgerHead>,
    pub(crate) writes: u64,
    /// Those of them that carried commands.
    pub(crate) sizes: Writes,
    pub(crate) closed: bool,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("newest", &*self.newest.borrow())
            .finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let inner = Inner {
            state: State::default(),
            blobs: HashMap::new(),
            events: VecDeque::new(),
            trimmed: Cursor(0),
            ledger: None,
            writes: 0,
            sizes: Writes::default(),
            closed: false,
        };
        Self {
            clock,
            id: StoreId::from_bytes(rand::random()),
            inner: Mutex::new(inner),
            newest: watch::Sender::new(Cursor(0)),
            documents: watch::Sender::new(0),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Logical time: the process's monotonic clock.
    pub(crate) fn now(&self) -> Millis {
        Millis(u64::try_from(self.clock.monotonic().as_millis()).unwrap_or(u64::MAX))
    }

    /// Whether a tick has something to do.
    pub(crate) fn is_due(&self) -> bool {
        let deadline = self.lock().state.next_deadline();
        deadline.is_some_and(|deadline| deadline <= self.now())
    }

    /// Runs one write: stamps it, keeps its events, wakes who listens.
    pub(crate) fn write<T>(&self, work: impl FnOnce(&mut State, Moment) -> (T, Vec<Event>)) -> T {
        let mut inner = self.lock();
        inner.writes += 1;
        let token_floor = inner.writes * TOKENS_PER_WRITE;
        let at = Moment {
            // One process has it, so no other build must read what it writes.
            level: FeatureLevel::NEWEST,
            // Read under the lock, so that writes are stamped in their order.
            now: self.now(),
            wall: self.clock.wall(),
            token_floor,
        };
        let (answer, events) = work(&mut inner.state, at);
        inner.events.extend(events.into_iter().map(Arc::new));
        let (newest, revision) = (inner.state.newest(), inner.state.documents_revision());
        drop(inner);
        self.newest
            .send_if_modified(|shown| std::mem::replace(shown, newest) != newest);
        self.documents
            .send_if_modified(|shown| std::mem::replace(shown, revision) != revision);
        answer
    }

    /// The events after a cursor that are there now.
    pub(crate) fn after(&self, after: Cursor) -> Result<Vec<Arc<Event>>, BackendError> {
        let inner = self.lock();
        if after < inner.trimmed {
            let detail = format!("events up to {} are gone", inner.trimmed.0);
            return Err(BackendError::without_effect(ErrorKind::Trimmed, detail));
        }
        let from = inner.events.partition_point(|event| event.cursor <= after);
        Ok(inner.events.range(from..).cloned().collect())
    }
}
