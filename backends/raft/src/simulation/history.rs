//! What the clients saw.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use leasehold_domain::LeaseHandle;

/// A call, from when it was made to when it was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) asked: Duration,
    pub(crate) answered: Duration,
}

/// What was asked, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    /// An acquire was granted.
    Granted {
        lease: LeaseHandle,
        token: u64,
        ttl: Duration,
    },
    /// An acquire was not: another held the lock.
    Held,
    /// A lease was lengthened.
    Renewed { lease: LeaseHandle, ttl: Duration },
    /// A lease was given back.
    Released { lease: LeaseHandle },
    /// A release or renewal came too late.
    Lost { lease: LeaseHandle },
    /// Nobody knows what came of a release.
    MaybeReleased { lease: LeaseHandle },
    /// The lock was read.
    Read { last_token: u64, holders: Vec<u64> },
}

/// One call that had an answer, or whose effect matters without one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) client: u64,
    pub(crate) lock: usize,
    pub(crate) span: Span,
    pub(crate) seen: Seen,
}

/// All calls, in the order of their answers.
#[derive(Debug, Clone, Default)]
pub(crate) struct History(Arc<Mutex<Vec<Call>>>);

impl History {
    pub(crate) fn note(&self, call: Call) {
        self.0.lock().unwrap().push(call);
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.0.lock().unwrap().clone()
    }
}
