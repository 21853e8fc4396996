//! `[rollouts]`

use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;
use serde::Serialize;

use super::ConfigError;
use super::url::is_base;
use super::url::is_trustworthy;

/// What rollouts depend on besides their documents.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rollouts {
    /// The flag service that rollouts may name flags of; none by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flag_service: Option<FlagService>,
}

/// A flag service that speaks `OpenFeature`'s remote evaluation protocol (OFREP).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlagService {
    /// Its URL, without `/ofrep/v1`: HTTPS, or HTTP on loopback.
    pub url: String,
    /// A file with the key that it asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// How the key is sent.
    #[serde(default)]
    pub auth: FlagServiceAuth,
    /// How often it is asked, while an open rollout names a flag.
    #[serde(default = "default_poll_interval_ms")]
    pub poll_interval_ms: u64,
    /// How long one answer may take.
    #[serde(default = "default_timeout_ms")]
    pub timeout_ms: u64,
    /// The age from which on an answer advances no rollout.
    #[serde(default = "default_stale_after_ms")]
    pub stale_after_ms: u64,
}

/// How the key of a flag service is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FlagServiceAuth {
    /// `Authorization: Bearer KEY`.
    #[default]
    Bearer,
    /// `X-API-Key: KEY`.
    ApiKey,
}

fn default_poll_interval_ms() -> u64 {
    5_000
}

fn default_timeout_ms() -> u64 {
    2_000
}

fn default_stale_after_ms() -> u64 {
    60_000
}

impl Rollouts {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        self.flag_service
            .as_ref()
            .map_or(Ok(()), FlagService::check)
    }
}

impl FlagService {
    fn check(&self) -> Result<(), ConfigError> {
        let key = |name: &str| format!("rollouts.flag_service.{name}");
        if !is_trustworthy(&self.url) {
            let problem = "must be https:// (http:// on loopback only)";
            return Err(ConfigError::at(&key("url"), problem));
        }
        if !is_base(&self.url) {
            let problem = "must have no user, password, query or fragment; a key goes to key_file";
            return Err(ConfigError::at(&key("url"), problem));
        }
        let ranges = [
            ("poll_interval_ms", self.poll_interval_ms, 500, 3_600_000),
            ("timeout_ms", self.timeout_ms, 100, 30_000),
            (
                "stale_after_ms",
                self.stale_after_ms,
                self.poll_interval_ms.saturating_mul(2),
                86_400_000,
            ),
        ];
        for (name, value, min, max) in ranges {
            if !(min..=max).contains(&value) {
                let problem = format!("must be {min} to {max}, not {value}");
                return Err(ConfigError::at(&key(name), problem));
            }
        }
        Ok(())
    }

    /// Returns the key, if there is a file with one.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn key(&self) -> Result<Option<SecretString>, ConfigError> {
        self.key_file
            .as_deref()
            .map(super::storage::secret)
            .transpose()
    }
}
