//! Bindings: which policies judge what.

use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

/// Create or replace a binding.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BindingRequest {
    /// Its name. In a PUT the path says it, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// In which namespaces; `*` for all.
    pub namespaces: Vec<String>,
    /// Of which locks: patterns, `*` inside a segment, `**` across. Absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locks: Option<Vec<String>>,
    /// Which operations; empty or absent: all that the policies judge.
    #[serde(default)]
    pub operations: Vec<String>,
    /// Bindings are asked in this order, then by name.
    #[serde(default)]
    pub order: i32,
    /// The policies, in the order in which they are asked.
    pub policies: Vec<BoundPolicy>,
    /// PUT: write only if the binding has this revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// Why; the revision and the ledger keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// One policy of a binding.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BoundPolicy {
    /// Which policy.
    pub policy: String,
    /// Which version.
    pub version: String,
    /// Its configuration, checked against the version's schema; absent: `{}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object)]
    pub config: Option<serde_json::Value>,
    /// `advisory`, `mandatory` (the default) or `overridable`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enforcement: Option<String>,
    /// Operations for which a failing policy lets the request pass; for all others it denies.
    #[serde(default)]
    pub on_error_allow: Vec<String>,
}

/// A binding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Binding {
    /// Its name.
    pub name: String,
    /// In which namespaces.
    pub namespaces: Vec<String>,
    /// Of which locks.
    pub locks: Vec<String>,
    /// Which operations; empty: all that the policies judge.
    pub operations: Vec<String>,
    /// Its place among the bindings.
    pub order: i32,
    /// The policies.
    pub policies: Vec<BoundPolicy>,
    /// The revision of its last write.
    pub revision: u64,
    /// Answers to writes: the number of the binding's newest revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// Answers to writes: the operations that at least one of the policies evaluates by this binding.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evaluated_operations: Vec<String>,
    /// Answers to writes that replaced a binding: the policies that evaluate other operations than in
    /// the binding before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<EvaluationChange>,
    /// Answers to writes: roles that the configurations of stock policies name, and that neither the
    /// gateway nor its configuration (`authentication.jwt.roles`) knows. A warning: perhaps they are
    /// misspelt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undeclared_roles: Vec<String>,
    /// What should be known of the versions that it names: that one is deprecated or withdrawn, or that
    /// its signatures have expired.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// A policy that evaluates other operations than before its binding was replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EvaluationChange {
    /// Which policy.
    pub policy: String,
    /// Its versions in the binding before; empty if it was not bound.
    pub from: Vec<String>,
    /// Its versions now; empty if it is not bound any more.
    pub to: Vec<String>,
    /// The operations that it evaluates now and did not before.
    pub newly_evaluated: Vec<String>,
    /// The operations that it judged before and does not now.
    pub no_longer_evaluated: Vec<String>,
}

/// All bindings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BindingList {
    /// By name.
    pub bindings: Vec<Binding>,
}

/// Which policies would judge a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Resolution {
    /// The lock, with its namespace.
    pub lock: String,
    /// The operation.
    pub operation: String,
    /// The policies, in the order in which they are asked.
    pub policies: Vec<ResolvedPolicy>,
    /// Whether the request is denied because no policy decides it.
    pub denied_unbound: bool,
}

/// A policy that would judge a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ResolvedPolicy {
    /// The binding that names it.
    pub binding: String,
    /// The order of that binding.
    pub order: i32,
    /// Its name.
    pub policy: String,
    /// The version that would judge.
    pub version: String,
    /// `advisory`, `mandatory` or `overridable`.
    pub enforcement: String,
    /// The rollout that chooses the version, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<String>,
    /// The stage of the rollout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// Which of its versions this is: `current` or `candidate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// The bucket of the lock, team or subject, in a canary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<u32>,
    /// The share of the canary in thousandths of a percent, if a flag has made it smaller than that of
    /// the step: buckets below it are in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flag_share: Option<u32>,
    /// Why it cannot be asked, and fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What should be known of the version: that it is deprecated or withdrawn, or that its signatures
    /// have expired.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}
