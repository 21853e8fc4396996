//! Governance documents, and changes of them.

#![expect(
    missing_docs,
    reason = "fields have the names of those that they are the forms of"
)]

use leasehold_domain as domain;

use crate::event::Change;
use crate::form::form;

form! {
    /// A governance document.
    pub struct Document<'a> {
        0 collection: &'a str,
        1 id: &'a str,
        2 revision: u64,
        3 body: &'a [u8],
    }
}

form! {
    /// Under which condition a document is written.
    pub enum Precondition {
        0 Any,
        1 Absent,
        2 Revision { 0 revision: u64 },
    }
}

form! {
    /// One change to documents.
    pub struct Edit<'a> {
        0 collection: &'a str,
        1 id: &'a str,
        2 body: Option<&'a [u8]>,
        3 precondition: Precondition,
        4 change: Option<Change<'a>>,
    }
}

form! {
    /// What a write of documents came to.
    pub enum EditOutcome {
        0 Done { 0 revision: u64 },
        1 Conflict {
            0 index: u64,
            1 current: Option<u64>,
        },
    }
}

crate::formed!(struct domain::Document => Document<'a> {
    collection, id, revision, body,
});
crate::formed!(enum domain::Precondition => Precondition {
    Any,
    Absent,
    Revision(revision),
});
crate::formed!(struct domain::Edit => Edit<'a> {
    collection, id, body, precondition, change,
});
crate::formed!(enum domain::EditOutcome => EditOutcome {
    Done(revision),
    Conflict { index, current },
});
