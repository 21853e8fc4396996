#![doc = include_str!("../README.md")]

use std::collections::BTreeMap;

use leasehold_policy_sdk::Counter;
use leasehold_policy_sdk::Facts;
use leasehold_policy_sdk::Input;
use leasehold_policy_sdk::Inputs;
use leasehold_policy_sdk::LockPattern;
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
    max_per_namespace: Option<u32>,
    #[serde(default)]
    subjects: BTreeMap<String, u32>,
    #[serde(default)]
    teams: BTreeMap<String, u32>,
    #[serde(default)]
    rules: Vec<Rule>,
}

/// Numbers for some locks.
#[derive(Debug, Deserialize)]
struct Rule {
    name: String,
    locks: LockPattern,
    max_per_subject: Option<u32>,
    max_per_team: Option<u32>,
    max_in_total: Option<u32>,
}

/// The counters of one verdict, or the denial that ends it.
#[derive(Debug, Default)]
struct Carried(Vec<Counter>);

impl Carried {
    /// Adds a counter if there is a number; if it is 0, returns the denial with these words.
    fn add(
        &mut self,
        most: Option<u32>,
        code: &str,
        name: impl FnOnce() -> String,
        words: impl FnOnce() -> String,
    ) -> Result<(), Verdict> {
        match most {
            None => Ok(()),
            Some(0) => Err(Verdict::deny(code, words())),
            Some(maximum) => {
                self.0.push(Counter {
                    name: name(),
                    maximum,
                    code: Some(code.to_owned()),
                });
                Ok(())
            }
        }
    }
}

impl Policy for Quota {
    type Config = Config;

    fn manifest() -> Manifest {
        Manifest {
            name: "quota",
            version: env!("CARGO_PKG_VERSION"),
            operations: &[Operation::Acquire],
            needs_lock: false,
            needs_usage: false,
            config_schema: include_str!("../schema.json"),
            reads: Some(Inputs {
                fields: &[Input::Lock, Input::Subject, Input::Team],
                now_granularity_ms: None,
            }),
        }
    }

    fn check(config: &Config) -> Result<(), String> {
        for (at, rule) in config.rules.iter().enumerate() {
            rule.locks.check()?;
            if config.rules[..at]
                .iter()
                .any(|other| other.name == rule.name)
            {
                return Err(format!("two rules have the name {:?}", rule.name));
            }
        }
        Ok(())
    }

    fn decide(
        request: &Request,
        principal: &Principal,
        _facts: &Facts,
        config: &Config,
    ) -> Result<Verdict, String> {
        let mut carried = Carried::default();
        let of_all = config.carry(principal, &mut carried);
        let covering = config
            .rules
            .iter()
            .find(|rule| rule.locks.matches(&request.lock));
        let done = of_all.and_then(|()| match covering {
            Some(rule) => rule.carry(principal, &mut carried),
            None => Ok(()),
        });
        Ok(match done {
            Ok(()) => Verdict::counting(carried.0),
            Err(denial) => denial,
        })
    }
}

impl Config {
    /// The numbers for all locks of the namespace.
    fn carry(&self, principal: &Principal, carried: &mut Carried) -> Result<(), Verdict> {
        const OF: &str = "may hold no lease in this namespace";
        let subject = principal.subject.as_str();
        let own = self.subjects.get(subject).copied();
        carried.add(
            own.or(self.max_per_subject),
            "quota-subject",
            || format!("subject:{subject}"),
            || format!("{subject} {OF}"),
        )?;
        if let Some(team) = &principal.team {
            let own = self.teams.get(team).copied();
            carried.add(
                own.or(self.max_per_team),
                "quota-team",
                || format!("team:{team}"),
                || format!("team {team} {OF}"),
            )?;
        }
        carried.add(
            self.max_per_namespace,
            "quota-namespace",
            || "namespace".to_owned(),
            || format!("nobody {OF}"),
        )
    }
}

