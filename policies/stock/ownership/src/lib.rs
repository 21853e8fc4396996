#![doc = include_str!("../README.md")]

mod claim;

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

use crate::claim::Claim;
use crate::claim::Covered;

/// The policy.
#[derive(Debug)]
pub struct Ownership;

/// Its configuration; see `schema.json`.
#[derive(Debug, Deserialize)]
pub struct Config {
    unclaimed: Unclaimed,
    #[serde(default)]
    claims: Vec<Claim>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Unclaimed {
    Allow,
    Deny,
}

impl Policy for Ownership {
    type Config = Config;

    fn manifest() -> Manifest {
        Manifest {
            name: "ownership",
            version: env!("CARGO_PKG_VERSION"),
            operations: &[
                Operation::Acquire,
                Operation::Renew,
                Operation::Transfer,
                Operation::Configure,
            ],
            needs_lock: false,
            needs_usage: false,
            config_schema: include_str!("../schema.json"),
            reads: Some(Inputs {
                fields: &[
                    Input::Operation,
                    Input::Namespace,
                    Input::Lock,
                    Input::Subject,
                    Input::Team,
                ],
                now_granularity_ms: None,
            }),
        }
    }

    fn check(config: &Config) -> Result<(), String> {
        config.claims.iter().try_for_each(Claim::check)
    }

    fn decide(
        request: &Request,
        principal: &Principal,
        _facts: &Facts,
        config: &Config,
    ) -> Result<Verdict, String> {
        let mut claims = config.claims.iter();
        let found = claims.find_map(|claim| Some((claim, claim.covers(&request.lock)?)));
        Ok(match (found, config.unclaimed) {
            (Some((claim, covered)), _) => {
                if claim.admits(covered, principal) {
                    Verdict::allow()
                } else {
                    Verdict::deny("not-owner", refusal(request, principal, claim, covered))
                }
            }
            (None, Unclaimed::Allow) => Verdict::allow(),
            (None, Unclaimed::Deny) => {
                let message = format!("no team has claimed {}/{}", request.namespace, request.lock);
                Verdict::deny("unclaimed", message)
            }
        })
    }
}

fn refusal(
    request: &Request,
    principal: &Principal,
    claim: &Claim,
    covered: Covered<'_>,
) -> String {
    let who = match &principal.team {
        Some(team) => format!("{} of team {team}", principal.subject),
        None => format!("{}, who has no team,", principal.subject),
    };
    let operation = request.operation.as_str();
    let mut owners = claim.owners(covered);
    owners.truncate(owners.floor_char_boundary(300));
    format!(
        "{who} may not {operation} {}: {} belongs to {owners}",
        request.lock, covered.pattern
    )
}

export_policy!(Ownership);

#[cfg(test)]
mod tests;
