//! Snapshots: a sequence of pieces, so that neither writer nor reader has the forms of a whole
//! state in memory at once. A kind of piece that a build does not know is an empty piece to it.

#![expect(
    missing_docs,
    reason = "fields have the names of those that they are the forms of"
)]

use crate::document::Document;
use crate::event::Event;
use crate::form::form;
use crate::lock::LeasePolicies;
use crate::log::LogId;
use crate::log::StoredMembership;
use crate::record::EndedRequest;
use crate::record::Record;

form! {
    /// One piece of a snapshot of a Raft node. The head comes first. Of blobs a snapshot has the
    /// digests: their bytes are not in it.
    #[derive(Default)]
    pub struct Piece<'a> {
        0 head: Option<Head<'a>>,
        1 state: Option<StatePiece<'a>>,
        2 events: Vec<Event<'a>> = default,
        3 blobs: Vec<[u8; 32]> = default,
    }
}

form! {
    /// Where a snapshot stands.
    pub struct Head<'a> {
        0 last_applied: Option<LogId>,
        1 membership: StoredMembership<'a>,
        2 trimmed: u64 = default,
        3 supported_levels: Vec<MemberLevel> = default,
    }
}

form! {
    /// The highest feature level that a member supports.
    pub struct MemberLevel {
        0 node: u64,
        1 level: Option<u16>,
    }
}

form! {
    /// A piece of the lock machine's state. The conversions are the lock machine's.
    #[derive(Default)]
    pub struct StatePiece<'a> {
        0 head: Option<StateHead>,
        1 locks: Vec<Lock<'a>> = default,
        2 documents: Vec<Document<'a>> = default,
        3 ended: Vec<EndedRequest> = default,
        4 policies: Vec<LeasePolicies<'a>> = default,
    }
}

form! {
    /// Where a state stands.
    pub struct StateHead {
        0 now: u64,
        1 newest: u64,
        2 documents_revision: u64,
        3 level: Option<u16>,
    }
}

form! {
    /// A lock and its record. The record's list of policies is empty: it is made of the entries of
    /// the piece's list that have these places, from 0.
    pub struct Lock<'a> {
        0 namespace: &'a str,
        1 name: &'a str,
        2 record: Record<'a>,
        3 policies: Vec<u32> = default,
    }
}
