//! The contract of an audit ledger.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use leasehold_domain::Cursor;
use leasehold_domain::Decision;
use leasehold_domain::Digest;
use leasehold_domain::Event;
use leasehold_domain::FeatureLevel;
use leasehold_domain::LeaseHandle;
use leasehold_domain::LockRef;
use leasehold_domain::Mode;
use leasehold_domain::NamespaceName;
use leasehold_domain::Owner;
use leasehold_domain::StoreId;
use leasehold_domain::WallMillis;

use crate::BackendError;

/// Which events to show. Every field that is set must match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LedgerQuery {
    /// Not before this.
    pub from: Option<WallMillis>,
    /// Before this.
    pub until: Option<WallMillis>,
    /// In this namespace.
    pub namespace: Option<String>,
    /// Of this lock (`namespace/lock`).
    pub lock: Option<String>,
    /// By this subject (who asked, or whose lease changed).
    pub subject: Option<String>,
    /// By this team.
    pub team: Option<String>,
    /// Of this operation (`acquire`, …; `expire` for what only time did; `move`; `governance`).
    pub operation: Option<String>,
    /// With this result: `allow`, `deny`, or a denial kind (`policy_error`, `no_policy_bound`, `role`,
    /// `not_holder`).
    pub verdict: Option<String>,
    /// Judged by this policy, as `name`, or `name@version`.
    pub policy: Option<String>,
    /// Newest first instead of oldest first.
    pub descending: bool,
    /// Only events after (descending: before) this one: the last of the page before.
    pub after: Option<Cursor>,
    /// At most so many; 1 to [`leasehold_domain::limits::PAGE_ROWS_MAX`].
    pub limit: usize,
}

/// One event as the ledger keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerRow {
    /// Its place.
    pub cursor: Cursor,
    /// Its canonical bytes: one JSON object. What the chain hashes, and what an export holds.
    pub body: Arc<str>,
    /// The hash chain after this event.
    pub chain: Digest,
}

/// A page of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerPage {
    /// The events.
    pub rows: Vec<LedgerRow>,
    /// The ledger holds every event up to here: within this bound the page is complete.
    pub complete_to: Cursor,
    /// Give this as `after` for the next page; none if this was the last.
    pub next: Option<Cursor>,
}

/// A hold that covered the asked moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// The lease's public name.
    pub handle: LeaseHandle,
    /// Whose.
    pub owner: Owner,
    /// How it was held.
    pub mode: Mode,
    /// Its token.
    pub token: u64,
    /// When it was granted.
    pub from: WallMillis,
    /// When it ended; none if it has not, as far as the ledger knows.
    pub until: Option<WallMillis>,
    /// How it ended (`released`, `expired`…).
    pub end: Option<String>,
    /// The event that granted it.
    pub granted_by: Cursor,
    /// The request that asked for it.
    pub request_id: String,
    /// The rule under which it was held at the asked moment; none if no decision is recorded.
    pub under: Option<HeldUnder>,
}

/// The decision that was in force for a hold at a moment: of the acquire, or of the last renewal
/// under another rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldUnder {
    /// The event with the decision.
    pub decided_by: Cursor,
    /// Since when the hold is under it: its grant, or that renewal.
    pub since: WallMillis,
    /// The decision.
    pub decision: Arc<Decision>,
}

/// Who held a lock at a moment, and up to where the ledger can say so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holders {
    /// The holds, in the order of their grants.
    pub holds: Vec<Hold>,
    /// The ledger holds every event up to here.
    pub complete_to: Cursor,
}

/// Where a ledger ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerHead {
    /// The last event that is durably in it; 0 if it is empty.
    pub cursor: Cursor,
    /// The hash chain after that event.
    pub chain: Digest,
}

/// The Merkle tree of a ledger (RFC 6962): its leaves are the events' canonical bytes, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeHead {
    /// The number of leaves.
    pub size: u64,
    /// The root hash.
    pub root: Digest,
    /// The event before the first leaf: the leaf of an event with the cursor `c` has the place
    /// `c - before - 1`, from 0. 0 in a ledger from the store's beginning.
    pub before: Cursor,
}

/// Hashes that can be asked of a ledger's tree. Every `size` is that of the tree, or an earlier one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TreeQuestion {
    /// The inclusion proof of a leaf: RFC 6962 section 2.1.1.
    Inclusion {
        /// Its place, from 0.
        leaf: u64,
        /// In which tree.
        size: u64,
    },
    /// The proof that the tree of `old` leaves is the beginning of that of `size`: RFC 6962 section
    /// 2.1.2.
    Consistency {
        /// 1 to `size`.
        old: u64,
        /// In which tree.
        size: u64,
    },
    /// The root of the tree of `size` leaves.
    Root {
        /// In which tree.
        size: u64,
    },
    /// The hashes of whole subtrees, each given by its level (it has 2^level leaves) and its place
    /// among those of its level.
    Nodes {
        /// Which.
        nodes: Vec<(u32, u64)>,
        /// In which tree.
        size: u64,
    },
}

