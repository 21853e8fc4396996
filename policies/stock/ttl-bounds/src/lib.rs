#![doc = include_str!("../README.md")]

mod rule;

use leasehold_policy_sdk::Facts;
use leasehold_policy_sdk::Input;
use leasehold_policy_sdk::Inputs;
use leasehold_policy_sdk::Manifest;
use leasehold_policy_sdk::Operation;
use leasehold_policy_sdk::Policy;
use leasehold_policy_sdk::Principal;
use leasehold_policy_sdk::Request;
use leasehold_policy_sdk::Verdict;
use leasehold_policy_sdk::export_policy;
use serde::Deserialize;

use crate::rule::Rule;

/// The policy.
#[derive(Debug)]
pub struct TtlBounds;

/// Its configuration; see `schema.json`.
#[derive(Debug, Deserialize)]
pub struct Config {
    #[serde(default)]
    rules: Vec<Rule>,
    default: Option<Rule>,
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
                    Input::WaitMs,
                    Input::Subject,
                    Input::Team,
                    Input::Roles,
                ],
                now_granularity_ms: None,
            }),
        }
    }

    fn check(config: &Config) -> Result<(), String> {
        let mut rules = config.rules.iter().chain(&config.default);
        rules.try_for_each(Rule::check)
    }

    fn decide(
        request: &Request,
        principal: &Principal,
        _facts: &Facts,
        config: &Config,
    ) -> Result<Verdict, String> {
        let mut rules = config.rules.iter();
        let covering = rules.find(|rule| rule.covers(&request.lock, principal));
        let rule = covering.or(config.default.as_ref());
        Ok(rule.map_or_else(Verdict::allow, |rule| rule.judge(request)))
    }
}

export_policy!(TtlBounds);

#[cfg(test)]
mod tests;
