#![doc = include_str!("../README.md")]

mod calendar;
mod denial;
mod exception;
mod span;
mod text;
mod union;
mod week;
mod window;
mod year;
mod zone;
mod zones;

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

use crate::union::Freeze;
use crate::union::Meant;
use crate::window::Calendars;
use crate::window::Window;

/// The policy.
#[derive(Debug)]
pub struct FreezeWindow;

/// Its configuration; see `schema.json`.
#[derive(Debug, Deserialize)]
pub struct Config {
    #[serde(default)]
    calendars: Calendars,
    #[serde(default)]
    windows: Vec<Window>,
}

impl Policy for FreezeWindow {
    type Config = Config;

    fn manifest() -> Manifest {
        Manifest {
            name: "freeze-window",
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
                    Input::Lock,
                    Input::Labels,
                    Input::Subject,
                    Input::Team,
                    Input::Roles,
                ],
                now_granularity_ms: Some(1_000),
            }),
        }
    }

    fn check(config: &Config) -> Result<(), String> {
        let mut windows = config.windows.iter();
        windows.try_for_each(|window| window.check(&config.calendars))
    }

    fn decide(
        request: &Request,
        principal: &Principal,
        facts: &Facts,
        config: &Config,
    ) -> Result<Verdict, String> {
        let mut meant: Vec<Meant<'_>> = Vec::new();
        for window in &config.windows {
            if window.freezes(request, principal) {
                meant.push(Meant::of(window, &meant)?);
            }
        }
        let freeze = Freeze::at(&meant, &config.calendars, facts.now);
        Ok(match freeze {
            Some(freeze) => denial::denial(&freeze, facts.now),
            None => Verdict::allow(),
        })
    }
}

export_policy!(FreezeWindow);

#[cfg(test)]
mod tests;