impl Rule {
    /// The numbers for the locks of the rule.
    fn carry(&self, principal: &Principal, carried: &mut Carried) -> Result<(), Verdict> {
        const CODE: &str = "quota-locks";
        let Self { name, .. } = self;
        let subject = &principal.subject;
        let words = |who: &str| format!("{who} may hold no lease of the locks of rule {name}");
        carried.add(
            self.max_per_subject,
            CODE,
            || format!("locks:{name}:subject:{subject}"),
            || words(subject),
        )?;
        if let Some(team) = &principal.team {
            carried.add(
                self.max_per_team,
                CODE,
                || format!("locks:{name}:team:{team}"),
                || words(&format!("team {team}")),
            )?;
        }
        carried.add(
            self.max_in_total,
            CODE,
            || format!("locks:{name}"),
            || words("nobody"),
        )
    }
}

export_policy!(Quota);

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(config: &Config, lock: &str, team: Option<&str>) -> Verdict {
        let request = Request::new(Operation::Acquire, "demo", lock);
        let facts = Facts::default();
        Quota::decide(&request, &Principal::new("a", team), &facts, config).unwrap()
    }

    fn counters(config: &Config, lock: &str, team: Option<&str>) -> Vec<(String, u32)> {
        match verdict(config, lock, team) {
            Verdict::Allow(limits) => {
                let counters = limits.counters.into_iter();
                counters.map(|c| (c.name, c.maximum)).collect()
            }
            Verdict::Deny(denial) => panic!("{denial:?}"),
        }
    }

    fn named(expected: &[(&str, u32)]) -> Vec<(String, u32)> {
        let expected = expected.iter();
        expected
            .map(|(name, most)| ((*name).to_owned(), *most))
            .collect()
    }

    fn config() -> Config {
        Config {
            max_per_subject: Some(2),
            max_per_team: Some(5),
            ..Config::default()
        }
    }

    #[test]
    fn single_subjects_and_teams_can_have_their_own_number() {
        let mut config = config();
        let both = named(&[("subject:a", 2), ("team:web", 5)]);
        assert_eq!(counters(&config, "x", Some("web")), both);
        config.subjects.insert("a".to_owned(), 10);
        config.teams.insert("web".to_owned(), 0);
        assert_eq!(counters(&config, "x", None), named(&[("subject:a", 10)]));
        assert_eq!(
            verdict(&config, "x", Some("web")).code(),
            Some("quota-team")
        );
        let other = named(&[("subject:a", 10), ("team:search", 5)]);
        assert_eq!(counters(&config, "x", Some("search")), other);
        config.subjects.insert("a".to_owned(), 0);
        assert_eq!(verdict(&config, "x", None).code(), Some("quota-subject"));
    }

    #[test]
    fn an_empty_configuration_limits_nobody() {
        assert_eq!(counters(&Config::default(), "x", Some("web")), []);
    }

    #[test]
    fn the_first_rule_that_covers_the_lock_counts_besides() {
        let rule = |name: &str, locks: &str| Rule {
            name: name.to_owned(),
            locks: LockPattern::new(locks),
            max_per_subject: Some(1),
            max_per_team: Some(2),
            max_in_total: Some(3),
        };
        let config = Config {
            max_per_namespace: Some(9),
            rules: vec![rule("b", "build/*"), rule("all", "**")],
            ..Config::default()
        };
        let built = [
            ("namespace", 9),
            ("locks:b:subject:a", 1),
            ("locks:b:team:web", 2),
            ("locks:b", 3),
        ];
        assert_eq!(counters(&config, "build/x", Some("web")), named(&built));
        let others = [
            ("namespace", 9),
            ("locks:all:subject:a", 1),
            ("locks:all", 3),
        ];
        assert_eq!(counters(&config, "x", None), named(&others));
    }

    #[test]
    fn rules_have_names_of_their_own() {
        let rule = || Rule {
            name: "a".to_owned(),
            locks: LockPattern::new("a"),
            max_per_subject: None,
            max_per_team: None,
            max_in_total: None,
        };
        let with = |rules| Config {
            rules,
            ..Config::default()
        };
        assert_eq!(Quota::check(&with(vec![rule()])), Ok(()));
        assert!(Quota::check(&with(vec![rule(), rule()])).is_err());
        let broken = Rule {
            locks: LockPattern::new("a//b"),
            ..rule()
        };
        assert!(Quota::check(&with(vec![broken])).is_err());
    }
}
