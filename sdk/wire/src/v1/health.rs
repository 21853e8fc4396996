//! Readiness.

use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

/// Whether the gateway can serve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Readiness {
    /// Whether it can: its home store and ledger can, policies and keys are confirmed, and it is not
    /// being stopped.
    pub ready: bool,
    /// The backend of the home store.
    pub backend: BackendHealth,
    /// The ledger of the home store.
    pub ledger: LedgerHealth,
    /// Every store, home first. One that is not ready stops its own namespaces only.
    pub stores: Vec<StoreHealth>,
    /// Whether policies and keys are known to be current; absent before the store is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub governance: Option<GovernanceHealth>,
}

/// Whether policies, namespaces and keys are known to be current.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GovernanceHealth {
    /// Whether they are. If not, nothing is granted in any store.
    pub confirmed: bool,
    /// How long ago the home store confirmed them, milliseconds.
    pub age_ms: u64,
}

/// How a store is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StoreHealth {
    /// Its name.
    pub name: String,
    /// Its backend.
    pub backend: BackendHealth,
    /// Its ledger; none while the store is not open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger: Option<LedgerHealth>,
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
    /// Why events do not reach it; absent while they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}
