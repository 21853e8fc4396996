//! What a handler asks of the pipeline: checked domain values, one struct for each operation.

use std::collections::BTreeMap;

use leasehold_domain::FencingToken;
use leasehold_domain::LeaseId;
use leasehold_domain::LockRef;
use leasehold_domain::LockSettings;
use leasehold_domain::Mode;
use leasehold_domain::NamespaceName;
use leasehold_domain::Operation;
use leasehold_domain::OverrideTerms;
use leasehold_domain::Request;
use leasehold_domain::RevokeTarget;
use leasehold_domain::Subject;

/// Take a lock.
#[derive(Debug, Clone)]
pub struct Acquire {
    /// Which.
    pub lock: LockRef,
    /// How to hold it.
    pub mode: Mode,
    /// How long the lease lasts without renewal.
    pub ttl_ms: u64,
    /// How long to wait in the queue; none or 0 to try only.
    pub wait_ms: Option<u64>,
    /// Which process, for people.
    pub instance: Option<Box<str>>,
    /// The caller's labels.
    pub labels: BTreeMap<Box<str>, Box<str>>,
    /// Why.
    pub reason: Option<Box<str>>,
    /// What the holder publishes.
    pub value: Option<Box<str>>,
    /// The terms of break-glass.
    pub override_terms: Option<Box<OverrideTerms>>,
}

/// Take several locks, all or nothing.
#[derive(Debug, Clone)]
pub struct AcquireMany {
    /// The namespace of all.
    pub namespace: NamespaceName,
    /// One for each lock. `wait_ms` must be none.
    pub acquires: Vec<Acquire>,
}

/// Lengthen a lease.
#[derive(Debug, Clone)]
pub struct Renew {
    /// Of which lock.
    pub lock: LockRef,
    /// Which lease.
    pub lease_id: LeaseId,
    /// Its new time to live; none keeps the lease's own.
    pub ttl_ms: Option<u64>,
    /// Why.
    pub reason: Option<Box<str>>,
    /// The terms of break-glass.
    pub override_terms: Option<Box<OverrideTerms>>,
}

/// Give a lease back.
#[derive(Debug, Clone)]
pub struct Release {
    /// Of which lock.
    pub lock: LockRef,
    /// Which lease.
    pub lease_id: LeaseId,
    /// How long the lock is not granted again after the release; 0 for no cooldown.
    pub cooldown_ms: u64,
}

/// End somebody else's lease.
#[derive(Debug, Clone)]
pub struct Revoke {
    /// Of which lock.
    pub lock: LockRef,
    /// Whose.
    pub target: RevokeTarget,
    /// How long the holder may drain; 0 for at once.
    pub grace_ms: u64,
    /// Why.
    pub reason: Option<Box<str>>,
    /// Further facts for policies, such as a ticket.
    pub labels: BTreeMap<Box<str>, Box<str>>,
    /// The terms of break-glass.
    pub override_terms: Option<Box<OverrideTerms>>,
}

/// Hand a lease to a successor.
#[derive(Debug, Clone)]
pub struct Transfer {
    /// Of which lock.
    pub lock: LockRef,
    /// Which lease.
    pub lease_id: LeaseId,
    /// To whom.
    pub to: Subject,
    /// How long the holder may drain; 0 for at once.
    pub grace_ms: u64,
    /// Why.
    pub reason: Option<Box<str>>,
    /// Further facts for policies, such as a ticket.
    pub labels: BTreeMap<Box<str>, Box<str>>,
    /// The terms of break-glass.
    pub override_terms: Option<Box<OverrideTerms>>,
}

/// Set a lock's settings.
#[derive(Debug, Clone)]
pub struct Declare {
    /// Which.
    pub lock: LockRef,
    /// The new settings, whole.
    pub settings: LockSettings,
}

/// Ask whether a token is the current one.
#[derive(Debug, Clone)]
pub struct Validate {
    /// Of which lock.
    pub lock: LockRef,
    /// Which token.
    pub token: FencingToken,
}

impl Acquire {
    /// The request as policies and the ledger see it.
    #[must_use]
    pub fn request(self) -> Request {
        Request {
            mode: Some(self.mode),
            ttl_ms: Some(self.ttl_ms),
            wait_ms: self.wait_ms.filter(|wait| *wait > 0),
            instance: self.instance,
            labels: self.labels,
            reason: self.reason,
            value: self.value,
            override_terms: self.override_terms,
            ..Request::new(Operation::Acquire, self.lock)
        }
    }
}

impl Renew {
    /// The request as policies and the ledger see it.
    #[must_use]
    pub fn request(&self) -> Request {
        Request {
            ttl_ms: self.ttl_ms,
            reason: self.reason.clone(),
            override_terms: self.override_terms.clone(),
            lease: Some(self.lease_id.handle()),
            ..Request::new(Operation::Renew, self.lock.clone())
        }
    }
}

impl Release {
    /// The request as the ledger sees it.
    #[must_use]
    pub fn request(&self) -> Request {
        Request {
            lease: Some(self.lease_id.handle()),
            ..Request::new(Operation::Release, self.lock.clone())
        }
    }
}

impl Revoke {
    /// The request as policies and the ledger see it, and the target.
    #[must_use]
    pub fn request(self) -> (Request, RevokeTarget) {
        let lease = match &self.target {
            RevokeTarget::Lease(handle) => Some(*handle),
            RevokeTarget::All | RevokeTarget::Subject(_) => None,
        };
        let request = Request {
            grace_ms: Some(self.grace_ms),
            reason: self.reason,
            labels: self.labels,
            override_terms: self.override_terms,
            lease,
            ..Request::new(Operation::Revoke, self.lock)
        };
        (request, self.target)
    }
}

impl Transfer {
    /// The request as policies and the ledger see it.
    #[must_use]
    pub fn request(self) -> Request {
        Request {
            grace_ms: Some(self.grace_ms),
            successor: Some(self.to),
            reason: self.reason,
            labels: self.labels,
            override_terms: self.override_terms,
            lease: Some(self.lease_id.handle()),
            ..Request::new(Operation::Transfer, self.lock)
        }
    }
}
