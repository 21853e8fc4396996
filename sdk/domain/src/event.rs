//! Events: what a backend tells watchers, metrics and the ledger, each exactly once and in order.

use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

use crate::Cause;
use crate::Digest;
use crate::FeatureLevel;
use crate::LockRef;
use crate::Millis;
use crate::Principal;
use crate::RequestId;
use crate::Transition;
use crate::WallMillis;

/// A position in a backend's stream of events. The first event has 1; 0 is before all.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Cursor(pub u64);

/// One thing that happened, durable with its cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its place; dense, without gaps.
    pub cursor: Cursor,
    /// The backend's logical time.
    pub now: Millis,
    /// Wall-clock time, for people.
    pub wall: WallMillis,
    /// The level of the write that made it: by its rules the ledger writes it down.
    #[serde(default)]
    pub level: FeatureLevel,
    /// What happened.
    pub kind: EventKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventKind {
    /// A command, or time, changed a lock.
    Lock {
        /// Which lock.
        lock: LockRef,
        /// Who asked; none if only time did it.
        cause: Option<Arc<Cause>>,
        /// What changed, in order; never empty.
        transitions: Vec<Transition>,
    },
    /// A request was denied. Its lock and decision are in the cause.
    Denied(Arc<Cause>),
    /// A governance document changed.
    Governance(Box<Change>),
}

/// A change of a governance document (namespace, policy version, binding, key).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The request that made it.
    pub request_id: RequestId,
    /// Who.
    pub principal: Arc<Principal>,
    /// Which kind of document: `namespace`, `policy`, `binding`, `key`…
    pub collection: Box<str>,
    /// Which one.
    pub id: Box<str>,
    /// The digest of its new bytes; none if it was deleted.
    pub digest: Option<Digest>,
    /// In a few words, for people.
    pub summary: Box<str>,
}

/// What a caller wants recorded although no lock changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Note {
    /// A denial, to be durable before it is answered.
    Denied(Arc<Cause>),
    /// A governance change, durable together with its document.
    Governance(Box<Change>),
}
