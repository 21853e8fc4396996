//! Rollouts: the staged replacement of a policy's version or configuration in a binding.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

/// Starts a rollout.
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
    /// What shares one bucket: `lock` (the default), `team` or `subject`. Cannot be changed later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The key of a flag in the gateway's flag service, which may narrow or hold the rollout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flag: Option<String>,
    /// Locks, teams and subjects that the candidate judges in every canary step, whatever their bucket.
    #[serde(default)]
    pub targets: RolloutTargets,
    /// The steps; empty or absent: shadow, canaries of 1, 10 and 50 percent, and full.
    #[serde(default)]
    pub steps: Vec<RolloutStep>,
    /// The guardrails that roll it back automatically.
    #[serde(default)]
    pub guardrails: RolloutGuardrails,
    /// Whether it goes to its next step by itself: when the step's minimum time is over, all gateways
    /// run it, its last window is good, and the approvals that the rule asks for are there.
    #[serde(default)]
    pub automatic: bool,
    /// SHA-256 of the report of a replay, 64 hexadecimal digits; approvals name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay_report: Option<String>,
}

/// Edits the plan of an open rollout. Absent members stay as they are.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RolloutEditRequest {
    /// The steps that follow the current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_steps: Option<Vec<RolloutStep>>,
    /// Locks, teams and subjects that the candidate judges in every canary step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets: Option<RolloutTargets>,
    /// The guardrails; absent members have their defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guardrails: Option<RolloutGuardrails>,
    /// The key of a flag in the gateway's flag service, which may narrow or hold the rollout from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flag: Option<String>,
    /// Whether no flag may narrow or hold it any more; not together with `flag`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub remove_flag: bool,
    /// Whether it goes to its next step by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub automatic: Option<bool>,
    /// SHA-256 of the report of a replay, 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay_report: Option<String>,
    /// The reason, recorded in the ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Edits it only if this is its epoch; see `Rollout.epoch`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
}

/// Asks for approval of a rollout's plan.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RolloutApprovalRequest {
    /// The index of the step that it may reach; absent: the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_step: Option<u64>,
}

/// Locks, teams and subjects that the candidate judges in every canary step.
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
    /// The minimum time in this step, in milliseconds; absent: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub least_ms: Option<u64>,
}

/// Limits beyond which a rollout is rolled back automatically. An absent member has its default.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RolloutGuardrails {
    /// The length of a window, in milliseconds; 10,000 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_ms: Option<u64>,
    /// The minimum number of pairs of subject and lock in a window; 20 by default. With fewer the
    /// verdict is `not-enough-data`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub least_samples: Option<u64>,
    /// The greatest share of pairs that only the candidate denies, in percent; 5 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newly_denied_max_percent: Option<f64>,
    /// The greatest share of pairs for which the candidate fails, in percent; 1 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_max_percent: Option<f64>,
    /// The number of failures of the candidate in one window that rolls back at once; 20 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failures_burst: Option<u64>,
    /// The greatest ratio of the candidate's fuel to that of the current version, in percent; 400 by
    /// default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fuel_ratio_max_percent: Option<u32>,
}

