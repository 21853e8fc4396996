//! The document of a rollout: the staged replacement of what one binding says of one policy.

use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;

/// Collection of [`RolloutDocument`]s, by name.
pub(crate) const ROLLOUTS: &str = "rollout";

/// A rollout: which version and configuration of a policy a candidate is to replace, and how far it
/// has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RolloutDocument {
    /// Its name.
    pub name: String,
    /// The binding that it changes.
    pub binding: String,
    /// The policy in that binding.
    pub policy: String,
    /// What the binding said when the rollout began.
    pub current: RolloutVersion,
    /// What it is to say.
    pub candidate: RolloutVersion,
    /// What is in a bucket as a whole. Never changes.
    pub unit: RolloutUnit,
    /// Text that makes its buckets differ from those of other rollouts. Never changes, so that holds,
    /// resumptions and other shares take no unit out.
    pub salt: String,
    /// The name of the function that computes buckets. A gateway that does not know it fails the
    /// policy.
    pub bucket_function: String,
    /// Who is judged by the candidate in every canary step, whatever the bucket.
    #[serde(default)]
    pub targets: RolloutTargets,
    /// The steps, in order; the first is where it begins.
    pub steps: Vec<RolloutStep>,
    /// When it is rolled back without being asked.
    #[serde(default)]
    pub guardrails: Guardrails,
    /// How far it has come.
    pub state: RolloutState,
    /// Who began it.
    pub started_by: String,
    /// When, RFC 3339.
    pub started_at: String,
    /// What was done to it, oldest first. The oldest are dropped beyond
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

/// What is in a bucket as a whole.
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

/// Who is judged by the candidate in every canary step.
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
    /// The candidate judges after the answer, and its verdict decides nothing.
    Shadow,
    /// The candidate judges a share of the units.
    Canary,
    /// The binding names the candidate. Leases that were granted under the version before are renewed
    /// under it for a day.
    Full,
    /// The version before rules alone again.
    RolledBack,
    /// Another rollout has begun after this one was full.
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

    /// Returns whether requests are still judged in two ways.
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
    /// How long it stays in this step at the least, in milliseconds.
    #[serde(default)]
    pub least_ms: u64,
}

/// How far a rollout has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutState {
    /// How the candidate is used.
    pub stage: RolloutStage,
    /// The share of a canary in thousandths of a percent. Else 0.
    #[serde(default)]
    pub share: u32,
    /// The index of the step that it is in, or that it has left last.
    pub step: usize,
    /// How often stage or share have changed. What was counted under another number is of another
    /// step.
    pub epoch: u64,
    /// Since when, in milliseconds since 1970.
    pub since_ms: u64,
    /// Whether it stays where it is until it is resumed.
    #[serde(default)]
    pub held: bool,
}

/// When a rollout is rolled back without being asked. A share is in thousandths of a percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Guardrails {
    /// How long a window is, in milliseconds.
    pub window_ms: u64,
    /// How many pairs of subject and lock a window must have; with fewer there is not enough data.
    pub least_samples: u64,
    /// The greatest share of the pairs that only the candidate denies.
    pub newly_denied_max: u32,
    /// The greatest share of the pairs for which the candidate fails.
    pub failed_max: u32,
    /// How many failures of the candidate in one window roll back at once, whatever their share.
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

/// What was done to a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutChange {
    /// When, RFC 3339.
    pub at: String,
    /// Who did it.
    pub by: String,
    /// What: `started`, `advanced`, `held`, `resumed`, `rolled-back` or `superseded`.
    pub action: String,
    /// The stage after it, with the share of a canary.
    pub to: String,
    /// Why, as given; of an automatic rollback the evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the gateway that was asked had compared in the step that was left, or held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared: Option<String>,
}

impl RolloutDocument {
    /// Returns the entry that the binding has, or had, beside the one in force: the candidate while
    /// the binding names the current version, and the version before while it names the candidate.
    #[must_use]
    pub fn other(&self) -> &RolloutVersion {
        match self.state.stage {
            RolloutStage::Full => &self.current,
            _ => &self.candidate,
        }
    }

    /// Returns the entry that the binding has in this stage.
    #[must_use]
    pub fn bound(&self) -> &RolloutVersion {
        match self.state.stage {
            RolloutStage::Full => &self.candidate,
            _ => &self.current,
        }
    }
}

impl RolloutState {
    /// Returns the stage for people, with the share of a canary in percent.
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
