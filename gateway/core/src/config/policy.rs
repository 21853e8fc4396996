//! `[policy]`

use leasehold_domain::limits::SELF_CHECK_INTERVAL_MS_MAX;
use leasehold_policy_host::Budget;
use serde::Deserialize;
use serde::Serialize;

use super::ConfigError;

/// What policies may spend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Units of fuel of one policy: deterministic, recorded with the decision.
    pub fuel: u64,
    /// The host's guard behind the fuel.
    pub deadline_ms: u64,
    /// Units of fuel of all policies of one request together; four times `fuel` if it is left out.
    pub request_fuel: Option<u64>,
    /// The same for their time; twice `deadline_ms` if it is left out.
    pub request_deadline_ms: Option<u64>,
    /// Linear memory.
    pub memory_bytes: usize,
    /// How many decisions may run at once.
    pub instances_max: u32,
    /// Size in bytes of the verdict cache of each bound policy that declares its inputs; 0 turns the
    /// caches off.
    pub verdict_cache_bytes: usize,
    /// The time between two decisions that are evaluated again once they are in the ledger; 0 turns
    /// the self-check off.
    pub self_check_interval_ms: u64,
    /// Whether a denial is passed by break-glass only with a ticket.
    pub break_glass_ticket_required: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            fuel: 10_000_000,
            deadline_ms: 500,
            request_fuel: None,
            request_deadline_ms: None,
            memory_bytes: 16 << 20,
            instances_max: 128,
            verdict_cache_bytes: 1 << 20,
            self_check_interval_ms: 1_000,
            break_glass_ticket_required: false,
        }
    }
}

impl Policy {
    /// What the policies of one request may spend together.
    #[must_use]
    pub fn request_budget(&self) -> Budget {
        Budget {
            fuel: self.request_fuel.unwrap_or(self.fuel.saturating_mul(4)),
            deadline_ms: self
                .request_deadline_ms
                .unwrap_or(self.deadline_ms.saturating_mul(2)),
        }
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let ranges = [
            ("policy.fuel", self.fuel, 100_000, 10_000_000_000),
            ("policy.deadline_ms", self.deadline_ms, 1, 10_000),
            (
                "policy.request_fuel",
                self.request_budget().fuel,
                self.fuel,
                160_000_000_000,
            ),
            (
                "policy.request_deadline_ms",
                self.request_budget().deadline_ms,
                self.deadline_ms,
                160_000,
            ),
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
            (
                "policy.verdict_cache_bytes",
                self.verdict_cache_bytes as u64,
                0,
                1 << 30,
            ),
            (
                "policy.self_check_interval_ms",
                self.self_check_interval_ms,
                0,
                SELF_CHECK_INTERVAL_MS_MAX,
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
