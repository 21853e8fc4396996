//! The one state behind a mutex: every write goes to the file first, then to the machine.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::Weak;
use std::time::Duration;

use leasehold_backend_api::BackendError;
use leasehold_backend_api::ErrorKind;
use leasehold_backend_api::LedgerHead;
use leasehold_backend_api::Writes;
use leasehold_domain::Clock;
use leasehold_domain::Cursor;
use leasehold_domain::Digest;
use leasehold_domain::EditOutcome;
use leasehold_domain::Event;
use leasehold_domain::FeatureLevel;
use leasehold_domain::Millis;
use leasehold_domain::Outcome;
use leasehold_domain::StoreId;
use leasehold_domain::limits::TOKENS_PER_WRITE;
use leasehold_machine::Moment;
use leasehold_machine::State;
use tokio::sync::watch;

use crate::file::Entry;
use crate::file::Journal;
use crate::file::What;

/// Locks that one tick may end or grant.
const LOCKS_PER_TICK_MAX: usize = 256;
/// How often to look for leases that have ended.
const TICK_EVERY: Duration = Duration::from_millis(10);

/// What all handles of one store share.
#[derive(Debug)]
pub(crate) struct Store {
    clock: Arc<dyn Clock>,
    /// Of its path, which is the store's for as long as a test runs.
    pub(crate) id: StoreId,
    /// Logical time, and the clock, when the store was opened: logical time stands still while
    /// there is no store, so that no lease ends early by a restart.
    opened: (Millis, Duration),
    inner: Mutex<Inner>,
    /// Wake those who read events, and those who watch documents.
    pub(crate) newest: watch::Sender<Cursor>,
    pub(crate) documents: watch::Sender<u64>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    journal: Journal,
    pub(crate) state: State,
    pub(crate) blobs: HashMap<Digest, Arc<[u8]>>,
    events: VecDeque<Arc<Event>>,
    pub(crate) trimmed: Cursor,
    /// Where the ledger was at the last trim.
    pub(crate) ledger: Option<LedgerHead>,
    /// All writes that the file has: what tokens grow by.
    pub(crate) entries: u64,
    pub(crate) writes: Writes,
    /// Why no more is taken; none while all is well.
    pub(crate) stopped: Option<BackendError>,
}

/// What a write came to.
pub(crate) struct Answer {
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) edited: EditOutcome,
}

impl Store {
    /// Carries out again what the file has, and starts the reaper.
    pub(crate) fn open(path: &Path, clock: Arc<dyn Clock>) -> io::Result<Arc<Self>> {
        let (journal, entries) = Journal::open(path)?;
        let mut inner = Inner {
            journal,
            state: State::default(),
            blobs: HashMap::new(),
            events: VecDeque::new(),
            trimmed: Cursor(0),
            ledger: None,
            entries: 0,
            writes: Writes::default(),
            stopped: None,
        };
        for entry in &entries {
            inner.apply(entry);
        }
        let store = Arc::new(Self {
            id: id_of(path),
            opened: (inner.state.now(), clock.monotonic()),
            clock,
            newest: watch::Sender::new(inner.state.newest()),
            documents: watch::Sender::new(inner.state.documents_revision()),
            inner: Mutex::new(inner),
        });
        tokio::spawn(reap(Arc::downgrade(&store)));
        Ok(store)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Millis {
        let (then, at) = self.opened;
        let passed = self.clock.monotonic().saturating_sub(at).as_millis();
        then.plus(u64::try_from(passed).unwrap_or(u64::MAX))
    }

    /// Whether a tick has something to do.
    fn is_due(&self) -> bool {
        let deadline = self.lock().state.next_deadline();
        deadline.is_some_and(|deadline| deadline <= self.now())
    }

    /// Makes one write durable, carries it out, and wakes who listens. On a thread that may wait
    /// for the disk; a caller that leaves does not stop it.
    pub(crate) async fn write(self: &Arc<Self>, what: What) -> Result<Answer, BackendError> {
        let store = self.clone();
        let writing = tokio::task::spawn_blocking(move || store.write_now(what));
        let gone = |_| BackendError::unknown(ErrorKind::Closed, "the store is gone");
        writing.await.map_err(gone)?
    }

    fn write_now(&self, what: What) -> Result<Answer, BackendError> {
        let mut inner = self.lock();
        if let Some(stopped) = &inner.stopped {
            return Err(stopped.clone());
        }
        let entry = Entry {
            // Read under the lock, so that writes are stamped in their order.
            now: self.now(),
            wall: self.clock.wall(),
            what,
        };
        if let Err(error) = inner.journal.append(&entry) {
            let kind = ErrorKind::Unavailable;
            // What the file's end looks like is found out by opening it again.
            inner.stopped = Some(BackendError::without_effect(kind, "its file failed"));
            return Err(BackendError::unknown(kind, error.to_string()));
        }
        let answer = inner.apply(&entry);
        let (newest, revision) = (inner.state.newest(), inner.state.documents_revision());
        // Under the lock, so that those who listen hear of writes in their order.
        self.newest
            .send_if_modified(|shown| std::mem::replace(shown, newest) != newest);
        self.documents
            .send_if_modified(|shown| std::mem::replace(shown, revision) != revision);
        Ok(answer)
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

impl Inner {
    /// What an entry does, now or when the file is read again.
    fn apply(&mut self, entry: &Entry) -> Answer {
        self.entries += 1;
        let at = Moment {
            level: FeatureLevel::NEWEST,
            now: entry.now,
            wall: entry.wall,
            token_floor: self.entries * TOKENS_PER_WRITE,
        };
        let mut answer = Answer {
            outcomes: Vec::new(),
            edited: EditOutcome::Done(self.state.documents_revision()),
        };
        let events = match &entry.what {
            What::Batch {
                commands,
                atomicity,
                notes,
            } => {
                self.writes.record((commands.len() + notes.len()) as u64);
                let applied = self.state.execute(commands, *atomicity, notes, at);
                answer.outcomes = applied.outcomes;
                applied.events
            }
            What::Edits(edits) => {
                let (edited, events) = self.state.edit(edits, at);
                answer.edited = edited;
                events
            }
            What::Blob(bytes) => {
                self.blobs.insert(Digest::of(bytes), bytes.clone());
                Vec::new()
            }
            What::Tick => self.state.tick(at, LOCKS_PER_TICK_MAX),
        };
        self.events.extend(events.into_iter().map(Arc::new));
        answer
    }

    /// Forgets events. The file keeps them, so after a restart they are there again.
    pub(crate) fn trim(&mut self, up_to: LedgerHead) {
        if self
            .ledger
            .is_none_or(|ledger| ledger.cursor < up_to.cursor)
        {
            self.ledger = Some(up_to);
        }
        self.trimmed = self.trimmed.max(up_to.cursor.min(self.state.newest()));
        let trimmed = self.trimmed;
        while self.events.front().is_some_and(|e| e.cursor <= trimmed) {
            self.events.pop_front();
        }
    }
}

fn id_of(path: &Path) -> StoreId {
    let digest = Digest::of(path.as_os_str().as_encoded_bytes()).0;
    StoreId::from_bytes(std::array::from_fn(|at| digest[at]))
}

/// Ends leases and grants to waiters when nobody asks, until the store is gone.
async fn reap(store: Weak<Store>) {
    loop {
        {
            let Some(store) = store.upgrade() else {
                return;
            };
            while store.is_due() {
                if store.write(What::Tick).await.is_err() {
                    return;
                }
            }
        }
        tokio::time::sleep(TICK_EVERY).await;
    }
}
