//! What is asked of the writer, and what it answers.

use leasehold_backend_api::Batch;
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

/// One request. Reads stand in the same queue: a read of a batch sees what came before it, and is
/// answered once the database has confirmed that nothing newer is there.
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
    /// Look for writes of other gateways.
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
    /// Of a tick or a look.
    Done,
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
            Self::Tick | Self::Read(_) | Self::Look => 1,
        }
    }

    /// How many commands it adds to a write.
    pub(crate) fn commands(&self) -> usize {
        match self {
            Self::Batch(_) | Self::Edits(_) => self.weight(),
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

    /// Whether its answer tells somebody how the store is, so that it must be confirmed.
    pub(crate) fn tells(&self) -> bool {
        match self {
            Self::Batch(_) | Self::Edits(_) | Self::Read(_) => true,
            Self::Tick | Self::Look => false,
        }
    }
}
