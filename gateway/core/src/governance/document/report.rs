//! What one gateway reports of open rollouts: which steps it runs, and what it has counted in them.
//!
//! The documents make no event: what a rollout has come to is recorded with its changes.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;

/// Collection of [`GatewayReport`]s, by the id of the gateway among those that share the store.
pub(crate) const ROLLOUT_REPORTS: &str = "rollout-report";

/// The report of one gateway. Members that a build does not know are ignored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayReport {
    /// What the gateway is called.
    #[serde(default)]
    pub name: String,
    /// When it was made, by the gateway's wall clock.
    #[serde(default)]
    pub wall_ms: u64,
    /// The revision of the documents that are in force on the gateway.
    #[serde(default)]
    pub plan: u64,
    /// Whether the gateway has stopped: nothing is waited for from it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
    /// The steps of open rollouts that it runs, by the names of the rollouts.
    #[serde(default)]
    pub rollouts: BTreeMap<String, StepReport>,
}

/// One step of one rollout on one gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepReport {
    /// The salt of the rollout, which differs from that of an earlier one of the same name.
    pub salt: String,
    /// The epoch of the rollout.
    pub epoch: u64,
    /// How many windows of the step are over on the gateway.
    #[serde(default)]
    pub windows_over: u64,
    /// Counts since the step was entered.
    #[serde(default)]
    pub counts: CountsReport,
    /// The newest windows in which something was counted, oldest first.
    #[serde(default)]
    pub windows: Vec<WindowReport>,
}

/// Counted comparisons.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountsReport {
    /// Requests that both versions evaluated.
    #[serde(default)]
    pub compared: u64,
    /// Requests that were not compared.
    #[serde(default)]
    pub shed: u64,
    /// Number of differences by kind.
    #[serde(default)]
    pub differences: BTreeMap<String, u64>,
    /// Fuel that the current version spent.
    #[serde(default)]
    pub current_fuel: u64,
    /// Fuel that the candidate spent.
    #[serde(default)]
    pub candidate_fuel: u64,
}

/// What the guardrails judge of one window.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowReport {
    /// The number of windows of the step before it.
    pub index: u64,
    /// Pairs of subject and lock.
    #[serde(default)]
    pub pairs: u64,
    /// Pairs that only the candidate denies.
    #[serde(default)]
    pub newly_denied: u64,
    /// Pairs for which the candidate fails.
    #[serde(default)]
    pub failed: u64,
    /// Fuel that the current version spent.
    #[serde(default)]
    pub current_fuel: u64,
    /// Fuel that the candidate spent.
    #[serde(default)]
    pub candidate_fuel: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_form_is_this_and_may_grow() {
        let report = GatewayReport {
            name: "door-1".to_owned(),
            wall_ms: 1,
            plan: 2,
            stopped: true,
            rollouts: BTreeMap::from([(
                "r".to_owned(),
                StepReport {
                    salt: "r-1".to_owned(),
                    epoch: 3,
                    windows_over: 5,
                    counts: CountsReport {
                        compared: 9,
                        shed: 1,
                        differences: BTreeMap::from([("failed".to_owned(), 2)]),
                        current_fuel: 10,
                        candidate_fuel: 20,
                    },
                    windows: vec![WindowReport {
                        index: 4,
                        pairs: 8,
                        newly_denied: 0,
                        failed: 2,
                        current_fuel: 10,
                        candidate_fuel: 20,
                    }],
                },
            )]),
        };
        let stored = concat!(
            r#"{"name":"door-1","wall_ms":1,"plan":2,"stopped":true,"rollouts":{"r":{"#,
            r#""salt":"r-1","epoch":3,"windows_over":5,"counts":{"compared":9,"shed":1,"#,
            r#""differences":{"failed":2},"current_fuel":10,"candidate_fuel":20},"#,
            r#""windows":[{"index":4,"pairs":8,"newly_denied":0,"failed":2,"#,
            r#""current_fuel":10,"candidate_fuel":20}]}}}"#
        );
        assert_eq!(serde_json::to_string(&report).unwrap(), stored);
        assert_eq!(
            serde_json::from_str::<GatewayReport>(stored).unwrap(),
            report
        );
        let later = stored.replacen('{', "{\"later\":1,", 1);
        assert_eq!(
            serde_json::from_str::<GatewayReport>(&later).unwrap(),
            report
        );
        let nothing: GatewayReport = serde_json::from_str("{}").unwrap();
        assert_eq!(nothing, GatewayReport::default());
    }
}
