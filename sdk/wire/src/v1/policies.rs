//! Policy versions.

use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

/// An immutable version of a policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PolicyVersion {
    /// The policy's name, from its manifest.
    pub policy: String,
    /// Its semantic version, from its manifest.
    pub version: String,
    /// SHA-256 of the module.
    pub digest: String,
    /// The operations that it judges.
    pub operations: Vec<String>,
    /// Whether it wants to see the lock.
    pub needs_lock: bool,
    /// Whether it wants to see the caller's usage.
    pub needs_usage: bool,
    /// JSON Schema of its configuration.
    #[schema(value_type = Object)]
    pub config_schema: serde_json::Value,
    /// Who uploaded it.
    pub uploaded_by: String,
    /// When, RFC 3339.
    pub uploaded_at: String,
    /// One version alone: its newest failures in the gateway that was asked, oldest first. Only for
    /// callers with the role `policy-author`, `auditor` or `administrator`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<PolicyFailure>,
}

/// A policy that failed to decide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyFailure {
    /// When, RFC 3339.
    pub at: String,
    /// The binding by which it ran.
    pub binding: String,
    /// `advisory`, `mandatory` or `overridable`.
    pub enforcement: String,
    /// What was asked.
    pub operation: String,
    /// Of which lock, with its namespace.
    pub lock: String,
    /// The kind of the failure, as in the `failure` of a denial.
    pub kind: String,
    /// What exactly happened.
    pub detail: String,
    /// The decision, to be found in the ledger.
    pub decision_id: String,
}

/// All versions of all policies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PolicyList {
    /// By name, then version.
    pub policies: Vec<PolicyVersion>,
    /// The versions of the contract `leasehold:policy` that modules may be built for, in the gateway
    /// that was asked; oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contracts: Vec<String>,
}
