//! `[audit]`

use std::path::PathBuf;

use leasehold_domain::limits::LOG_KEYS_MAX;
use leasehold_domain::limits::WITNESSES_MAX;
use leasehold_evidence::TrustedKeys;
use serde::Deserialize;
use serde::Serialize;

use super::ConfigError;
use super::url::is_base;
use super::url::is_trustworthy;

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
    /// How often witnesses are asked to cosign.
    pub witness_interval_ms: u64,
    /// Who is asked to cosign checkpoints.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub witnesses: Vec<Witness>,
}

/// A witness (`c2sp.org/tlog-witness`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Witness {
    /// Its submission prefix, without `/add-checkpoint`: HTTPS, or HTTP on loopback.
    pub url: String,
    /// Its public key, NAME+ID+KEY.
    pub key: String,
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            renewals: Renewals::default(),
            keep_events: 4_096,
            unwritten_events_max: 250_000,
            log_name: "leasehold".to_owned(),
            log_key_files: Vec::new(),
            witness_interval_ms: 10_000,
            witnesses: Vec::new(),
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
        if self.log_key_files.len() > LOG_KEYS_MAX {
            return Err(ConfigError::at("audit.log_key_files", "must be 8 at most"));
        }
        if !(500..=3_600_000).contains(&self.witness_interval_ms) {
            let problem = "must be 500 to 3600000";
            return Err(ConfigError::at("audit.witness_interval_ms", problem));
        }
        if self.witnesses.len() > WITNESSES_MAX {
            return Err(ConfigError::at("audit.witnesses", "must be 8 at most"));
        }
        self.witnesses.iter().try_for_each(Witness::check)
    }

    /// Whether each renewal is an event of its own.
    #[must_use]
    pub fn records_renewals(&self) -> bool {
        self.renewals == Renewals::Every
    }
}

impl Witness {
    fn check(&self) -> Result<(), ConfigError> {
        if !is_trustworthy(&self.url) || !is_base(&self.url) {
            let problem = "must be https:// (http:// on loopback only), with no user, password, \
                           query or fragment";
            return Err(ConfigError::at("audit.witnesses.url", problem));
        }
        let key = TrustedKeys::parse(&[], std::slice::from_ref(&self.key));
        let wrong = |_| {
            let problem = "must be a witness's public key for cosignatures, NAME+ID+KEY";
            ConfigError::at("audit.witnesses.key", problem)
        };
        key.map(drop).map_err(wrong)
    }
}
