//! What peers say to each other.

use std::sync::Arc;

use leasehold_backend_api::BackendError;
use leasehold_backend_api::ClusterView;
use leasehold_backend_api::Effect;
use leasehold_backend_api::ErrorKind;
use leasehold_backend_api::LedgerRow;
use leasehold_backend_api::Steering;
use leasehold_domain::Cursor;
use leasehold_domain::Digest;
use leasehold_domain::FeatureLevel;
use leasehold_domain::Millis;
use leasehold_stored::formed;
use leasehold_stored::peer as form;
use openraft::alias::SnapshotMetaOf;
use openraft::raft::AppendEntriesRequest;
use openraft::raft::AppendEntriesResponse;
use openraft::raft::SnapshotResponse;
use openraft::raft::TransferLeaderRequest;
use openraft::raft::VoteRequest;
use openraft::raft::VoteResponse;

use crate::entry::Answer;
use crate::entry::Item;
use crate::entry::TypeConfig;
use crate::entry::Vote;
use crate::identity::GroupId;
use crate::peer::Acknowledged;

/// What one node asks of another.
#[derive(Debug, Clone)]
pub(crate) enum Request {
    /// Replication, and heartbeats.
    Append(AppendEntriesRequest<TypeConfig>),
    /// A candidate asks for a vote.
    Vote(VoteRequest<TypeConfig>),
    /// Would you vote for me?
    PreVote(VoteRequest<TypeConfig>),
    /// A piece of a snapshot.
    Snapshot(Chunk),
    /// The leader hands over.
    Transfer(TransferLeaderRequest<TypeConfig>),
    /// A follower's requests, for the leader to propose.
    Forward(Vec<Item>),
    /// Up to which entry must I have applied, to show all that was answered?
    ReadIndex,
    /// A waiting node is taken into a group, if it supports the group's level.
    Adopt {
        /// The group.
        group: GroupId,
        /// The group's feature level.
        level: FeatureLevel,
    },
    /// Rows of the ledger after a cursor.
    Ledger(Cursor),
    /// A change of the group, for the leader to carry out.
    Steer(Steering),
    /// What have I acknowledged to you?
    Recall,
    /// Which is the highest feature level that your build supports?
    SupportedLevel,
    /// Fetch a blob from the member that asks, and make it durable.
    KeepBlob(Digest),
    /// A part of a blob.
    ReadBlob {
        /// Which blob.
        digest: Digest,
        /// Where the part begins.
        offset: u64,
    },
    /// How many of the registered blobs do you not have?
    MissingBlobs,
}

/// What comes back.
#[derive(Debug, Clone)]
pub(crate) enum Response {
    /// Of `Append`.
    Append(AppendEntriesResponse<TypeConfig>),
    /// Of `Vote` and `PreVote`.
    Vote(VoteResponse<TypeConfig>),
    /// Of a chunk: none if more are awaited.
    Snapshot(Option<SnapshotResponse<TypeConfig>>),
    /// Of `Transfer`: why not, if not.
    Transfer(Option<String>),
    /// Of `Forward`.
    Forwarded {
        /// One for each item.
        answers: Vec<Answered>,
        /// The entry to have applied, to show what the answers tell.
        index: u64,
    },
    /// Of `ReadIndex`: the entry, and the leader's logical time.
    ReadIndex {
        /// The entry to have applied.
        index: u64,
        /// The leader's time.
        now: Millis,
    },
    /// Of `Adopt`: the node's number.
    Adopted(u64),
    /// Of `Ledger`; empty if the node has none.
    Ledger(Vec<Row>),
    /// Of `Steer`.
    Steered(Result<ClusterView, Refusal>),
    /// The node does not lead, or is closing. Nothing was done.
    NotLeader,
    /// The node could not do it.
    Failed(String),
    /// Of `Recall`: none if nothing is remembered.
    Recalled(Option<Acknowledged>),
    /// Of `SupportedLevel`.
    SupportedLevel(FeatureLevel),
    /// Of `KeepBlob`.
    BlobKept {
        /// Whether the blob is durable; false while it is being fetched.
        is_kept: bool,
    },
    /// Of `ReadBlob`.
    BlobPart {
        /// Bytes of the whole blob.
        total: u64,
        /// The part.
        bytes: Vec<u8>,
    },
    /// Of `ReadBlob`: the member has no whole copy.
    NoBlob,
    /// Of `MissingBlobs`.
    MissingBlobs {
        /// The last entry that is applied there.
        applied: u64,
        /// How many blobs that are registered by then are not there.
        missing: u64,
    },
}