/// Where rows can be had that a ledger has missed: the same ledger on other nodes.
#[async_trait]
pub trait LedgerPeers: Debug + Send + Sync + 'static {
    /// The first rows after `after`, in order and without gaps; at least one.
    ///
    /// *Errors.* `Unavailable` if no other node has them now.
    async fn rows(&self, after: Cursor) -> Result<Vec<LedgerRow>, BackendError>;

    /// Returns whether it is certain that no other ledger has rows.
    fn is_alone(&self) -> bool {
        false
    }

    /// Returns where the other copy ends, if it is one copy; `None` if several nodes have one each.
    async fn end(&self) -> Result<Option<LedgerHead>, BackendError> {
        Ok(None)
    }
}

/// A ledger's rows in the store itself, for all gateways that share it. Each gateway has a ledger
/// of its own to answer questions from; what is in the archive is in none of their folders alone.
#[async_trait]
pub trait LedgerArchive: LedgerPeers {
    /// Where it ends.
    async fn archived(&self) -> Result<LedgerHead, BackendError>;

    /// Adds rows, in order and without gaps, if it ends at `after`; else it changes nothing.
    /// Answers where it ends now: with the last of the rows, or elsewhere if another gateway was
    /// faster.
    ///
    /// *Guarantees.* One gateway at a time extends it; what was added is durable before the
    /// answer, and never changed.
    ///
    /// *Errors.* After an unknown effect [`LedgerArchive::archived`] tells what became of it.
    async fn extend(
        &self,
        after: LedgerHead,
        rows: Vec<LedgerRow>,
    ) -> Result<LedgerHead, BackendError>;
}

/// The ordered, hash-chained audit log of one backend.
#[async_trait]
pub trait Ledger: Debug + Send + Sync + 'static {
    /// Where the ledger ends.
    fn head(&self) -> LedgerHead;

    /// Appends events, durably and in order. Events that it has already are passed over, so that
    /// repeating a batch after a crash is harmless; a gap is an error and appends nothing.
    async fn append(&self, events: Vec<Arc<Event>>) -> Result<LedgerHead, BackendError>;

    /// A page of events.
    async fn query(&self, query: LedgerQuery) -> Result<LedgerPage, BackendError>;

    /// Who held `lock` at `at`.
    async fn holders(&self, lock: &LockRef, at: WallMillis) -> Result<Holders, BackendError>;

    /// Returns how many canonical bytes the events of a namespace's locks take, up to
    /// [`Ledger::head`]: what happened to them, and what was denied. Reads nothing, so it may be asked
    /// for each request. A ledger that does not count them returns 0, and no cap on them is reached.
    fn namespace_bytes(&self, _namespace: &NamespaceName) -> u64 {
        0
    }

    /// Returns the identity of the store whose events these are; `None` until it is recorded.
    fn store(&self) -> Option<StoreId>;

    /// Records, durably, whose events these are.
    async fn set_store(&self, id: StoreId) -> Result<(), BackendError>;

    /// Returns the hash chain after `event`, if it followed an event with the chain `before`. Writes
    /// nothing.
    fn chain_after(&self, before: &Digest, event: &Event) -> Digest;

    /// Returns the hash chain after an event; `None` if the ledger does not have the event. Where the
    /// ledger begins it has the chain, too: before the first event of a store that is 32 zeros.
    async fn chain_at(&self, cursor: Cursor) -> Result<Option<Digest>, BackendError>;

    /// Lets an empty ledger begin after a position of the store's history, durably: for a gateway
    /// that reads the store's events from there on.
    ///
    /// *Errors.* `Invalid` if the ledger has events.
    async fn begin_after(&self, position: LedgerHead) -> Result<(), BackendError>;

    /// Migrates the stored form of the ledger to what a feature level of its store allows: no older
    /// build can be started on the store any more. Repeating it is harmless.
    ///
    /// *Errors.* The form is as it was.
    async fn raise_level(&self, _level: FeatureLevel) -> Result<(), BackendError> {
        Ok(())
    }

    /// Returns the head of the Merkle tree: it has every event up to [`Ledger::head`].
    fn tree(&self) -> TreeHead;

    /// Returns hashes of the tree.
    ///
    /// *Errors.* `Invalid` if the tree has no such part.
    async fn tree_hashes(&self, question: TreeQuestion) -> Result<Vec<Digest>, BackendError>;

    /// Recomputes chain and tree over the stored bytes; the first cursor that does not fit, if any.
    async fn verify(&self) -> Result<Option<Cursor>, BackendError>;
}
