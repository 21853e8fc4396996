//! What stores with values of their own keep besides records, documents and events: etcd's keys and
//! Postgres' rows. The conversions are those backends'.

#![expect(
    missing_docs,
    reason = "fields have the names of those that they are the forms of"
)]

use std::sync::Arc;

use leasehold_domain as domain;

use crate::Formed;
use crate::Invalid;
use crate::form::form;
use crate::lock::LockRef;
use crate::record::EndedRequest;
use crate::record::RecordChange;

form! {
    /// What one write did to the records, and which documents it changed without an event.
    pub struct Changes<'a> {
        0 locks: Vec<LockChange<'a>> = default,
        1 ended: Vec<EndedRequest> = default,
        2 documents: Vec<DocumentName<'a>> = default,
    }
}

form! {
    /// The name of a document.
    pub struct DocumentName<'a> {
        0 collection: &'a str,
        1 id: &'a str,
    }
}

form! {
    /// What a write did to one lock; none if its record is gone.
    pub struct LockChange<'a> {
        0 lock: LockRef<'a>,
        1 change: Option<RecordChange<'a>>,
    }
}

form! {
    /// A row of the ledger among others that follow each other, so that it has no cursor.
    pub struct LedgerLine<'a> {
        0 body: &'a str,
        1 chain: [u8; 32],
    }
}

form! {
    /// Where events begin that are still there.
    pub struct Base {
        0 cursor: u64,
        1 now: u64,
    }
}

form! {
    /// What the last new history began with.
    pub struct HistoryMark {
        0 revisions_added: u64 = default,
        1 id: Option<[u8; 16]>,
    }
}

impl<'a> Formed<'a> for (Arc<str>, domain::Digest) {
    type Form = LedgerLine<'a>;

    fn form(&'a self) -> LedgerLine<'a> {
        LedgerLine {
            body: &self.0,
            chain: self.1.form(),
        }
    }

    fn restore(form: LedgerLine<'a>) -> Result<Self, Invalid> {
        Ok((form.body.into(), Formed::restore(form.chain)?))
    }
}
