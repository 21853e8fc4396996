//! `[audit]`

use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;

use super::ConfigError;

/// What the ledger keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Audit {
    /// How renewals are kept.
    pub renewals: Renewals,
    /// How many events the store keeps although the ledger has them.
    pub keep_events: u64,
    /// Above how many events that the ledger does not have nothing is granted any more.
    pub unwritten_events_max: u64,
    /// What the names of the ledgers' logs begin with.
    pub log_name: String,
    /// The keys that sign checkpoints; that of the data directory if none.
    pub log_key_files: Vec<PathBuf>,
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            renewals: Renewals::default(),
            keep_events: 4_096,
            unwritten_events_max: 250_000,
            log_name: "leasehold".to_owned(),
            log_key_files: Vec::new(),
        }
    }
}

/// How renewals are kept. Denied ones, and changes of the deciding version, always are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Renewals {
    /// As count, first and last in the event of the lease's end.
    #[default]
    Summary,
    /// Each as an event of its own.
    Every,
}

impl Audit {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        // They are in the store's memory and in its snapshots.
        if self.keep_events > 1_000_000 {
            return Err(ConfigError::at("audit.keep_events", "must be 0 to 1000000"));
        }
        if !(1..=10_000_000).contains(&self.unwritten_events_max) {
            let problem = "must be 1 to 10000000";
            return Err(ConfigError::at("audit.unwritten_events_max", problem));
        }
        let of_name = |c: char| c.is_ascii_alphanumeric() || ".-_/:".contains(c);
        if !(1..=128).contains(&self.log_name.len()) || !self.log_name.chars().all(of_name) {
            let problem = "must be 1 to 128 letters, digits and .-_/:, such as locks.example.com";
            return Err(ConfigError::at("audit.log_name", problem));
        }
        if self.log_key_files.len() > 8 {
            return Err(ConfigError::at("audit.log_key_files", "must be 8 at most"));
        }
        Ok(())
    }

    /// Whether each renewal is an event of its own.
    #[must_use]
    pub fn records_renewals(&self) -> bool {
        self.renewals == Renewals::Every
    }
}
