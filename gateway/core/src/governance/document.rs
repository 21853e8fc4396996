//! Governance documents as they are stored: JSON in collections of the store.

mod approval;
mod namespace;
mod report;
mod review;
mod revision;
mod rollout;
mod standing;

use std::collections::BTreeSet;

use leasehold_domain::Digest;
use leasehold_domain::Operation;
use leasehold_policy_host::schema_digest;
use serde::Deserialize;
use serde::Serialize;

pub(crate) use self::approval::APPROVAL_RULE;
pub(crate) use self::approval::APPROVAL_RULES;
pub(crate) use self::approval::APPROVALS;
pub use self::approval::Approval;
pub use self::approval::ApprovalDocument;
pub use self::approval::ApprovalRuleDocument;
pub use self::approval::ApprovalState;
pub use self::namespace::DefaultDecision;
pub use self::namespace::NamespaceCaps;
pub use self::namespace::NamespaceDocument;
pub use self::namespace::NamespaceDraft;
pub use self::namespace::NamespaceSettings;
pub use self::namespace::PlaceDocument;
pub use self::namespace::Travels;
pub use self::namespace::Visibility;
pub use self::report::CountsReport;
pub use self::report::GatewayReport;
pub(crate) use self::report::ROLLOUT_REPORTS;
pub use self::report::StepReport;
pub use self::report::WindowReport;
pub use self::review::ClosedReview;
pub use self::review::REVIEWS;
pub use self::review::ReviewDocument;
pub(crate) use self::revision::BINDING_HISTORIES;
pub(crate) use self::revision::BINDING_REVISIONS;
pub use self::revision::HistoryDocument;
pub(crate) use self::revision::NAMESPACE_HISTORIES;
pub(crate) use self::revision::NAMESPACE_REVISIONS;
pub use self::revision::RevisionDocument;
pub use self::revision::RevisionOrigin;
pub use self::rollout::Guardrails;
pub(crate) use self::rollout::ROLLOUTS;
pub use self::rollout::RolloutChange;
pub use self::rollout::RolloutDocument;
pub use self::rollout::RolloutStage;
pub use self::rollout::RolloutState;
pub use self::rollout::RolloutStep;
pub use self::rollout::RolloutTargets;
pub use self::rollout::RolloutUnit;
pub use self::rollout::RolloutVersion;
pub use self::standing::MarkDocument;
pub(crate) use self::standing::STANDINGS;
pub use self::standing::SignatureDocument;
pub use self::standing::StandingDocument;
pub(crate) use self::standing::TRUST;
pub(crate) use self::standing::TRUST_ID;
pub use self::standing::TrustDocument;
pub use self::standing::TrustedKeyDocument;

/// Collection of [`NamespaceDocument`]s, by name.
pub(crate) const NAMESPACES: &str = "namespace";
/// Collection of [`PlaceDocument`]s, by the namespace's name.
pub(crate) const PLACES: &str = "place";
/// Collection of [`PolicyDocument`]s, by `name@version`.
pub(crate) const POLICIES: &str = "policy";
/// Collection of [`BindingDocument`]s, by name.
pub(crate) const BINDINGS: &str = "binding";
/// Collection of API keys, by id.
pub const KEYS: &str = "key";
/// Collection of the days on which keys were last used, by the ids of the keys.
pub(crate) const KEY_USES: &str = "key-use";

/// An immutable version of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyDocument {
    /// The policy's name, from its manifest.
    pub policy: String,
    /// Its semantic version, from its manifest.
    pub version: String,
    /// SHA-256 of the module, 64 hex digits.
    pub digest: String,
    /// The operations that it judges.
    pub operations: Vec<String>,
    /// Whether it wants to see the lock.
    pub needs_lock: bool,
    /// Whether it wants to see the caller's usage.
    pub needs_usage: bool,
    /// JSON Schema of its configuration.
    pub config_schema: serde_json::Value,
    /// Who uploaded it.
    pub uploaded_by: String,
    /// When, RFC 3339.
    pub uploaded_at: String,
    /// When it was deleted, RFC 3339. The document stays, so that the version never gets another
    /// module.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<String>,
}

impl PolicyDocument {
    /// The document's id.
    #[must_use]
    pub fn id(policy: &str, version: &str) -> String {
        format!("{policy}@{version}")
    }

    /// Returns the SHA-256 of the schema of its configuration.
    #[must_use]
    pub fn schema_digest(&self) -> Digest {
        schema_digest(&self.config_schema)
    }
}

/// Which policies judge what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BindingDocument {
    /// Its name.
    pub name: String,
    /// In which namespaces; `*` for all.
    pub namespaces: Vec<String>,
    /// Of which locks: patterns, `*` inside a segment, `**` across segments.
    #[serde(default = "all_locks")]
    pub locks: Vec<String>,
    /// Which operations; empty for all that the policy judges.
    #[serde(default)]
    pub operations: Vec<String>,
    /// Bindings are asked in this order, then by name.
    #[serde(default)]
    pub order: i32,
    /// The policies, in the order in which they are asked.
    pub policies: Vec<BoundPolicyDocument>,
}

fn all_locks() -> Vec<String> {
    vec!["**".to_owned()]
}

/// One policy of a binding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundPolicyDocument {
    /// Which policy.
    pub policy: String,
    /// Which version.
    pub version: String,
    /// Its configuration, checked against the version's schema.
    #[serde(default = "empty_config")]
    pub config: serde_json::Value,
    /// How binding its answer is.
    #[serde(default)]
    pub enforcement: EnforcementName,
    /// What its failure means.
    #[serde(default)]
    pub on_error: OnError,
}

fn empty_config() -> serde_json::Value {
    serde_json::Value::Object(serde_json::Map::new())
}

/// How binding a policy's answer is, as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EnforcementName {
    /// Recorded only.
    Advisory,
    /// A denial denies.
    #[default]
    Mandatory,
    /// A denial denies unless a break-glass principal gives a reason.
    Overridable,
}

/// What a policy's failure means.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct OnError {
    /// The operations for which a failing policy lets the request pass. Empty: a failure denies.
    #[serde(default)]
    pub allow: Vec<String>,
}

impl OnError {
    /// Returns the operations that a failure lets pass. A name that no operation has is ignored.
    pub(crate) fn operations(&self) -> BTreeSet<Operation> {
        let named = |name: &String| Operation::from_name(name);
        self.allow.iter().filter_map(named).collect()
    }
}
