//! The rules for the requests of rollouts, replays, approvals and reviews.

use leasehold_domain::limits;
use serde_json::Value;
use serde_json::json;

use super::Rule;
use super::ascii;
use super::label;
use super::range;
use super::text;
use crate::openapi::patterns;

/// The digest of a report.
const SHA_256: &str = "^[0-9a-f]{64}$";

pub(super) fn replay_rules() -> Vec<Rule> {
    let version = json!({ "pattern": patterns::version(), "maxLength": 64 });
    vec![
        (
            "ReplayRequest",
            "policy",
            json!({ "pattern": patterns::POLICY }),
        ),
        ("ReplayRequest", "version", version),
        ("ReplayRequest", "binding", label()),
        ("ReplayRequest", "namespace", label()),
        ("ReplayRequest", "since_ms", range(0, u64::MAX)),
        ("ReplayRequest", "store", label()),
        ("ReplayRequest", "after", range(0, u64::MAX)),
        ("ReplayRequest", "from_ms", range(0, u64::MAX)),
        ("ReplayRequest", "to", range(0, u64::MAX)),
        ("PreviewRequest", "delete", label()),
        ("PreviewRequest", "since_ms", range(0, u64::MAX)),
        ("PreviewRequest", "from_ms", range(0, u64::MAX)),
        ("PreviewRequest", "store", label()),
        ("PreviewRequest", "after", range(0, u64::MAX)),
        ("PreviewRequest", "to", range(0, u64::MAX)),
        ("ReplayRequest", "digest", json!({ "pattern": SHA_256 })),
    ]
}

pub(super) fn approval_rules() -> Vec<Rule> {
    let reason = text(&patterns::prose(), limits::APPROVAL_REASON_BYTES_MAX);
    vec![
        (
            "CloseReviewRequest",
            "note",
            text(&patterns::prose(), limits::REVIEW_NOTE_BYTES_MAX),
        ),
        ("ApprovalChangeRequest", "reason", reason),
        (
            "ApprovalRuleRequest",
            "required",
            range(0, limits::APPROVALS_REQUIRED_MAX.into()),
        ),
    ]
}

pub(super) fn plan_rules() -> Vec<Rule> {
    let reason = text(&patterns::prose(), limits::ROLLOUT_REASON_BYTES_MAX);
    vec![
        (
            "RolloutEditRequest",
            "replay_report",
            json!({ "pattern": SHA_256 }),
        ),
        (
            "RolloutEditRequest",
            "next_steps",
            json!({ "maxItems": limits::ROLLOUT_STEPS_MAX }),
        ),
        ("RolloutEditRequest", "reason", reason),
        ("RolloutEditRequest", "flag", flag_key()),
        ("RolloutEditRequest", "epoch", range(0, u64::MAX)),
        (
            "RolloutApprovalRequest",
            "to_step",
            range(0, limits::ROLLOUT_STEPS_MAX as u64),
        ),
    ]
}

fn flag_key() -> Value {
    let mut key = text(&patterns::name(), limits::FLAG_KEY_BYTES_MAX);
    key["minLength"] = json!(1);
    key
}

pub(super) fn rollout_rules() -> Vec<Rule> {
    let percent = || json!({ "minimum": 0, "maximum": 100, "format": null });
    let mut lock_pattern = ascii(&patterns::lock_pattern(), limits::LOCK_NAME_BYTES_MAX);
    lock_pattern["type"] = json!("string");
    let most = limits::ROLLOUT_TARGETS_MAX;
    let window = range(limits::ROLLOUT_WINDOW_MS_MIN, limits::ROLLOUT_WINDOW_MS_MAX);
    let version = json!({ "pattern": patterns::version(), "maxLength": 64 });
    let reason = text(&patterns::prose(), limits::ROLLOUT_REASON_BYTES_MAX);
    let stages = json!({ "enum": ["shadow", "canary", "full"] });
    vec![
        (
            "RolloutRequest",
            "replay_report",
            json!({ "pattern": SHA_256 }),
        ),
        ("RolloutRequest", "name", label()),
        ("RolloutRequest", "flag", flag_key()),
        ("RolloutRequest", "binding", label()),
        (
            "RolloutRequest",
            "policy",
            json!({ "pattern": patterns::POLICY }),
        ),
        ("RolloutRequest", "version", version),
        (
            "RolloutRequest",
            "unit",
            json!({ "enum": ["lock", "team", "subject", null] }),
        ),
        (
            "RolloutRequest",
            "steps",
            json!({ "maxItems": limits::ROLLOUT_STEPS_MAX }),
        ),
        (
            "RolloutTargets",
            "locks",
            json!({ "maxItems": most, "items": lock_pattern }),
        ),
        ("RolloutTargets", "teams", json!({ "maxItems": most })),
        ("RolloutTargets", "subjects", json!({ "maxItems": most })),
        ("RolloutStep", "stage", stages),
        ("RolloutStep", "share_percent", percent()),
        (
            "RolloutStep",
            "least_ms",
            range(0, limits::ROLLOUT_STEP_MS_MAX),
        ),
        ("RolloutGuardrails", "window_ms", window),
        ("RolloutGuardrails", "least_samples", range(0, u64::MAX)),
        ("RolloutGuardrails", "newly_denied_max_percent", percent()),
        ("RolloutGuardrails", "failed_max_percent", percent()),
        ("RolloutGuardrails", "failures_burst", range(1, u64::MAX)),
        (
            "RolloutGuardrails",
            "fuel_ratio_max_percent",
            range(0, u32::MAX.into()),
        ),
        ("RolloutChangeRequest", "reason", reason),
        ("RolloutChangeRequest", "epoch", range(0, u64::MAX)),
    ]
}
