#![doc = include_str!("../README.md")]

mod week;
mod window;

use leasehold_policy_sdk::Facts;
use leasehold_policy_sdk::Input;
use leasehold_policy_sdk::Inputs;
use leasehold_policy_sdk::Manifest;
use leasehold_policy_sdk::Operation;
use leasehold_policy_sdk::Policy;
use leasehold_policy_sdk::Principal;
use leasehold_policy_sdk::Request;
use leasehold_policy_sdk::UtcTime;
use leasehold_policy_sdk::Verdict;
use leasehold_policy_sdk::export_policy;
use serde::Deserialize;

use crate::window::Window;

/// The policy.
#[derive(Debug)]
pub struct FreezeWindow;

/// Its configuration; see `schema.json`.
#[derive(Debug, Deserialize)]
pub struct Config {
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
                ],
                now_granularity_ms: Some(1_000),
            }),
        }
    }

    fn check(config: &Config) -> Result<(), String> {
        config.windows.iter().try_for_each(Window::check)
    }

    fn decide(
        request: &Request,
        principal: &Principal,
        facts: &Facts,
        config: &Config,
    ) -> Result<Verdict, String> {
        let freezes = |window: &&Window| window.freezes(request, principal);
        let on = |window| Window::end(window, facts.now).map(|end| (end, window));
        // The one that ends last says when it is worth asking again.
        let last = config
            .windows
            .iter()
            .filter(freezes)
            .filter_map(on)
            .max_by_key(|(end, _)| *end);
        Ok(last.map_or_else(Verdict::allow, |(end, window)| {
            denial(window, facts.now, end)
        }))
    }
}

fn denial(window: &Window, now: UtcTime, end: UtcTime) -> Verdict {
    let mut message = format!("frozen by `{}` until {end}", window.name);
    if let Some(more) = &window.message {
        message.push_str(": ");
        message.push_str(more);
    }
    message.truncate(message.floor_char_boundary(1_000));
    Verdict::deny("frozen", message).retry_after_ms(now.until(end))
}

export_policy!(FreezeWindow);

#[cfg(test)]
mod tests;
