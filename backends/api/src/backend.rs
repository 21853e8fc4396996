//! The contract of a store of locks.

use std::fmt::Debug;
use std::sync::Arc;

use crate::Writes;
use async_trait::async_trait;
use futures_util::stream::BoxStream;
use leasehold_domain::Atomicity;
use leasehold_domain::Command;
use leasehold_domain::Counts;
use leasehold_domain::Cursor;
use leasehold_domain::Event;
use leasehold_domain::ListQuery;
use leasehold_domain::LockRef;
use leasehold_domain::LockView;
use leasehold_domain::NamespaceName;
use leasehold_domain::Note;
use leasehold_domain::Outcome;
use leasehold_domain::Page;
use leasehold_domain::RequestId;
use leasehold_domain::Subject;
use leasehold_domain::TeamName;
use leasehold_domain::Usage;

use crate::BackendError;
use crate::LedgerHead;
use crate::StoreHistory;

/// Commands to carry out, and notes to record, in one durable step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// The commands, in order.
    pub commands: Vec<Command>,
    /// Whether one failure stops them all.
    pub atomicity: Atomicity,
    /// What to record although no lock changes: denials.
    pub notes: Vec<Note>,
}

impl Batch {
    /// One command.
    #[must_use]
    pub fn one(command: Command) -> Self {
        Self {
            commands: vec![command],
            ..Self::default()
        }
    }

    /// Nothing but a note.
    #[must_use]
    pub fn note(note: Note) -> Self {
        Self {
            notes: vec![note],
            ..Self::default()
        }
    }
}

/// How fresh a read must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Freshness {
    /// It shows every command that was answered before the read began.
    Linearizable,
    /// It may be this old, and says how old it is.
    Stale {
        /// How old it may be at most.
        max_age_ms: u64,
    },
}

/// How a backend is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Whether commands can be carried out now.
    pub ready: bool,
    /// In a few words, for operators.
    pub detail: String,
    /// Position of the newest event.
    pub newest: Cursor,
    /// Position up to which events were trimmed.
    pub trimmed: Cursor,
    /// How many locks have a record, leases are held, requests wait.
    pub counts: Counts,
    /// Durable writes since the start.
    pub writes: Writes,
}

/// How large a record may be that comes from another store.
#[derive(Debug, Clone, Copy)]
pub struct ImportLimit {
    /// The most that an import may take.
    pub bytes_max: usize,
    /// What the import of this exported record, alone in its batch, takes.
    pub bytes_of: fn(&LockRef, &[u8]) -> usize,
}

/// A strongly consistent store of locks.
///
/// An implementation makes `leasehold_machine` linearizable and durable, and nothing else. It has
/// no rules of its own.
#[async_trait]
pub trait Backend: Debug + Send + Sync + 'static {
    /// Carries out a batch.
    ///
    /// *Guarantees.* All commands and notes of the batch take effect at one point in time between
    /// call and answer, together with their events, and are durable before the answer. There is
    /// one outcome for each command, in order. The namespace's seat
    /// ([`leasehold_domain::Seat`]), if its documents have one, is obeyed as of the same point.
    ///
    /// *Errors.* [`BackendError::effect`] tells whether the batch may have taken effect. An error
    /// never means that a part of it did.
    ///
    /// *Cancellation.* Dropping the future does not undo the batch: it may still take effect.
    ///
    /// *After a crash.* What was answered is there. What was not answered is there whole, or not
    /// at all.
    async fn execute(&self, batch: Batch) -> Result<Vec<Outcome>, BackendError>;

    /// Shows one lock. A lock without a record is free, with default settings and revision 0.
    async fn read(&self, lock: &LockRef, freshness: Freshness) -> Result<LockView, BackendError>;

    /// Shows locks that have a record, in the order of their names. A page is one point in time;
    /// several pages are not.
    async fn list(&self, query: ListQuery) -> Result<Page<LockView>, BackendError>;

    /// Counts the leases that a subject and its team hold in a namespace, linearizably.
    async fn usage(
        &self,
        namespace: &NamespaceName,
        subject: &Subject,
        team: Option<&TeamName>,
    ) -> Result<Usage, BackendError>;

    /// Whether a subject holds a lease of a lock that it asked for by this request, linearizably:
    /// asked again, the request would get that lease.
    async fn holds(
        &self,
        lock: &LockRef,
        subject: &Subject,
        request_id: &RequestId,
    ) -> Result<bool, BackendError>;

    /// The events after `after`, in order, without gaps, without end.
    ///
    /// *Guarantees.* An event appears once it is durable, and not before. A stream that begins at
    /// the cursor of the last event seen continues exactly there, also after a crash. Whoever reads
    /// it may leave it alone for any time after any poll: it holds nothing that others need.
    ///
    /// *Errors.* `Trimmed` if events after `after` were trimmed: begin again at
    /// [`Health::trimmed`], or read the ledger. `Lagged` never: a slow reader is served from the
    /// store.
    fn events(&self, after: Cursor) -> BoxStream<'static, Result<Arc<Event>, BackendError>>;

    /// Allows the backend to forget events up to `up_to`, because the ledger has them durably.
    ///
    /// *Guarantees.* Events that were not trimmed are kept, whatever it costs. The hash chain of
    /// `up_to` becomes durable no later than the trim, so that a ledger that does not continue what
    /// was trimmed is noticed ([`StoreHistory::ledger`]). A position before an earlier one changes
    /// nothing.
    async fn trim(&self, up_to: LedgerHead) -> Result<(), BackendError>;

    /// Returns where the store stands in its history. Everything that was answered before the call
    /// is in it.
    ///
    /// *Errors.* `Unavailable` if the store does not know its identity yet, or cannot be asked.
    async fn history(&self) -> Result<StoreHistory, BackendError>;

    /// How large a record may be that comes from another store; none if only memory limits it.
    ///
    /// *Guarantees.* A record within the limit is not refused for its size.
    fn import_limit(&self) -> Option<ImportLimit> {
        None
    }

    /// How the backend is. Answers at once, from what is known.
    async fn health(&self) -> Health;

    /// Resolves when the store has stopped for good in this process, and returns why: an I/O error
    /// after which the contents of its disk are unknown, or a background task of its own that has
    /// ended. It executes and reads nothing any more; a new process must open it.
    async fn stopped(&self) -> String {
        std::future::pending().await
    }

    /// Stops taking commands, finishes those under way, and closes the store.
    async fn close(&self);
}
