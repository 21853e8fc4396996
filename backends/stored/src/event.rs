//! What happened, as the outbox keeps it.

#![expect(
    missing_docs,
    reason = "fields have the names of those that they are the forms of"
)]

use leasehold_domain as domain;

use crate::cause::Cause;
use crate::cause::Principal;
use crate::form::form;
use crate::lock::LockRef;
use crate::transition::Transition;

form! {
    /// One thing that happened.
    pub struct Event<'a> {
        0 cursor: u64,
        1 now: u64,
        2 wall: u64,
        3 kind: EventKind<'a>,
        4 level: Option<u16>,
    }
}

form! {
    /// What happened.
    pub enum EventKind<'a> {
        0 Lock {
            0 lock: LockRef<'a>,
            1 cause: Option<Box<Cause<'a>>>,
            2 transitions: Vec<Transition<'a>>,
        },
        1 Denied { 0 cause: Box<Cause<'a>> },
        2 Governance { 0 change: Box<Change<'a>> },
    }
}

form! {
    /// A change of a governance document.
    pub struct Change<'a> {
        0 request_id: &'a str,
        1 principal: Box<Principal<'a>>,
        2 collection: &'a str,
        3 id: &'a str,
        4 digest: Option<[u8; 32]>,
        5 summary: &'a str,
    }
}

form! {
    /// What a caller wants recorded although no lock changes.
    pub enum Note<'a> {
        0 Denied { 0 cause: Box<Cause<'a>> },
        1 Governance { 0 change: Box<Change<'a>> },
    }
}

crate::formed!(struct domain::Event => Event<'a> {
    cursor, now, wall, kind, level,
});
crate::formed!(enum domain::EventKind => EventKind<'a> {
    Lock { lock, cause, transitions },
    Denied(cause),
    Governance(change),
});
crate::formed!(struct domain::Change => Change<'a> {
    request_id, principal, collection, id, digest, summary,
});
crate::formed!(enum domain::Note => Note<'a> {
    Denied(cause),
    Governance(change),
});
