#![doc = include_str!("../README.md")]

mod duty;
mod holders;

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

use crate::duty::Duty;

/// The policy.
#[derive(Debug)]
pub struct SeparationOfDuties;

/// Its configuration; see `schema.json`.
#[derive(Debug, Default, Deserialize)]
pub struct Config {
    #[serde(default)]
    revoke: Duty,
    #[serde(default)]
    transfer: Duty,
}

impl Policy for SeparationOfDuties {
    type Config = Config;

    fn manifest() -> Manifest {
        Manifest {
            name: "separation-of-duties",
            version: env!("CARGO_PKG_VERSION"),
            operations: &[Operation::Revoke, Operation::Transfer],
            needs_lock: true,
            needs_usage: false,
            config_schema: include_str!("../schema.json"),
            reads: Some(Inputs {
                fields: &[
                    Input::Operation,
                    Input::Labels,
                    Input::Reason,
                    Input::Successor,
                    Input::Lease,
                    Input::Subject,
                    Input::Team,
                    Input::Roles,
                    Input::LockView,
                ],
                now_granularity_ms: None,
            }),
        }
    }

    fn check(config: &Config) -> Result<(), String> {
        config.revoke.check()?;
        config.transfer.check()
    }

    fn decide(
        request: &Request,
        principal: &Principal,
        facts: &Facts,
        config: &Config,
    ) -> Result<Verdict, String> {
        let duty = match request.operation {
            Operation::Revoke => &config.revoke,
            Operation::Transfer => &config.transfer,
            other => return Err(format!("asked about {}", other.as_str())),
        };
        Ok(duty.judge(request, principal, facts.lock.as_ref()))
    }
}

export_policy!(SeparationOfDuties);

#[cfg(test)]
mod tests;
