//! What is stored about one lock. The conversions are the lock machine's, whose types these are.

#![expect(
    missing_docs,
    reason = "fields have the names of those that they are the forms of"
)]

use std::collections::BTreeMap;

use crate::form::form;
use crate::lock::Counter;
use crate::lock::CounterKey;
use crate::lock::LeasePolicies;
use crate::lock::LockSettings;
use crate::lock::Mode;
use crate::outcome::DrainCause;
use crate::outcome::EndCause;
use crate::transition::Renewals;

form! {
    /// Everything that is stored about one lock.
    pub struct Record<'a> {
        0 clock: u64,
        1 revision: u64,
        2 last_token: u64 = default,
        3 holders: Vec<Lease<'a>> = default,
        4 rest: Option<Box<Rest<'a>>>,
        5 policies: Vec<LeasePolicies<'a>> = default,
    }
}

form! {
    /// What a plainly held lock does not have.
    pub struct Rest<'a> {
        0 queue: Vec<Box<Waiter<'a>>> = default,
        1 cooldown_until: u64 = default,
        2 reservations: Vec<Reservation<'a>> = default,
        3 ended: Vec<EndedLease<'a>> = default,
        4 settings: Option<Box<LockSettings<'a>>>,
        5 claims: Vec<LeaseClaims> = default,
    }
}

form! {
    /// After a transfer the lock waits for its successor.
    pub struct Reservation<'a> {
        0 to: &'a str,
        1 until: u64,
    }
}

form! {
    /// A lease that is held. Its policies are the number of an entry in its record's list, from 1.
    pub struct Lease<'a> {
        0 lease_id: [u8; 16],
        1 request_id: &'a str,
        2 party: Party<'a>,
        3 mode: Mode,
        4 token: u64,
        5 since: u64,
        6 granted: u64,
        7 deadline: u64,
        8 ttl_ms: u64,
        9 hold_until: Option<u64>,
        10 drain: Option<Box<DrainCause<'a>>>,
        11 renewals: Renewals = default,
        12 waited: bool = default,
        13 rule: Option<[u8; 8]>,
        14 policies: u32 = default,
        15 counters: Vec<CounterKey<'a>> = default,
    }
}

form! {
    /// Who holds or waits.
    pub struct Party<'a> {
        0 subject: &'a str,
        1 team: Option<&'a str>,
        2 details: Option<Box<Details<'a>>>,
    }
}

form! {
    /// What only some callers give.
    pub struct Details<'a> {
        0 instance: Option<&'a str>,
        1 labels: BTreeMap<&'a str, &'a str> = default,
        2 value: Option<&'a str>,
        3 reason: Option<&'a str>,
    }
}

form! {
    /// A lease that ended.
    pub struct EndedLease<'a> {
        0 lease_id: [u8; 16],
        1 subject: &'a str,
        2 at: u64,
        3 cause: EndCause,
    }
}

form! {
    /// An acquire that stands in the queue.
    pub struct Waiter<'a> {
        0 lease_id: [u8; 16],
        1 request_id: &'a str,
        2 party: Party<'a>,
        3 mode: Mode,
        4 ttl_ms: u64,
        5 max_hold_ms: Option<u64>,
        6 since: u64,
        7 queued: u64,
        8 deadline: u64,
        9 claims: Claims,
        10 rule: Option<[u8; 8]>,
        11 policies: Option<Box<LeasePolicies<'a>>>,
        12 counters: Vec<Counter<'a>> = default,
    }
}

form! {
    /// The acquires that hang on one waiter or lease.
    pub struct Claims {
        0 standing: Vec<Claim> = default,
        1 uncounted: bool = default,
    }
}

form! {
    /// One acquire that was not cancelled.
    pub struct Claim {
        0 drawn: [u8; 16],
        1 until: u64 = default,
    }
}

form! {
    /// The claims on a lease.
    pub struct LeaseClaims {
        0 lease_id: [u8; 16],
        1 claims: Claims,
    }
}

form! {
    /// What a write did to a record.
    pub struct RecordChange<'a> {
        0 head: Record<'a>,
        1 base: u64 = default,
        2 gone: Vec<u32> = default,
        3 put: Vec<PutWaiter<'a>> = default,
    }
}

form! {
    /// A waiter that came or has changed, by its place in the queue.
    pub struct PutWaiter<'a> {
        0 place: u32,
        1 waiter: Box<Waiter<'a>>,
    }
}

form! {
    /// An acquire whose lease has ended.
    pub struct EndedRequest {
        0 key: [u8; 16],
        1 at: u64,
        2 cause: EndCause,
    }
}

form! {
    /// A record on its way from one store to another.
    pub struct Exported<'a> {
        0 at: u64,
        1 record: Record<'a>,
    }
}
