//! What everybody may see of locks.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

/// A lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LockView {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub lock: String,
    /// `free`, `held`, `draining`, `cooling-down` or `reserved`.
    pub state: String,
    /// How often its record changed; 0 if there is none.
    pub revision: u64,
    /// Who holds it.
    pub holders: Vec<HolderView>,
    /// Who waits, first first.
    pub queue: Vec<WaiterView>,
    /// How many permits shared holders may have together.
    pub limit: u32,
    /// How long it is not granted after a lease expired.
    pub cooldown_ms: u64,
    /// For people.
    pub description: String,
    /// How long it is still not granted because a lease expired.
    pub cooldown_remaining_ms: u64,
    /// For whom a transfer reserved it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserved_for: Option<String>,
    /// The greatest fencing token that its record knows; 0 if none.
    pub last_fencing_token: u64,
    /// How old this view may be; 0 if it is linearizable.
    pub stale_ms: u64,
}

/// A holder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HolderView {
    /// The lease's public handle; not its id, which is the holder's secret.
    pub lease: String,
    /// Who.
    pub subject: String,
    /// Of which team.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// Which process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The holder's labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// What the holder publishes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Why it holds the lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// `exclusive` or `shared`.
    pub mode: String,
    /// Permits of a shared hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permits: Option<u32>,
    /// The current token.
    pub fencing_token: u64,
    /// Since when, RFC 3339, for people.
    pub since: String,
    /// How long the lease still lasts.
    pub remaining_ms: u64,
    /// Whether the lease drains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<DrainView>,
    /// The policy versions under which the lease is held. Absent in `held` problems, and for a lease
    /// that was granted by a build that did not keep them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policies: Option<LeasePolicies>,
}

/// The policy versions that judged a lease, in the order of their names. Advisory policies are left
/// out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LeasePolicies {
    /// The versions that judged its acquire; empty if no policy did.
    pub granted: Vec<LeasePolicy>,
    /// The versions that judged its last renewal; absent before the first renewal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewed: Option<Vec<LeasePolicy>>,
}

/// A policy version that judged a lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LeasePolicy {
    /// The policy's name.
    pub policy: String,
    /// Its version.
    pub version: String,
}

/// Why a lease must be given back, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DrainView {
    /// Until it is taken.
    pub remaining_ms: u64,
    /// `revoked` or `transfer`.
    pub cause: String,
    /// Who revoked it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Who gets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// A waiter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WaiterView {
    /// The public handle; its lease will have the same.
    pub lease: String,
    /// Who.
    pub subject: String,
    /// Of which team.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// Which process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// `exclusive` or `shared`.
    pub mode: String,
    /// Permits of a shared hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permits: Option<u32>,
    /// Since when, RFC 3339, for people.
    pub since: String,
}

/// A page of locks, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LockList {
    /// The locks.
    pub locks: Vec<LockView>,
    /// Give this as `cursor` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}
