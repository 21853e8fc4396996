//! `[safe_mode]`

use serde::Deserialize;
use serde::Serialize;

use super::ConfigError;

/// When a store counts as not agreeing and grants nothing, and when it grants again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SafeMode {
    /// How long nothing may prove that a store agrees, although something is tried, milliseconds.
    pub window_ms: u64,
    /// How often a store is asked while no command proves that it agrees, milliseconds.
    pub probe_every_ms: u64,
    /// How many probes in a row must succeed before a store counts as working again.
    pub recover_probes: u32,
    /// How old the default store's last confirmation of policies and keys may be while leases are
    /// granted in any store, milliseconds.
    pub governance_window_ms: u64,
    /// What ends safe mode.
    pub end: SafeModeEnd,
    /// What this gateway is called in incidents; none for the host's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
}

/// What ends safe mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SafeModeEnd {
    /// That the store works again.
    #[default]
    Recovered,
    /// That it does, and that an operator has acknowledged the incident.
    Acknowledged,
}

impl Default for SafeMode {
    fn default() -> Self {
        Self {
            window_ms: 5_000,
            probe_every_ms: 1_000,
            recover_probes: 3,
            governance_window_ms: 5_000,
            end: SafeModeEnd::default(),
            gateway: None,
        }
    }
}

impl SafeMode {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let ranges = [
            ("safe_mode.window_ms", self.window_ms, 500, 600_000),
            // Several probes must fit into the window: one that failed proves little.
            (
                "safe_mode.probe_every_ms",
                self.probe_every_ms,
                50,
                self.window_ms / 3,
            ),
            // The store is asked once a second, and may be slow to answer.
            (
                "safe_mode.governance_window_ms",
                self.governance_window_ms,
                2_000,
                600_000,
            ),
            (
                "safe_mode.recover_probes",
                u64::from(self.recover_probes),
                1,
                100,
            ),
        ];
        for (key, value, min, max) in ranges {
            if !(min..=max).contains(&value) {
                let problem = format!("must be {min} to {max}, not {value}");
                return Err(ConfigError::at(key, problem));
            }
        }
        let printable = |name: &String| {
            (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if !self.gateway.as_ref().is_none_or(printable) {
            let problem = "must be 1 to 64 visible ASCII characters";
            return Err(ConfigError::at("safe_mode.gateway", problem));
        }
        Ok(())
    }

    /// What this gateway is called.
    #[must_use]
    pub fn gateway(&self) -> String {
        let host = || {
            let name = nix::unistd::gethostname().ok();
            name.and_then(|name| name.into_string().ok())
                .filter(|name| !name.is_empty())
        };
        let given = self.gateway.clone().or_else(host);
        given.unwrap_or_else(|| "unnamed".to_owned())
    }
}
