//! Readiness.

use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

/// Whether the gateway can serve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Readiness {
    /// Whether it can.
    pub ready: bool,
    /// The backend.
    pub backend: BackendHealth,
    /// The ledger.
    pub ledger: LedgerHealth,
}

/// How the backend is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BackendHealth {
    /// Whether commands can be carried out now, and leases are granted.
    pub ready: bool,
    /// In a few words.
    pub detail: String,
    /// The incident because of which nothing is granted; absent outside of safe mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<String>,
}

/// How the ledger is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LedgerHealth {
    /// The last event in it.
    pub cursor: u64,
    /// How many events of the backend it does not have yet.
    pub lag_events: u64,
}
