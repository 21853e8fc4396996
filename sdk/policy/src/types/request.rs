//! What was asked.

use crate::Operation;
use crate::Pairs;

/// How a lock is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Alone.
    Exclusive,
    /// Together with others.
    Shared {
        /// How many of the lock's permits the lease takes; at least 1.
        permits: u32,
    },
}

/// What was asked, before any policy limit was applied. Fields that an operation does not have are
/// none or empty. Durations are milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What is asked.
    pub operation: Operation,
    /// The tenant.
    pub namespace: String,
    /// The lock's name in the namespace: segments parted by `/`.
    pub lock: String,
    /// Acquire: how to hold it.
    pub mode: Option<Mode>,
    /// Acquire, renew: the time to live that was asked for.
    pub ttl_ms: Option<u64>,
    /// Acquire: how long the caller is ready to wait; none to try only.
    pub wait_ms: Option<u64>,
    /// Revoke, transfer: how long the holder may drain.
    pub grace_ms: Option<u64>,
    /// Acquire: which process of the subject this is.
    pub instance: Option<String>,
    /// The caller's own labels.
    pub labels: Pairs,
    /// Why; written by the caller.
    pub reason: Option<String>,
    /// Acquire: a value that the holder will publish.
    pub value: Option<String>,
    /// Transfer: the subject that shall hold the lock next.
    pub successor: Option<String>,
    /// Renew, release, revoke, transfer: the public handle of the lease; none for a revocation of
    /// all holders.
    pub lease: Option<String>,
}

impl Request {
    /// A request with nothing but its operation and lock, for tests.
    #[must_use]
    pub fn new(operation: Operation, namespace: &str, lock: &str) -> Self {
        Self {
            operation,
            namespace: namespace.to_owned(),
            lock: lock.to_owned(),
            mode: None,
            ttl_ms: None,
            wait_ms: None,
            grace_ms: None,
            instance: None,
            labels: Pairs::default(),
            reason: None,
            value: None,
            successor: None,
            lease: None,
        }
    }
}