/// Advances, holds, resumes or rolls back a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RolloutChangeRequest {
    /// The reason, recorded in the ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Changes it only if this is its epoch; see `Rollout.epoch`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// Advances although a guardrail is exceeded, or gateways do not run the step.
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
    /// The version that the binding named when the rollout was started.
    pub current: RolloutVersion,
    /// The version that is to replace it.
    pub candidate: RolloutVersion,
    /// `shadow`, `canary`, `full`, `rolled-back` or `superseded`.
    pub stage: String,
    /// The share of a canary in percent; else 0.
    pub share_percent: f64,
    /// Whether it is held: it cannot advance until it is resumed.
    pub held: bool,
    /// The index of the current step; once rolled back, of the last step.
    pub step: u64,
    /// The number of changes of stage or share.
    pub epoch: u64,
    /// When stage or share last changed.
    pub since: String,
    /// The steps.
    pub steps: Vec<RolloutStep>,
    /// What shares one bucket.
    pub unit: String,
    /// The salt of its buckets.
    pub salt: String,
    /// The function that computes them.
    pub bucket_function: String,
    /// Locks, teams and subjects that the candidate judges in every canary step.
    pub targets: RolloutTargets,
    /// The guardrails that roll it back automatically.
    pub guardrails: RolloutGuardrails,
    /// SHA-256 of the report of a replay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay_report: Option<String>,
    /// The subject that started it.
    pub started_by: String,
    /// When it was started.
    pub started_at: String,
    /// Its changes, oldest first.
    pub changes: Vec<RolloutChange>,
    /// The revision of its last write.
    pub revision: u64,
    /// The comparisons of this step on the gateway that was asked; absent if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<RolloutComparison>,
    /// Whether it goes to its next step by itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub automatic: bool,
    /// Why an automatic rollout does not leave its step now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<String>,
    /// The flag that may narrow or hold it, as the gateway that was asked knows it; absent if the
    /// rollout names none. Once the rollout is not open, its key alone matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flag: Option<RolloutFlag>,
    /// The comparisons of this step on all gateways; absent if the rollout is not open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<RolloutTotal>,
    /// The gateways, and whether they run this step; empty if the rollout is not open.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gateways: Vec<RolloutGateway>,
}

/// The flag of a rollout, as one gateway knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RolloutFlag {
    /// Its key in the flag service.
    pub key: String,
    /// The greatest share of a canary that it allows, in percent: 100 if it sets no limit, 0 if the
    /// candidate judges nothing. Absent if the rollout is not open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_max_percent: Option<f64>,
    /// Whether it keeps the rollout in its step.
    pub hold: bool,
    /// Its value, as JSON; absent before the first answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The name of the value in the flag service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Why the flag service chose it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The age of the answer, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_ms: Option<u64>,
    /// Whether the rollout cannot advance because the answer is too old, or there is none.
    pub stale: bool,
    /// Why there is no newer answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// How the two versions answered the same requests, on all gateways, as far as they have reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RolloutTotal {
    /// Requests that both versions evaluated.
    pub compared: u64,
    /// Requests on which both versions agree.
    pub agreed: u64,
    /// Requests that were not compared, because too many waited.
    pub shed: u64,
    /// Differences by kind.
    pub differences: BTreeMap<String, u64>,
    /// Fuel that the current version spent.
    pub current_fuel: u64,
    /// Fuel that the candidate spent.
    pub candidate_fuel: u64,
    /// The number of the newest window with enough data, or of the newest that could be judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<u64>,
    /// The verdict on it: `good`, `not-enough-data` or `bad`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// Why it is bad.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// The gateways whose counts of it are missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

/// A gateway, and how it stands to a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RolloutGateway {
    /// Its id, as `leasehold cluster status` shows it.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// `running`; `behind`: it runs another step; `silent`: its last report is old; `unreported`; or
    /// `stopped`: it is not waited for.
    pub state: String,
    /// When it last reported, by its own clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported_at: Option<String>,
    /// How many requests it has compared in this step.
    pub compared: u64,
}

/// A change of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RolloutChange {
    /// When it was made.
    pub at: String,
    /// The subject that made it; `leasehold:rollouts` for a guardrail and for an automatic plan.
    pub by: String,
    /// `started`, `edited`, `advanced`, `held`, `resumed`, `rolled-back` or `superseded`.
    pub action: String,
    /// The stage after it.
    pub to: String,
    /// The reason; for an automatic rollback, the evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The comparisons of the step that was left or held, on all gateways as far as they had reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared: Option<String>,
}

/// How the two versions answered the same requests, on one gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RolloutComparison {
    /// Requests that both versions evaluated.
    pub compared: u64,
    /// Requests on which both versions agree.
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
    /// The verdict on the newest complete window: `good`, `not-enough-data` or `bad`.
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
    /// When the request was decided.
    pub at: String,
    /// The kind of difference.
    pub kind: String,
    /// The operation.
    pub operation: String,
    /// The lock, with its namespace.
    pub lock: String,
    /// The subject that sent the request.
    pub subject: String,
    /// The team of the subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// The answer of the current version, in words.
    pub current: String,
    /// The answer of the candidate, in words.
    pub candidate: String,
}

/// All rollouts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RolloutList {
    /// By name.
    pub rollouts: Vec<Rollout>,
}
