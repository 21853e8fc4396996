//! Requests about locks and leases, and their answers.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::Problem;
use super::views::DrainView;

/// How to hold a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ModeName {
    /// Alone.
    #[default]
    Exclusive,
    /// Together with others, up to the lock's limit.
    Shared,
}

/// Take a lock.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AcquireRequest {
    /// How to hold it.
    #[serde(default)]
    pub mode: ModeName,
    /// Shared: how many permits; 1 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permits: Option<u32>,
    /// How long the lease lasts without renewal: 1,000 to 86,400,000.
    pub ttl_ms: u64,
    /// How long to wait in the queue: 0 (try only) to 60,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
    /// Idempotency key: the same principal with the same key gets the same lease, and for a minute
    /// after that has ended 410. Best a version 7 UUID, of which late duplicates are always refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Which process this is, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Labels, for people and policies.
    #[serde(
        default,
        deserialize_with = "super::labels::unique",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub labels: BTreeMap<String, String>,
    /// Why; policies may demand it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The ticket under which a denial is passed by break-glass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// How long an overridable denial is passed by break-glass, if it is: 1,000 to 86,400,000; an hour
    /// if absent. The lease ends then at the latest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub override_ttl_ms: Option<u64>,
    /// A value to publish with the lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// A lease, as its holder sees it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Grant {
    /// The holder's secret: renew, release and transfer need it.
    pub lease_id: String,
    /// The lease's public handle.
    pub lease: String,
    /// For the protected resource, which refuses smaller ones.
    pub fencing_token: u64,
    /// How long the lease lasts without renewal.
    pub ttl_ms: u64,
    /// How long it still lasts. A repeated acquire does not lengthen it.
    pub remaining_ms: u64,
    /// When to renew: about a third of the ttl, with jitter.
    pub renew_after_ms: u64,
    /// How it is held.
    pub mode: ModeName,
    /// Permits of a shared hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permits: Option<u32>,
    /// `active` or `draining`.
    pub state: String,
    /// Why it must be given back, and until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<DrainView>,
    /// How long it may still be held, renewals included, if a policy bounds that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_remaining_ms: Option<u64>,
    /// The decision that allowed it, to be found in the ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision_id: Option<String>,
    /// The limits that policies put on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<LimitsView>,
    /// Whether this repeats an earlier answer.
    pub repeated: bool,
    /// Whether it waited in the queue. Its time then counts from the grant, not from the request:
    /// renew before relying on it.
    pub waited: bool,
    /// The request's idempotency key.
    pub request_id: String,
}

debug_without_secret!(Grant: lease, fencing_token, ttl_ms, remaining_ms, mode, state, repeated, waited, request_id);

/// Limits that policies put on a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LimitsView {
    /// The longest time to live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_ttl_ms: Option<u64>,
    /// The longest hold, renewals included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_hold_ms: Option<u64>,
}

/// Lengthen a lease.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RenewRequest {
    /// Which.
    pub lease_id: String,
    /// The new time to live; absent keeps the lease's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
    /// Why; a break-glass principal passes an overridable denial with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The ticket under which a denial is passed by break-glass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// How long an overridable denial is passed by break-glass, if it is: 1,000 to 86,400,000; an hour
    /// if absent. Counts from the first renewal that needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub override_ttl_ms: Option<u64>,
    /// Found again in log and ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

debug_without_secret!(RenewRequest: ttl_ms, request_id);

/// Give a lease back.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseRequest {
    /// Which.
    pub lease_id: String,
    /// How long the lock is not granted again after the release: 0 (not at all, the default) to
    /// 600,000. Waiters stay queued and are served when the cooldown ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cooldown_ms: Option<u64>,
    /// Found again in log and ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

debug_without_secret!(ReleaseRequest: request_id);

/// The lease is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReleaseResponse {
    /// Always true.
    pub released: bool,
    /// The request's key.
    pub request_id: String,
}

