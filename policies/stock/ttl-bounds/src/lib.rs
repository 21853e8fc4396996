#![doc = include_str!("../README.md")]

use leasehold_policy_sdk::Facts;
use leasehold_policy_sdk::Input;
use leasehold_policy_sdk::Inputs;
use leasehold_policy_sdk::Limits;
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
pub struct TtlBounds;

/// Its configuration; see `schema.json`.
#[derive(Debug, Deserialize)]
pub struct Config {
    #[serde(default)]
    rules: Vec<Rule>,
}

#[derive(Debug, Default, Deserialize)]
struct Rule {
    locks: Option<LockPattern>,
    min_ttl_ms: Option<u64>,
    max_ttl_ms: Option<u64>,
    max_hold_ms: Option<u64>,
    #[serde(default)]
    too_long: TooLong,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum TooLong {
    #[default]
    Clamp,
    Deny,
}

impl Rule {
    fn covers(&self, lock: &str) -> bool {
        self.locks
            .as_ref()
            .is_none_or(|pattern| pattern.matches(lock))
    }

    fn judge(&self, ttl_ms: Option<u64>) -> Verdict {
        let below = |ttl: u64| self.min_ttl_ms.filter(|min| ttl < *min);
        let above = |ttl: u64| self.max_ttl_ms.filter(|max| ttl > *max);
        if let Some((ttl, min)) = ttl_ms.and_then(|ttl| Some((ttl, below(ttl)?))) {
            let message = format!("a ttl of {ttl} ms is below the shortest, {min} ms");
            return Verdict::deny("ttl-too-short", message);
        }
        if self.too_long == TooLong::Deny
            && let Some((ttl, max)) = ttl_ms.and_then(|ttl| Some((ttl, above(ttl)?)))
        {
            let message = format!("a ttl of {ttl} ms is above the longest, {max} ms");
            return Verdict::deny("ttl-too-long", message);
        }
        Verdict::Allow(Limits {
            max_ttl_ms: self.max_ttl_ms,
            max_hold_ms: self.max_hold_ms,
            ..Limits::default()
        })
    }

    fn check(&self) -> Result<(), String> {
        if let Some(pattern) = &self.locks {
            pattern.check()?;
        }
        match (self.min_ttl_ms, self.max_ttl_ms) {
            (Some(min), Some(max)) if min > max => {
                Err(format!("min_ttl_ms {min} is above max_ttl_ms {max}"))
            }
            _ => Ok(()),
        }
    }
}

impl Policy for TtlBounds {
    type Config = Config;

    fn manifest() -> Manifest {
        Manifest {
            name: "ttl-bounds",
            version: env!("CARGO_PKG_VERSION"),
            operations: &[Operation::Acquire, Operation::Renew],
            needs_lock: false,
            needs_usage: false,
            config_schema: include_str!("../schema.json"),
            reads: Some(Inputs {
                fields: &[
                    Input::Lock,
                    Input::TtlMs,
                ],
                now_granularity_ms: None,
            }),
        }
    }

    fn check(config: &Config) -> Result<(), String> {
        config.rules.iter().try_for_each(Rule::check)
    }

    fn decide(
        request: &Request,
        _principal: &Principal,
        _facts: &Facts,
        config: &Config,
    ) -> Result<Verdict, String> {
        let rule = config.rules.iter().find(|rule| rule.covers(&request.lock));
        Ok(rule.map_or_else(Verdict::allow, |rule| rule.judge(request.ttl_ms)))
    }
}

export_policy!(TtlBounds);

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(rules: Vec<Rule>, lock: &str, ttl_ms: Option<u64>) -> Verdict {
        let mut request = Request::new(Operation::Acquire, "demo", lock);
        request.ttl_ms = ttl_ms;
        let config = Config { rules };
        TtlBounds::decide(&request, &Principal::default(), &Facts::default(), &config).unwrap()
    }

    fn bounds(too_long: TooLong) -> Rule {
        Rule {
            locks: Some(LockPattern::new("prod/**")),
            min_ttl_ms: Some(5_000),
            max_ttl_ms: Some(60_000),
            max_hold_ms: Some(600_000),
            too_long,
        }
    }

    const LIMITS: Limits = Limits {
        max_ttl_ms: Some(60_000),
        max_hold_ms: Some(600_000),
        counters: Vec::new(),
    };

    #[test]
    fn a_ttl_within_the_bounds_passes_with_the_limits() {
        for ttl in [Some(5_000), Some(60_000), None] {
            let verdict = decide(vec![bounds(TooLong::Deny)], "prod/a", ttl);
            assert_eq!(verdict, Verdict::Allow(LIMITS), "{ttl:?}");
        }
    }

    #[test]
    fn a_shorter_ttl_is_denied() {
        let verdict = decide(vec![bounds(TooLong::Clamp)], "prod/a", Some(4_999));
        assert_eq!(verdict.code(), Some("ttl-too-short"));
    }

    #[test]
    fn a_longer_ttl_is_clamped_or_denied() {
        let clamped = decide(vec![bounds(TooLong::Clamp)], "prod/a", Some(60_001));
        assert_eq!(clamped, Verdict::Allow(LIMITS));
        let denied = decide(vec![bounds(TooLong::Deny)], "prod/a", Some(60_001));
        assert_eq!(denied.code(), Some("ttl-too-long"));
    }

    #[test]
    fn the_first_rule_that_covers_the_lock_counts() {
        let wide = Rule {
            max_ttl_ms: Some(1_000),
            ..Rule::default()
        };
        let rules = vec![bounds(TooLong::Clamp), wide];
        let verdict = decide(rules, "test/a", Some(2_000));
        assert_eq!(
            verdict,
            Verdict::Allow(Limits {
                max_ttl_ms: Some(1_000),
                ..Limits::default()
            })
        );
    }

    #[test]
    fn without_a_rule_nothing_is_bounded() {
        assert_eq!(decide(vec![], "prod/a", Some(1)), Verdict::allow());
    }

    #[test]
    fn crossed_bounds_are_found_when_bound() {
        let crossed = Rule {
            min_ttl_ms: Some(2),
            max_ttl_ms: Some(1),
            ..Rule::default()
        };
        assert!(
            TtlBounds::check(&Config {
                rules: vec![crossed]
            })
            .is_err()
        );
        assert_eq!(
            TtlBounds::check(&Config {
                rules: vec![bounds(TooLong::Deny)]
            }),
            Ok(())
        );
    }
}
