//! What peers of a Raft group say to each other. The conversions are the Raft backend's.

#![expect(
    missing_docs,
    reason = "fields have the names of those that they are the forms of"
)]

use crate::form::form;
use crate::log::Answer;
use crate::log::Entry;
use crate::log::Item;
use crate::log::LogId;
use crate::log::StoredMembership;
use crate::log::Vote;

form! {
    /// What the dialling node says first.
    pub struct Hello<'a> {
        0 greeting: &'a str,
        1 group: [u8; 16],
        2 from: u64,
        3 to: Option<u64>,
    }
}

form! {
    /// What the other answers.
    pub enum Reply<'a> {
        0 Welcome {
            0 node: u64,
            1 group: Option<[u8; 16]>,
        },
        1 Refused { 0 reason: &'a str },
    }
}

form! {
    /// What one node asks of another.
    pub enum Request<'a> {
        0 Append {
            0 vote: Vote,
            1 previous: Option<LogId>,
            2 entries: Vec<Entry<'a>> = default,
            3 commit: Option<LogId>,
        },
        1 Vote { 0 ballot: Ballot },
        2 PreVote { 0 ballot: Ballot },
        3 Snapshot { 0 chunk: Chunk<'a> },
        4 Transfer {
            0 from: Vote,
            1 to: u64,
            2 last: Option<LogId>,
        },
        5 Forward { 0 items: Vec<Item<'a>> },
        6 ReadIndex,
        7 Adopt {
            0 group: [u8; 16],
            1 level: Option<u16>,
        },
        8 Ledger { 0 after: u64 },
        9 Steer { 0 steering: Steering<'a> },
        10 Recall,
        11 SupportedLevel,
        12 KeepBlob { 0 digest: [u8; 32] },
        13 ReadBlob {
            0 digest: [u8; 32],
            1 offset: u64 = default,
        },
        14 MissingBlobs,
    }
}

form! {
    /// A candidate asks for a vote.
    pub struct Ballot {
        0 vote: Vote,
        1 last: Option<LogId>,
        2 transfer: bool = default,
    }
}

form! {
    /// A piece of a snapshot, in order.
    pub struct Chunk<'a> {
        0 vote: Vote,
        1 last: Option<LogId>,
        2 membership: StoredMembership<'a>,
        3 total: u64,
        4 offset: u64,
        5 bytes: &'a [u8],
    }
}

form! {
    /// A change of the group.
    pub enum Steering<'a> {
        0 Init,
        1 Join {
            0 address: &'a str,
        },
        2 Leave {
            0 node: u64,
        },
        3 Replace {
            0 node: u64,
            1 address: &'a str,
        },
        4 TransferLeader {
            0 to: Option<u64>,
        },
        5 RaiseLevel {
            0 to: Option<u16>,
        },
    }
}

form! {
    /// What comes back.
    pub enum Response<'a> {
        0 Append { 0 appended: Appended },
        1 Vote {
            0 vote: Vote,
            1 granted: bool = default,
            2 last: Option<LogId>,
        },
        2 Snapshot {
            0 vote: Option<Vote>,
        },
        3 Transfer {
            0 refused: Option<&'a str>,
        },
        4 Forwarded {
            0 answers: Vec<Answered<'a>> = default,
            1 index: u64,
        },
        5 ReadIndex {
            0 index: u64,
            1 now: u64,
        },
        6 Adopted { 0 node: u64 },
        7 Ledger {
            0 rows: Vec<Row<'a>> = default,
        },
        8 Steered { 0 view: ClusterView<'a> },
        9 Unsteered { 0 refusal: Refusal<'a> },
        10 NotLeader,
        11 Failed { 0 reason: &'a str },
        12 Recalled {
            0 acknowledged: Option<Acknowledged>,
        },
        13 SupportedLevel { 0 level: Option<u16> },
        14 BlobKept { 0 is_kept: bool = default },
        15 BlobPart {
            0 total: u64,
            1 bytes: &'a [u8],
        },
        16 NoBlob,
        17 MissingBlobs {
            0 applied: u64,
            1 missing: u64,
        },
    }
}

form! {
    /// What became of an append.
    pub enum Appended {
        0 Success,
        1 PartialSuccess {
            0 last: Option<LogId>,
        },
        2 Conflict,
        3 HigherVote { 0 vote: Vote },
    }
}

form! {
    /// What became of one forwarded item.
    pub enum Answered<'a> {
        0 Done { 0 answer: Answer<'a> },
        1 Refused { 0 refusal: Refusal<'a> },
        2 NotLeader,
    }
}

form! {
    /// A row of the ledger.
    pub struct Row<'a> {
        0 cursor: u64,
        1 body: &'a str,
        2 chain: [u8; 32],
    }
}

form! {
    /// A backend's error on its way between nodes.
    pub struct Refusal<'a> {
        0 kind: RefusalKind,
        1 unknown: bool = default,
        2 detail: &'a str,
    }
}

form! {
    /// The kind of an error.
    pub enum RefusalKind {
        0 Unavailable,
        1 Overloaded,
        2 Deadline,
        3 Contended,
        4 Invalid,
        5 Trimmed,
        6 Corrupt,
        7 Closed,
    }
}

form! {
    /// The group as one node sees it.
    pub struct ClusterView<'a> {
        0 group: Option<&'a str>,
        1 node: u64,
        2 leader: Option<u64>,
        3 term: u64,
        4 applied: u64,
        5 members: Vec<MemberView<'a>>,
        6 level: Option<u16>,
    }
}

form! {
    /// One member as a node sees it.
    pub struct MemberView<'a> {
        0 node: u64,
        1 address: &'a str,
        2 voter: bool = default,
        3 replicated: Option<u64>,
        4 supported_level: Option<u16>,
    }
}

form! {
    /// What a node has acknowledged to another.
    pub struct Acknowledged {
        0 term: u64,
        1 last: Option<LogId>,
    }
}
