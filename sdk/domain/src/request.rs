//! What a caller asked, as policies see it and as the ledger keeps it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

use crate::Decision;
use crate::LeaseHandle;
use crate::LockRef;
use crate::Principal;
use crate::RequestId;
use crate::Subject;
use crate::WallMillis;

/// What is asked of a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Operation {
    /// Take the lock, now or from the queue.
    Acquire,
    /// Lengthen a lease.
    Renew,
    /// Give a lease back.
    Release,
    /// End somebody else's lease.
    Revoke,
    /// Hand a lease to a named successor.
    Transfer,
    /// Leave the queue.
    CancelWait,
    /// Set a lock's limit, cooldown and description.
    Configure,
}

impl Operation {
    /// All operations.
    pub const ALL: [Self; 7] = [
        Self::Acquire,
        Self::Renew,
        Self::Release,
        Self::Revoke,
        Self::Transfer,
        Self::CancelWait,
        Self::Configure,
    ];

    /// The operation's name in the API, in policies, metrics and the ledger.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Acquire => "acquire",
            Self::Renew => "renew",
            Self::Release => "release",
            Self::Revoke => "revoke",
            Self::Transfer => "transfer",
            Self::CancelWait => "cancel-wait",
            Self::Configure => "configure",
        }
    }

    /// Whether policies are asked about it. Giving a lease back and leaving the queue must always
    /// be possible, so no policy judges them.
    #[must_use]
    pub fn is_judged(self) -> bool {
        match self {
            Self::Acquire | Self::Renew | Self::Revoke | Self::Transfer | Self::Configure => true,
            Self::Release | Self::CancelWait => false,
        }
    }

    /// The operation of that name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|operation| operation.as_str() == name)
    }
}

/// How a lock is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Mode {
    /// Alone.
    Exclusive,
    /// Together with others, up to the lock's limit.
    Shared {
        /// How many of the limit's permits this lease takes; at least 1.
        permits: u32,
    },
}

impl Mode {
    /// `exclusive` or `shared`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exclusive => "exclusive",
            Self::Shared { .. } => "shared",
        }
    }
}

/// What was asked, before any policy limit was applied. Fields that an operation does not have are
/// empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// What is asked.
    pub operation: Operation,
    /// Of which lock.
    pub lock: LockRef,
    /// Acquire: how to hold it.
    pub mode: Option<Mode>,
    /// Acquire, renew: the ttl that was asked for.
    pub ttl_ms: Option<u64>,
    /// Acquire: how long the caller is ready to wait; none to try only.
    pub wait_ms: Option<u64>,
    /// Revoke, transfer: how long the holder may drain.
    pub grace_ms: Option<u64>,
    /// Acquire: which process of the subject this is, for people.
    pub instance: Option<Box<str>>,
    /// Acquire: the caller's own labels, shown with the holder.
    pub labels: BTreeMap<Box<str>, Box<str>>,
    /// Why; policies may demand it.
    pub reason: Option<Box<str>>,
    /// Acquire: a value that the holder publishes (an address, say).
    pub value: Option<Box<str>>,
    /// Transfer: to whom.
    pub successor: Option<Subject>,
    /// Renew, release, revoke, transfer: which lease.
    pub lease: Option<LeaseHandle>,
    /// The terms of break-glass. Policies do not see them.
    pub override_terms: Option<Box<OverrideTerms>>,
}

impl Request {
    /// A request with nothing but its operation and lock.
    #[must_use]
    pub fn new(operation: Operation, lock: LockRef) -> Self {
        Self {
            operation,
            lock,
            mode: None,
            ttl_ms: None,
            wait_ms: None,
            grace_ms: None,
            instance: None,
            labels: BTreeMap::new(),
            reason: None,
            value: None,
            successor: None,
            lease: None,
            override_terms: None,
        }
    }

    /// Returns the ticket under which a denial is passed by break-glass, if one was given.
    #[must_use]
    pub fn ticket(&self) -> Option<&str> {
        self.override_terms.as_ref()?.ticket.as_deref()
    }

    /// Returns the time for which a denial is passed by break-glass, if one was given.
    #[must_use]
    pub fn override_ttl_ms(&self) -> Option<u64> {
        self.override_terms.as_ref()?.ttl_ms
    }
}

/// Under which terms an overridable denial is passed by break-glass, if it comes to that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverrideTerms {
    /// The ticket.
    pub ticket: Option<Box<str>>,
    /// Acquire, renew: how long the denial is passed.
    pub ttl_ms: Option<u64>,
}

impl OverrideTerms {
    /// Returns these terms; `None` if there are none.
    #[must_use]
    pub fn of(ticket: Option<String>, ttl_ms: Option<u64>) -> Option<Box<Self>> {
        let is_empty = ticket.is_none() && ttl_ms.is_none();
        (!is_empty).then(|| {
            Box::new(Self {
                ticket: ticket.map(Into::into),
                ttl_ms,
            })
        })
    }
}

/// Why a command is run: who asked what, and which decision let it pass. Becomes part of the event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// The caller's idempotency key, or one that the gateway made.
    pub request_id: RequestId,
    /// When the gateway took the request, for people.
    pub received: WallMillis,
    /// Who asked.
    pub principal: Arc<Principal>,
    /// What was asked.
    pub request: Request,
    /// What the policies said. None for operations that no policy judges (release, cancel-wait).
    pub decision: Option<Arc<Decision>>,
}
