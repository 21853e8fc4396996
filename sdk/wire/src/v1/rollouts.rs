//! Rollouts: the staged replacement of what a binding says of a policy.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

/// Begin a rollout.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RolloutRequest {
    /// Its name.
    pub name: String,
    /// The binding that it changes.
    pub binding: String,
    /// The policy in that binding.
    pub policy: String,
    /// The candidate's version; absent: the version that is bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The candidate's configuration; absent: the one that is bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub config: Option<serde_json::Value>,
    /// What is in a bucket as a whole: `lock` (the default), `team` or `subject`. It cannot be changed
    /// later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Who is judged by the candidate in every canary step, whatever the bucket.
    #[serde(default)]
    pub targets: RolloutTargets,
    /// The steps; empty or absent: shadow, canaries of 1, 10 and 50 percent, and full.
    #[serde(default)]
    pub steps: Vec<RolloutStep>,
    /// When it is rolled back without being asked.
    #[serde(default)]
    pub guardrails: RolloutGuardrails,
}

/// Who is judged by the candidate in every canary step.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RolloutTargets {
    /// Patterns of lock names: `*` inside a segment, `**` across.
    #[serde(default)]
    pub locks: Vec<String>,
    /// Teams.
    #[serde(default)]
    pub teams: Vec<String>,
    /// Subjects.
    #[serde(default)]
    pub subjects: Vec<String>,
}

/// One step of a rollout.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RolloutStep {
    /// `shadow`, `canary` or `full`.
    pub stage: String,
    /// The share of a canary in percent, to a thousandth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_percent: Option<f64>,
    /// How long it lasts at the least, in milliseconds; absent: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub least_ms: Option<u64>,
}

/// When a rollout is rolled back without being asked; what is absent has its default.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RolloutGuardrails {
    /// How long a window is, in milliseconds; 10,000 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_ms: Option<u64>,
    /// How many pairs of subject and lock a window must have; 20 by default. With fewer there is not
    /// enough data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub least_samples: Option<u64>,
    /// The greatest share of pairs that only the candidate denies, in percent; 5 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newly_denied_max_percent: Option<f64>,
    /// The greatest share of pairs for which the candidate fails, in percent; 1 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_max_percent: Option<f64>,
    /// How many failures of the candidate in one window roll back at once; 20 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failures_burst: Option<u64>,
    /// The greatest ratio of the candidate's fuel to that of the current version, in percent; 400 by
    /// default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fuel_ratio_max_percent: Option<u32>,
}

/// Move, hold, resume or roll back a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RolloutChangeRequest {
    /// Why. It is in the ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Change it only if its stage and share are those of this epoch; see `Rollout.epoch`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// Advance although the gateway that is asked finds the candidate bad in this step.
    #[serde(default)]
    pub force: bool,
}

/// A version of a policy with its configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RolloutVersion {
    /// The version.
    pub version: String,
    /// The configuration.
    #[schema(value_type = Object)]
    pub config: serde_json::Value,
}

/// A rollout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Rollout {
    /// Its name.
    pub name: String,
    /// The binding that it changes.
    pub binding: String,
    /// The policy in that binding.
    pub policy: String,
    /// What the binding said when it began.
    pub current: RolloutVersion,
    /// What it is to say.
    pub candidate: RolloutVersion,
    /// `shadow`, `canary`, `full`, `rolled-back` or `superseded`.
    pub stage: String,
    /// The share of a canary in percent; else 0.
    pub share_percent: f64,
    /// Whether it stays where it is until it is resumed.
    pub held: bool,
    /// The index of the step that it is in, or that it has left last.
    pub step: u64,
    /// How often stage or share have changed.
    pub epoch: u64,
    /// Since when stage and share are as they are.
    pub since: String,
    /// The steps.
    pub steps: Vec<RolloutStep>,
    /// What is in a bucket as a whole.
    pub unit: String,
    /// The salt of its buckets.
    pub salt: String,
    /// The function that computes them.
    pub bucket_function: String,
    /// Who is judged by the candidate in every canary step.
    pub targets: RolloutTargets,
    /// When it is rolled back without being asked.
    pub guardrails: RolloutGuardrails,
    /// Who began it.
    pub started_by: String,
    /// When.
    pub started_at: String,
    /// What was done to it, oldest first.
    pub changes: Vec<RolloutChange>,
    /// The revision of its last write.
    pub revision: u64,
    /// What was compared in this step on the gateway that was asked; absent if nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<RolloutComparison>,
}

/// What was done to a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RolloutChange {
    /// When.
    pub at: String,
    /// Who did it; `leasehold:rollouts` for a guardrail.
    pub by: String,
    /// `started`, `advanced`, `held`, `resumed`, `rolled-back` or `superseded`.
    pub action: String,
    /// The stage after it.
    pub to: String,
    /// Why; of an automatic rollback the evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the gateway that was asked had compared in the step that was left, or held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared: Option<String>,
}

/// How the two versions answered the same requests, on one gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RolloutComparison {
    /// Requests that both versions judged.
    pub compared: u64,
    /// Requests on which both answered alike.
    pub agreed: u64,
    /// Requests that were not compared, because too many waited.
    pub shed: u64,
    /// Differences by kind: `newly-denied`, `newly-allowed`, `other-code`, `other-limits`, `failed`,
    /// `over-budget`.
    pub differences: BTreeMap<String, u64>,
    /// Fuel that the current version spent.
    pub current_fuel: u64,
    /// Fuel that the candidate spent.
    pub candidate_fuel: u64,
    /// What the newest complete window came to: `good`, `not-enough-data` or `bad`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// Why it is bad.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// The newest differences, oldest first, in namespaces that the caller can see.
    pub newest: Vec<RolloutDifference>,
}

/// A request on which the two versions differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RolloutDifference {
    /// When it was judged.
    pub at: String,
    /// The kind of difference.
    pub kind: String,
    /// For what.
    pub operation: String,
    /// On which lock, with its namespace.
    pub lock: String,
    /// Who asked.
    pub subject: String,
    /// Of which team.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// What the current version said.
    pub current: String,
    /// What the candidate said.
    pub candidate: String,
}

/// All rollouts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RolloutList {
    /// By name.
    pub rollouts: Vec<Rollout>,
}
