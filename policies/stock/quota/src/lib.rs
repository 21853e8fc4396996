#![doc = include_str!("../README.md")]

use std::collections::BTreeMap;

use leasehold_policy_sdk::Facts;
use leasehold_policy_sdk::Manifest;
use leasehold_policy_sdk::Operation;
use leasehold_policy_sdk::Policy;
use leasehold_policy_sdk::Principal;
use leasehold_policy_sdk::Request;
use leasehold_policy_sdk::Verdict;
use leasehold_policy_sdk::export_policy;
use serde::Deserialize;

/// The policy.
#[derive(Debug)]
pub struct Quota;

/// Its configuration; see `schema.json`.
#[derive(Debug, Default, Deserialize)]
pub struct Config {
    max_per_subject: Option<u32>,
    max_per_team: Option<u32>,
    #[serde(default)]
    subjects: BTreeMap<String, u32>,
    #[serde(default)]
    teams: BTreeMap<String, u32>,
}

impl Policy for Quota {
    type Config = Config;

    fn manifest() -> Manifest {
        Manifest {
            name: "quota",
            version: env!("CARGO_PKG_VERSION"),
            operations: &[Operation::Acquire],
            needs_lock: false,
            needs_usage: true,
            config_schema: include_str!("../schema.json"),
        }
    }

    fn decide(
        _request: &Request,
        principal: &Principal,
        facts: &Facts,
        config: &Config,
    ) -> Result<Verdict, String> {
        let usage = facts.usage.ok_or("the usage is missing")?;
        let subject = principal.subject.as_str();
        let most = config
            .subjects
            .get(subject)
            .copied()
            .or(config.max_per_subject);
        if let Some(most) = most.filter(|most| usage.subject_leases >= *most) {
            let message = held(subject, usage.subject_leases, most);
            return Ok(Verdict::deny("quota-subject", message));
        }
        let Some(team) = &principal.team else {
            return Ok(Verdict::allow());
        };
        let most = config.teams.get(team).copied().or(config.max_per_team);
        if let Some(most) = most.filter(|most| usage.team_leases >= *most) {
            let message = held(&format!("team {team}"), usage.team_leases, most);
            return Ok(Verdict::deny("quota-team", message));
        }
        Ok(Verdict::allow())
    }
}

fn held(who: &str, leases: u32, most: u32) -> String {
    format!("{who} holds {leases} leases in this namespace and may hold {most}")
}

export_policy!(Quota);

#[cfg(test)]
mod tests {
    use leasehold_policy_sdk::Usage;

    use super::*;

    fn code(config: &Config, team: Option<&str>, subject: u32, of_team: u32) -> Option<String> {
        let request = Request::new(Operation::Acquire, "demo", "nightly");
        let usage = Usage {
            subject_leases: subject,
            team_leases: of_team,
        };
        let facts = Facts {
            usage: Some(usage),
            ..Facts::default()
        };
        let verdict = Quota::decide(&request, &Principal::new("a", team), &facts, config).unwrap();
        verdict.code().map(str::to_owned)
    }

    fn config() -> Config {
        Config {
            max_per_subject: Some(2),
            max_per_team: Some(5),
            ..Config::default()
        }
    }

    #[test]
    fn below_the_quota_a_lease_passes_and_at_it_none() {
        assert_eq!(code(&config(), Some("web"), 1, 4), None);
        assert_eq!(
            code(&config(), Some("web"), 2, 2).as_deref(),
            Some("quota-subject")
        );
        assert_eq!(
            code(&config(), Some("web"), 1, 5).as_deref(),
            Some("quota-team")
        );
    }

    #[test]
    fn single_subjects_and_teams_can_have_their_own() {
        let mut config = config();
        config.subjects.insert("a".to_owned(), 10);
        config.teams.insert("web".to_owned(), 0);
        assert_eq!(code(&config, None, 9, 0), None);
        assert_eq!(code(&config, None, 10, 0).as_deref(), Some("quota-subject"));
        assert_eq!(
            code(&config, Some("web"), 0, 0).as_deref(),
            Some("quota-team")
        );
        assert_eq!(code(&config, Some("search"), 0, 4), None);
    }

    #[test]
    fn without_a_team_there_is_no_teams_quota() {
        assert_eq!(code(&config(), None, 0, 100), None);
    }

    #[test]
    fn an_empty_configuration_limits_nobody() {
        assert_eq!(
            code(&Config::default(), Some("web"), u32::MAX, u32::MAX),
            None
        );
    }

    #[test]
    fn without_the_usage_there_is_no_verdict() {
        let request = Request::new(Operation::Acquire, "demo", "nightly");
        let principal = Principal::new("a", None);
        assert!(Quota::decide(&request, &principal, &Facts::default(), &config()).is_err());
    }
}
