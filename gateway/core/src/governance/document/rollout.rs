//! The document of a rollout: the staged replacement of what one binding says of one policy.

use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;

/// Collection of [`RolloutDocument`]s, by name.
pub(crate) const ROLLOUTS: &str = "rollout";

/// A rollout: the current and the candidate version of one policy in one binding, the steps from one
/// to the other, and the step that is in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RolloutDocument {
    /// Its name.
    pub name: String,
    /// The binding that it changes.
    pub binding: String,
    /// The policy in that binding.
    pub policy: String,
    /// The entry of the binding when the rollout was started.
    pub current: RolloutVersion,
    /// The entry that is to replace it.
    pub candidate: RolloutVersion,
    /// What shares one bucket. Never changes.
    pub unit: RolloutUnit,
    /// Salt of the buckets. Never changes, so a hold, a resumption or a greater share removes no unit
    /// from the canary.
    pub salt: String,
    /// The name of the function that computes buckets. On a gateway that does not know the function the
    /// policy fails.
    pub bucket_function: String,
    /// The key of the flag that may narrow or hold it; `None` for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flag: Option<String>,
    /// Locks, teams and subjects that the candidate judges in every canary step, whatever their bucket.
    #[serde(default)]
    pub targets: RolloutTargets,
    /// The steps in order; a rollout starts in the first.
    pub steps: Vec<RolloutStep>,
    /// The guardrails that roll it back automatically.
    #[serde(default)]
    pub guardrails: Guardrails,
    /// Whether it goes to its next step by itself, once that is allowed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub automatic: bool,
    /// SHA-256 of the report of a replay, 64 hex digits, on which approvals rely.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay_report: Option<String>,
    /// The stage that is in force.
    pub state: RolloutState,
    /// The subject that started it.
    pub started_by: String,
    /// When it was started, RFC 3339.
    pub started_at: String,
    /// Its changes, oldest first. The oldest are dropped beyond
    /// [`ROLLOUT_CHANGES_MAX`](leasehold_domain::limits::ROLLOUT_CHANGES_MAX); the ledger has all.
    #[serde(default)]
    pub changes: Vec<RolloutChange>,
}

/// A version of a policy with its configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutVersion {
    /// The version.
    pub version: String,
    /// The configuration.
    pub config: Value,
}

/// What shares one bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RolloutUnit {
    /// The lock, so that two principals that want one lock are judged by one version.
    #[default]
    Lock,
    /// The principal's team; its subject if it has none.
    Team,
    /// The principal's subject.
    Subject,
}

impl RolloutUnit {
    /// Returns the unit's name in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lock => "lock",
            Self::Team => "team",
            Self::Subject => "subject",
        }
    }
}

/// Locks, teams and subjects that the candidate judges in every canary step.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RolloutTargets {
    /// Patterns of lock names.
    #[serde(default)]
    pub locks: Vec<String>,
    /// Teams.
    #[serde(default)]
    pub teams: Vec<String>,
    /// Subjects.
    #[serde(default)]
    pub subjects: Vec<String>,
}

/// How a candidate is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RolloutStage {
    /// The candidate is evaluated after the answer; its verdict has no effect.
    Shadow,
    /// The candidate judges a share of the units.
    Canary,
    /// The binding names the candidate. Leases that were granted under the version before are renewed
    /// under it for a day.
    Full,
    /// Only the version before is used again.
    RolledBack,
    /// A later rollout of the same policy in the same binding was started.
    Superseded,
}

impl RolloutStage {
    /// Returns the stage's name in the API, in decisions and in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shadow => "shadow",
            Self::Canary => "canary",
            Self::Full => "full",
            Self::RolledBack => "rolled-back",
            Self::Superseded => "superseded",
        }
    }

    /// Returns whether both versions are still evaluated.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::Shadow | Self::Canary)
    }
}

/// One step of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutStep {
    /// How the candidate is used: `shadow`, `canary` or `full`.
    pub stage: RolloutStage,
    /// The share of a canary in thousandths of a percent: 0 to 100,000. Else 0.
    #[serde(default)]
    pub share: u32,
    /// The minimum time in this step, in milliseconds.
    #[serde(default)]
    pub least_ms: u64,
}

/// The stage of a rollout that is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutState {
    /// How the candidate is used.
    pub stage: RolloutStage,
    /// The share of a canary in thousandths of a percent. Else 0.
    #[serde(default)]
    pub share: u32,
    /// The index of the current step; once rolled back, of the last step.
    pub step: usize,
    /// The number of changes of stage or share. Counts belong to one epoch.
    pub epoch: u64,
    /// When stage and share last changed, in milliseconds since 1970.
    pub since_ms: u64,
    /// Whether it is held: it cannot advance until it is resumed.
    #[serde(default)]
    pub held: bool,
}

/// Guardrails: the limits beyond which a rollout is rolled back automatically. A share is in
/// thousandths of a percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Guardrails {
    /// The length of a window, in milliseconds.
    pub window_ms: u64,
    /// The minimum number of pairs of subject and lock in a window; with fewer the verdict is *not
    /// enough data*.
    pub least_samples: u64,
    /// The greatest share of the pairs that only the candidate denies.
    pub newly_denied_max: u32,
    /// The greatest share of the pairs for which the candidate fails.
    pub failed_max: u32,
    /// The number of failures of the candidate in one window that rolls back at once, whatever their
    /// share.
    pub failures_burst: u64,
    /// The greatest ratio of the candidate's mean fuel to that of the current version, in percent.
    pub fuel_ratio_max_percent: u32,
}

impl Default for Guardrails {
    fn default() -> Self {
        Self {
            window_ms: 10_000,
            least_samples: 20,
            newly_denied_max: 5_000,
            failed_max: 1_000,
            failures_burst: 20,
            fuel_ratio_max_percent: 400,
        }
    }
}

/// A change of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutChange {
    /// When it was made, RFC 3339.
    pub at: String,
    /// The subject that made it.
    pub by: String,
    /// `started`, `edited`, `advanced`, `held`, `resumed`, `rolled-back` or `superseded`.
    pub action: String,
    /// The stage after it, with the share of a canary.
    pub to: String,
    /// The given reason; for an automatic rollback, the evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The comparisons of the step that was left or held, on the gateway that made the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared: Option<String>,
}

impl RolloutDocument {
    /// Returns the version that the binding does not name: the candidate, or once the rollout is full
    /// the version before.
    #[must_use]
    pub fn other(&self) -> &RolloutVersion {
        match self.state.stage {
            RolloutStage::Full => &self.current,
            _ => &self.candidate,
        }
    }

    /// Returns the version that the binding names in this stage.
    #[must_use]
    pub fn bound(&self) -> &RolloutVersion {
        match self.state.stage {
            RolloutStage::Full => &self.candidate,
            _ => &self.current,
        }
    }
}

impl RolloutState {
    /// Describes the stage, such as `canary 10 %`.
    #[must_use]
    pub fn describe(&self) -> String {
        match self.stage {
            RolloutStage::Canary => format!("canary {} %", percent(self.share)),
            stage => stage.as_str().to_owned(),
        }
    }
}

/// Returns thousandths of a percent as percent, without trailing zeros.
fn percent(share: u32) -> String {
    let (whole, rest) = (share / 1_000, share % 1_000);
    match rest {
        0 => whole.to_string(),
        rest => format!("{whole}.{rest:03}")
            .trim_end_matches('0')
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_shown_in_percent() {
        let shares = [0, 1, 500, 1_000, 12_340, 100_000];
        let shown = shares.map(percent);
        assert_eq!(shown, ["0", "0.001", "0.5", "1", "12.34", "100"]);
    }
}
