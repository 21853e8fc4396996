//! Replay: recorded decisions, judged again.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

/// Judge again what a policy has judged.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayRequest {
    /// The policy.
    pub policy: String,
    /// The candidate's version; absent: the versions that judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The candidate's configuration; absent: those by which was judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub config: Option<serde_json::Value>,
    /// Only decisions by this binding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<String>,
    /// Only decisions in this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Only decisions of the last so many milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<u64>,
    /// The ledger of this store; absent: `home`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// Only events after this one: `next_cursor` of the part before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
}

/// A part of a replay.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct ReplayReport {
    /// Verdicts that were found.
    pub decisions: u64,
    /// Those on which the candidate answers as recorded.
    pub agreed: u64,
    /// Those on which it does not, by kind; see `RolloutComparison.differences`.
    pub differences: BTreeMap<String, u64>,
    /// Those that cannot be judged again: `lock-not-recorded`, `usage-not-recorded`,
    /// `policy-not-kept`.
    pub unknown: BTreeMap<String, u64>,
    /// Those that the recorded module with the recorded configuration has judged again with the same
    /// answer and the same fuel.
    pub reproduced: u64,
    /// Those that it has judged otherwise. There should be none.
    pub not_reproduced: u64,
    /// Differences by team and lock, in namespaces that the caller can see.
    pub groups: Vec<ReplayGroup>,
    /// The first differences, in namespaces that the caller can see.
    pub first: Vec<ReplayDifference>,
    /// The ledger has every event up to here.
    pub complete_to: u64,
    /// Where the next part begins; absent if this was the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<u64>,
}

/// The differences of one team on one lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplayGroup {
    /// The team, if the subjects have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// The lock, with its namespace.
    pub lock: String,
    /// How many, by kind.
    pub differences: BTreeMap<String, u64>,
}

/// A recorded verdict that a candidate would not give.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplayDifference {
    /// How it differs.
    pub kind: String,
    /// The event in the ledger.
    pub cursor: u64,
    /// When it was judged.
    pub at: String,
    /// For what.
    pub operation: String,
    /// On which lock, with its namespace.
    pub lock: String,
    /// Who asked.
    pub subject: String,
    /// Of which team.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// What was answered.
    pub recorded: String,
    /// What the candidate answers.
    pub candidate: String,
}
