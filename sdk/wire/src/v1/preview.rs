//! Previews: what a change of a binding would touch.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

use super::bindings::BindingRequest;
use super::bindings::EvaluationChange;
use super::replay::ReplayDifference;
use super::revisions::FieldChange;

/// Previews a change of a binding: either `binding` or `delete`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PreviewRequest {
    /// The binding that would be written, with its `name`. Its `revision` and `reason` are not looked
    /// at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<BindingRequest>,
    /// The name of the binding that would be deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete: Option<String>,
    /// Only decisions of this many milliseconds before now; absent: 7 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<u64>,
    /// Only decisions from this time on, in milliseconds since 1970; not together with `since_ms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_ms: Option<u64>,
    /// The locks and the ledger of this store; absent: `home`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// Only events after this one: `next_cursor` of the part before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// Only events up to this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
}

/// A part of a preview.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
pub struct BindingPreview {
    /// The name of the binding.
    pub name: String,
    /// The revision of the binding that would be replaced or deleted; absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// The fields that would differ.
    pub changes: Vec<FieldChange>,
    /// The policy versions that the binding names.
    pub policies_before: Vec<String>,
    /// Those that it would name.
    pub policies_after: Vec<String>,
    /// The operations that at least one of the policies would evaluate.
    pub evaluated_operations: Vec<String>,
    /// The policies that would evaluate other operations.
    pub evaluation_changes: Vec<EvaluationChange>,
    /// As in the answer to a write of a binding.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undeclared_roles: Vec<String>,
    /// What should be known of the versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The stores of the namespaces that it touches; a preview is of one of them.
    pub stores: Vec<String>,
    /// The locks of the store that it touches; only in the first part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locks: Option<TouchedLocks>,
    /// Recorded decisions that the binding judged, or would judge.
    pub decisions: u64,
    /// Decisions that would be the same.
    pub agreed: u64,
    /// Decisions that would differ: `newly-denied`, `newly-allowed`, `other-limits`.
    pub differences: BTreeMap<String, u64>,
    /// Decisions of which it is not known: `lock-not-recorded`, `usage-not-recorded`,
    /// `counters-not-recorded`, `denied-by-counter`, `policy-not-loaded`.
    pub unknown: BTreeMap<String, u64>,
    /// Decisions by operation and team.
    pub groups: Vec<PreviewGroup>,
    /// Decisions of further operations and teams.
    pub ungrouped: u64,
    /// The first differences, in namespaces that the caller can see.
    pub first: Vec<ReplayDifference>,
    /// From when on decisions were asked for, in milliseconds since 1970.
    pub from_ms: u64,
    /// The ledger is complete up to this event, or up to `to`.
    pub complete_to: u64,
    /// Where the next part begins; absent if this was the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<u64>,
}

/// The locks that are held or waited for now, and that the binding before or after the change covers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct TouchedLocks {
    /// How many.
    pub locks: u64,
    /// Their leases.
    pub leases: u64,
    /// Their waiters.
    pub waiters: u64,
    /// Leases and waiters by team.
    pub teams: Vec<TouchedTeam>,
    /// The first of the locks, by namespace and name.
    pub first: Vec<String>,
    /// Whether there are more locks than were looked at.
    pub more: bool,
}

/// The leases and waiters of one team.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct TouchedTeam {
    /// The team; absent for principals without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// How many.
    pub owners: u64,
}

/// The decisions of one operation and team.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct PreviewGroup {
    /// The operation.
    pub operation: String,
    /// The team; absent for principals without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// How many.
    pub decisions: u64,
    /// Those that would differ, by kind.
    pub differences: BTreeMap<String, u64>,
    /// Those of which it is not known.
    pub unknown: u64,
}