/// What became of one forwarded item.
#[derive(Debug, Clone)]
pub(crate) enum Answered {
    /// It was carried out.
    Done(Answer),
    /// It was not, or nobody knows.
    Refused(Refusal),
    /// The node does not lead any more. Nothing was done.
    NotLeader,
}

/// A piece of a snapshot, in order.
#[derive(Debug, Clone)]
pub(crate) struct Chunk {
    /// The sending leader's vote.
    pub(crate) vote: Vote,
    /// What the snapshot holds.
    pub(crate) meta: SnapshotMetaOf<TypeConfig>,
    /// Bytes of the whole.
    pub(crate) total: u64,
    /// Where this piece belongs.
    pub(crate) offset: u64,
    /// The piece.
    pub(crate) bytes: Vec<u8>,
}

/// A row of the ledger: its cursor, its canonical bytes, the hash chain after it.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    cursor: Cursor,
    body: Arc<str>,
    chain: Digest,
}

impl From<LedgerRow> for Row {
    fn from(row: LedgerRow) -> Self {
        let LedgerRow {
            cursor,
            body,
            chain,
        } = row;
        Self {
            cursor,
            body,
            chain,
        }
    }
}

impl From<Row> for LedgerRow {
    fn from(row: Row) -> Self {
        let Row {
            cursor,
            body,
            chain,
        } = row;
        Self {
            cursor,
            body,
            chain,
        }
    }
}

/// A backend's error on its way between nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    kind: Kind,
    unknown: bool,
    detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Unavailable,
    Overloaded,
    Deadline,
    Contended,
    Invalid,
    Trimmed,
    Corrupt,
    Closed,
}

impl From<BackendError> for Refusal {
    fn from(error: BackendError) -> Self {
        let kind = match error.kind {
            ErrorKind::Unavailable => Kind::Unavailable,
            ErrorKind::Overloaded => Kind::Overloaded,
            ErrorKind::Deadline => Kind::Deadline,
            ErrorKind::Contended => Kind::Contended,
            ErrorKind::Invalid => Kind::Invalid,
            ErrorKind::Trimmed => Kind::Trimmed,
            ErrorKind::Closed => Kind::Closed,
            // Also what this crate does not know yet: nothing may be made of it.
            _ => Kind::Corrupt,
        };
        Self {
            kind,
            unknown: error.effect == Effect::Unknown,
            detail: error.detail,
        }
    }
}

impl From<Refusal> for BackendError {
    fn from(refusal: Refusal) -> Self {
        let kind = match refusal.kind {
            Kind::Unavailable => ErrorKind::Unavailable,
            Kind::Overloaded => ErrorKind::Overloaded,
            Kind::Deadline => ErrorKind::Deadline,
            Kind::Contended => ErrorKind::Contended,
            Kind::Invalid => ErrorKind::Invalid,
            Kind::Trimmed => ErrorKind::Trimmed,
            Kind::Corrupt => ErrorKind::Corrupt,
            // The other node's store is closed, not this one's.
            Kind::Closed => ErrorKind::Unavailable,
        };
        let effect = match refusal.unknown {
            true => Effect::Unknown,
            false => Effect::None,
        };
        Self {
            kind,
            effect,
            detail: refusal.detail,
        }
    }
}

formed!(enum Answered => form::Answered<'a> { Done(answer), Refused(refusal), NotLeader });
formed!(struct Row => form::Row<'a> { cursor, body, chain });
formed!(struct Refusal => form::Refusal<'a> { kind, unknown, detail });
formed!(enum Kind => form::RefusalKind {
    Unavailable, Overloaded, Deadline, Contended, Invalid, Trimmed, Corrupt, Closed,
});
