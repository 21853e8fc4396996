//! Replay: evaluates recorded decisions again.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

/// Replays the recorded decisions of a policy.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayRequest {
    /// The policy.
    pub policy: String,
    /// The candidate's version; absent: the recorded versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The candidate's configuration; absent: the recorded configurations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub config: Option<serde_json::Value>,
    /// Only decisions by this binding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<String>,
    /// Only decisions in this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Only decisions of this many milliseconds before now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<u64>,
    /// The ledger of this store; absent: `home`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// Only decisions from this time on, in milliseconds since 1970; not together with `since_ms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_ms: Option<u64>,
    /// Only events after this one: `next_cursor` of the part before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// Only events up to this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
    /// `digest` of the part before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// A part of a replay.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct ReplayReport {
    /// Recorded verdicts of the policy.
    pub decisions: u64,
    /// Verdicts for which the candidate gives the recorded answer.
    pub agreed: u64,
    /// Verdicts for which it gives another answer, by kind; see `RolloutComparison.differences`.
    pub differences: BTreeMap<String, u64>,
    /// Verdicts that cannot be evaluated again: `lock-not-recorded`, `usage-not-recorded`,
    /// `policy-not-kept`.
    pub unknown: BTreeMap<String, u64>,
    /// Verdicts that the recorded module and configuration gave again, with the same answer and fuel.
    pub reproduced: u64,
    /// Verdicts for which they gave another answer or spent other fuel. Expected to be 0.
    pub not_reproduced: u64,
    /// Holds that the candidate would have prevented: verdicts that it would deny, of requests that
    /// got a lease.
    pub prevented_holds: u64,
    /// Differences by team and lock, in namespaces that the caller can see.
    pub groups: Vec<ReplayGroup>,
    /// The first differences, in namespaces that the caller can see.
    pub first: Vec<ReplayDifference>,
    /// SHA-256 over the question and the candidate's answers, of this part and those before it.
    /// Whoever asks the same of the same events gets the same, whatever the parts.
    pub digest: String,
    /// From when on decisions were asked for, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_ms: Option<u64>,
    /// The ledger is complete up to this event, or up to `to`.
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
    /// Number of differences by kind.
    pub differences: BTreeMap<String, u64>,
}

/// A recorded verdict that a candidate would not give.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplayDifference {
    /// The kind of difference.
    pub kind: String,
    /// The position of the event in the ledger.
    pub cursor: u64,
    /// When the request was decided.
    pub at: String,
    /// The operation.
    pub operation: String,
    /// The lock, with its namespace.
    pub lock: String,
    /// The subject that sent the request.
    pub subject: String,
    /// The team of the subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// The fencing token of the lease that the request got; absent if it got none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fencing_token: Option<u64>,
    /// The recorded answer, in words.
    pub recorded: String,
    /// The answer of the candidate, in words.
    pub candidate: String,
}
