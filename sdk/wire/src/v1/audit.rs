//! The ledger.

use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

/// A page of events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EventList {
    /// The events.
    pub events: Vec<LedgerEvent>,
    /// The ledger holds every event up to this cursor: within it the page is complete.
    pub complete_to: u64,
    /// Give this as `after` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<u64>,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LedgerEvent {
    /// Its place; dense, from 1.
    pub cursor: u64,
    /// The hash chain after it.
    pub chain: String,
    /// Its canonical bytes as they are hashed, here as JSON.
    #[schema(value_type = Object)]
    pub event: serde_json::Value,
}

/// Who held a lock at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HoldersResponse {
    /// Which lock, `namespace/lock`.
    pub lock: String,
    /// Which moment, RFC 3339.
    pub at: String,
    /// The holds, in the order of their grants.
    pub holders: Vec<HoldView>,
    /// The ledger holds every event up to this cursor.
    pub complete_to: u64,
}

/// A hold that covered the moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HoldView {
    /// The lease's public handle.
    pub lease: String,
    /// Who.
    pub subject: String,
    /// Of which team.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// `exclusive` or `shared`.
    pub mode: String,
    /// Its token.
    pub fencing_token: u64,
    /// When it was granted, RFC 3339.
    pub from: String,
    /// When it ended, RFC 3339; absent if it has not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
    /// The event that granted it.
    pub granted_by: u64,
    /// The request that asked for it.
    pub request_id: String,
}

/// Whether the ledger is what was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VerifyResponse {
    /// Whether the hash chain fits every stored event.
    pub intact: bool,
    /// The first event that does not fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_bad_cursor: Option<u64>,
    /// The last event.
    pub cursor: u64,
    /// The hash chain after it: note it down elsewhere, and compare later.
    pub chain: String,
}