/// End leases of others.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeRequest {
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The ticket under which a denial is passed by break-glass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// How long the holder may drain; 0 or absent for at once.
    #[serde(default)]
    pub grace_ms: u64,
    /// Whose leases; absent for all of the lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<HolderSelector>,
    /// Labels for policies, such as a ticket.
    #[serde(
        default,
        deserialize_with = "super::labels::unique",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub labels: BTreeMap<String, String>,
    /// Idempotency key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// Whose lease: exactly one of the fields.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HolderSelector {
    /// The lease with this public handle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handle: Option<String>,
    /// All leases of this subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
}

/// Which leases were ended, or told to drain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RevokeResponse {
    /// Their public handles.
    pub leases: Vec<String>,
    /// The request's key.
    pub request_id: String,
}

/// Hand a lease to a successor.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TransferRequest {
    /// Which.
    pub lease_id: String,
    /// The successor's subject.
    pub to: String,
    /// How long the holder may drain; 0 or absent for at once.
    #[serde(default)]
    pub grace_ms: u64,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The ticket under which a denial is passed by break-glass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// Labels for policies, such as a ticket.
    #[serde(
        default,
        deserialize_with = "super::labels::unique",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub labels: BTreeMap<String, String>,
    /// Idempotency key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

debug_without_secret!(TransferRequest: to, grace_ms);

/// The holder drains, or the successor may come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TransferResponse {
    /// How long the holder may drain.
    pub drain_remaining_ms: u64,
    /// The request's key.
    pub request_id: String,
}

/// Ask whether a token is the current one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ValidateRequest {
    /// The token that a client showed.
    pub fencing_token: u64,
}

/// Whether a token is the current one; nothing else of the lock is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ValidateResponse {
    /// Whether a lease with this token is held now.
    pub current: bool,
    /// Whether new work may begin under it: current, and not draining.
    pub accepts_work: bool,
}

/// Set a lock's settings, whole.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeclareRequest {
    /// How many permits shared holders may have together: 1 to 10,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// How long it is not granted after a lease expired: 0 to 600,000.
    #[serde(default)]
    pub cooldown_ms: u64,
    /// For people.
    #[serde(default)]
    pub description: String,
}

/// Lengthen up to a thousand leases in one durable write.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RenewManyRequest {
    /// Which.
    pub leases: Vec<LeaseRenewal>,
    /// Found again in log and ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// One lease of a batch renewal.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LeaseRenewal {
    /// Of which lock.
    pub lock: String,
    /// Which lease.
    pub lease_id: String,
    /// The new time to live; absent keeps the lease's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
    /// Why; a break-glass principal passes an overridable denial with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The ticket under which a denial is passed by break-glass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// How long an overridable denial is passed by break-glass, if it is: 1,000 to 86,400,000; an hour
    /// if absent. Counts from the first renewal that needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub override_ttl_ms: Option<u64>,
}

debug_without_secret!(LeaseRenewal: lock, ttl_ms);

/// An answer for each lease, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RenewManyResponse {
    /// The answers.
    pub results: Vec<RenewalResult>,
    /// The request's key.
    pub request_id: String,
}

/// One lease's answer: exactly one of the fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RenewalResult {
    /// It was lengthened, or drains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<Grant>,
    /// It was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Box<Problem>>,
}

/// Take several locks of a namespace, all or nothing, without waiting.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AcquireManyRequest {
    /// The names of the locks: 1 to 64.
    pub locks: Vec<String>,
    /// How to hold them.
    #[serde(default)]
    pub mode: ModeName,
    /// Shared: how many permits of each; 1 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permits: Option<u32>,
    /// How long the leases last without renewal.
    pub ttl_ms: u64,
    /// Idempotency key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Which process this is, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Labels, for people and policies.
    #[serde(
        default,
        deserialize_with = "super::labels::unique",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub labels: BTreeMap<String, String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The ticket under which a denial is passed by break-glass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// How long an overridable denial is passed by break-glass, if it is: 1,000 to 86,400,000; an hour
    /// if absent. The lease ends then at the latest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub override_ttl_ms: Option<u64>,
}

/// The leases, in the order of the locks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AcquireManyResponse {
    /// One for each lock.
    pub grants: Vec<LockGrant>,
}

/// One lock of an all-or-nothing acquire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LockGrant {
    /// Which lock.
    pub lock: String,
    /// Its lease.
    pub grant: Grant,
}
