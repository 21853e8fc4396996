//! `[policy]`

use serde::Deserialize;
use serde::Serialize;

use super::ConfigError;

/// What one decision of one policy may spend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Units of fuel: deterministic, recorded with the decision.
    pub fuel: u64,
    /// The host's guard behind the fuel.
    pub deadline_ms: u64,
    /// Linear memory.
    pub memory_bytes: usize,
    /// How many decisions may run at once.
    pub instances_max: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            fuel: 10_000_000,
            deadline_ms: 500,
            memory_bytes: 16 << 20,
            instances_max: 128,
        }
    }
}

impl Policy {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let ranges = [
            ("policy.fuel", self.fuel, 100_000, 10_000_000_000),
            ("policy.deadline_ms", self.deadline_ms, 1, 10_000),
            (
                "policy.memory_bytes",
                self.memory_bytes as u64,
                65_536,
                1 << 30,
            ),
            (
                "policy.instances_max",
                u64::from(self.instances_max),
                1,
                10_000,
            ),
        ];
        for (key, value, min, max) in ranges {
            if !(min..=max).contains(&value) {
                return Err(ConfigError::at(
                    key,
                    format!("must be {min} to {max}, not {value}"),
                ));
            }
        }
        Ok(())
    }
}
