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
    /// SHA-256 of the schema of its configuration: of its JSON without spaces and with keys in order.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub schema_digest: String,
    /// Whether it is a stock policy of the gateway, which needs no signature.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stock: bool,
    /// Its signatures, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signatures: Vec<PolicySignature>,
    /// After which moment its signatures do not suffice any more, RFC 3339; absent if they always do,
    /// or do not now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// The mark that advises against it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deprecated: Option<PolicyMark>,
    /// The mark that forbids it for anything new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<PolicyMark>,
    /// The mark with which it fails wherever it would judge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub killed: Option<PolicyMark>,
    /// Why it cannot be pushed, bound or promoted now; absent if it can. Where it is bound it goes on,
    /// unless it is killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unusable: Option<PolicyUnusable>,
    /// One version alone: what it judges. Only for callers with the role `policy-author` or
    /// `administrator`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_use: Option<PolicyUse>,
    /// One version alone: its newest failures in the gateway that was asked, oldest first. Only for
    /// callers with the role `policy-author`, `auditor` or `administrator`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<PolicyFailure>,
}

/// A signature of a policy version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicySignature {
    /// The id of the key: the SHA-256 of its DER form.
    pub key: String,
    /// The name of the key, if it is trusted or was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_name: Option<String>,
    /// `counts`, `not-yet-valid`, `expired`, `key-revoked`, `key-not-trusted` or `invalid`.
    pub state: String,
    /// Where the source is, as the signer states.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The first moment at which the version may be put to use, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<String>,
    /// The last one, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<String>,
    /// Who pushed it.
    pub added_by: String,
    /// When, RFC 3339.
    pub added_at: String,
}

/// A mark, and why it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyMark {
    /// Who made it.
    pub by: String,
    /// When, RFC 3339.
    pub at: String,
    /// Why.
    pub reason: String,
}

/// Why a policy version cannot be put to new use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyUnusable {
    /// `killed`, `withdrawn`, `expired`, `not-yet-valid` or `signatures`.
    pub kind: String,
    /// In words.
    pub detail: String,
}

/// What a policy version judges.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyUse {
    /// The bindings that name it.
    pub bindings: Vec<String>,
    /// The rollouts that may choose it.
    pub rollouts: Vec<String>,
    /// The leases that it granted or renewed last; absent in the answers to `:kill`, `:revive` and
    /// `:restore`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leases: Option<PolicyLeases>,
}

/// The leases that are held and were granted or last renewed under a policy version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyLeases {
    /// How many there are, in all namespaces.
    pub count: u64,
    /// How many leases may be further ones: an older build granted them, which did not keep policy
    /// versions.
    pub unknown: u64,
    /// The locks of the first 20, with their namespaces; of those that the caller sees.
    pub locks: Vec<String>,
    /// Whether there may be more than were counted: there are too many locks, or a store could not be
    /// read in time.
    pub partial: bool,
}

/// A policy version that was pushed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PushedPolicy {
    /// The version.
    #[serde(flatten)]
    pub version: PolicyVersion,
    /// Whether nothing was written, because the request asked for a dry run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// Signatures that were sent and are not kept, each with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignored_signatures: Vec<String>,
    /// The bindings that name another version of the policy, and whether their configurations fit this
    /// one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bindings: Vec<BindingFit>,
    /// How many more there are, which were not checked.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_bindings: u64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Whether the configuration of a binding fits a policy version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BindingFit {
    /// The binding.
    pub binding: String,
    /// The version that it names.
    pub version: String,
    /// Whether its configuration fits.
    pub fits: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Marks a policy version.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyMarkRequest {
    /// Why.
    pub reason: String,
}

/// The keys that are trusted to sign policies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyTrust {
    /// How many distinct trusted keys must have signed a version that is pushed, bound or promoted.
    pub required_signatures: u32,
    /// The keys, oldest first, the revoked ones included.
    pub keys: Vec<TrustedKey>,
    /// The revision of the last change; 0 if there was none.
    pub revision: u64,
}

/// A key that is trusted to sign policies, or was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TrustedKey {
    /// The SHA-256 of its DER form.
    pub id: String,
    /// Whose it is.
    pub name: String,
    /// The public key, in PEM.
    pub public_key: String,
    /// Who added it.
    pub added_by: String,
    /// When, RFC 3339.
    pub added_at: String,
    /// Who revoked it, if somebody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<PolicyMark>,
}

/// Trusts a key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TrustKeyRequest {
    /// Whose it is.
    pub name: String,
    /// An ed25519 public key, in PEM.
    pub public_key: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Revokes a trusted key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeTrustedKeyRequest {
    /// Why.
    pub reason: String,
    /// Also if fewer keys are left than must have signed a version, so that none can be pushed, bound
    /// or promoted.
    #[serde(default)]
    pub force: bool,
}

/// Says how many distinct trusted keys must have signed a version.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RequireSignaturesRequest {
    /// How many; 0 for none.
    pub required_signatures: u32,
    /// Why.
    pub reason: String,
    /// Change it only if the trusted keys have this revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
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
