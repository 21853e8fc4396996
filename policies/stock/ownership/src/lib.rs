#![doc = include_str!("../README.md")]

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

#[derive(Debug, Deserialize)]
struct Claim {
    locks: LockPattern,
    #[serde(default)]
    teams: Vec<String>,
    #[serde(default)]
    subjects: Vec<String>,
}

impl Claim {
    fn admits(&self, principal: &Principal) -> bool {
        let team = principal.team.as_deref();
        let by_team = |owner: &String| match owner.as_str() {
            "*" => team.is_some(),
            owner => team == Some(owner),
        };
        self.teams.iter().any(by_team) || self.subjects.contains(&principal.subject)
    }

    fn owners(&self) -> String {
        let all: Vec<_> = self
            .teams
            .iter()
            .chain(&self.subjects)
            .map(String::as_str)
            .collect();
        if all.is_empty() {
            "nobody".to_owned()
        } else {
            all.join(", ")
        }
    }
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
        config
            .claims
            .iter()
            .try_for_each(|claim| claim.locks.check())
    }

    fn decide(
        request: &Request,
        principal: &Principal,
        _facts: &Facts,
        config: &Config,
    ) -> Result<Verdict, String> {
        let claim = config
            .claims
            .iter()
            .find(|claim| claim.locks.matches(&request.lock));
        Ok(match (claim, config.unclaimed) {
            (Some(claim), _) if claim.admits(principal) => Verdict::allow(),
            (Some(claim), _) => Verdict::deny("not-owner", refusal(request, principal, claim)),
            (None, Unclaimed::Allow) => Verdict::allow(),
            (None, Unclaimed::Deny) => {
                let message = format!("no team has claimed {}/{}", request.namespace, request.lock);
                Verdict::deny("unclaimed", message)
            }
        })
    }
}

fn refusal(request: &Request, principal: &Principal, claim: &Claim) -> String {
    let who = match &principal.team {
        Some(team) => format!("{} of team {team}", principal.subject),
        None => format!("{}, who has no team,", principal.subject),
    };
    let (operation, locks) = (request.operation.as_str(), claim.locks.as_str());
    let mut owners = claim.owners();
    owners.truncate(owners.floor_char_boundary(300));
    format!(
        "{who} may not {operation} {}: {locks} belongs to {owners}",
        request.lock
    )
}

export_policy!(Ownership);

#[cfg(test)]
mod tests;
