//! What is asked of the writer, and what it answers.

use leasehold_backend_api::Batch;
use leasehold_domain::Command;
use leasehold_domain::Document;
use leasehold_domain::DocumentSet;
use leasehold_domain::Edit;
use leasehold_domain::EditOutcome;
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

/// One request. Reads stand in the same queue: they are answered after the writes of their batch,
/// which also confirm that nothing newer is there.
#[derive(Debug)]
pub(crate) enum Item {
    /// Commands and notes.
    Batch(Batch),
    /// Changes of governance documents: all or none.
    Edits(Vec<Edit>),
    /// Expire and grant what is due.
    Tick,
    /// A read.
    Read(Query),
    /// Look whether the store is there, if it was not asked for a while.
    Look,
}

/// What to read.
#[derive(Debug)]
pub(crate) enum Query {
    /// One lock.
    Lock(LockRef),
    /// Many.
    Locks(ListQuery),
    /// How many leases somebody holds.
    Usage(NamespaceName, Subject, Option<TeamName>),
    /// Whether somebody holds a lease by a request.
    Holds(LockRef, Subject, RequestId),
    /// One document.
    Document(Box<str>, Box<str>),
    /// All of a collection.
    Documents(Box<str>),
    /// All of all collections.
    Snapshot,
    /// The revision of all of them.
    Revision,
}

/// What one item came to.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Of a batch.
    Outcomes(Vec<Outcome>),
    /// Of edits.
    Edited(EditOutcome),
    /// Of a look.
    Looked,
    /// Of a tick: whether more is due already.
    Ticked {
        /// Whether more is due already.
        more: bool,
    },
    /// Of reads, in the order of [`Query`].
    Lock(Box<LockView>),
    /// A page of locks.
    Locks(Page<LockView>),
    /// Leases.
    Usage(Usage),
    /// Whether a lease is held.
    Holds(bool),
    /// A document.
    Document(Option<Document>),
    /// Documents.
    Documents(Vec<Document>),
    /// All documents.
    Snapshot(DocumentSet),
    /// Their revision.
    Revision(u64),
}

impl Item {
    /// How many commands it counts for.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::Batch(batch) => batch.commands.len() + batch.notes.len(),
            Self::Edits(edits) => edits.len(),
            Self::Tick | Self::Read(_) | Self::Look => 0,
        }
    }

    /// Whether it may change anything.
    pub(crate) fn writes(&self) -> bool {
        match self {
            Self::Batch(_) | Self::Edits(_) | Self::Tick => true,
            Self::Read(_) | Self::Look => false,
        }
    }

    /// The locks of its commands.
    pub(crate) fn locks(&self) -> impl Iterator<Item = &LockRef> {
        self.commands().iter().map(|command| &command.lock)
    }

    /// Returns its commands.
    pub(crate) fn commands(&self) -> &[Command] {
        match self {
            Self::Batch(batch) => &batch.commands,
            Self::Edits(_) | Self::Tick | Self::Read(_) | Self::Look => &[],
        }
    }

    /// Whether a command of it depends on more than its own lock's record: on what somebody holds
    /// in the whole namespace.
    pub(crate) fn expects_usage(&self) -> bool {
        self.commands().iter().any(|command| {
            let expect = command.expect.as_ref();
            expect.is_some_and(|expect| expect.usage.is_some())
        })
    }
}
