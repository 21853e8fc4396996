//! `[storage.etcd]`

use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;
use serde::Serialize;

use super::check_consumer;
use super::check_deadline;
use super::secret;
use crate::config::ConfigError;

/// An etcd cluster, and how to reach it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Etcd {
    /// The members' client URLs.
    pub endpoints: Vec<String>,
    /// What all keys begin with; ends with a slash.
    #[serde(default = "default_prefix")]
    pub prefix: String,
    /// Who to be, if the cluster asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// A file with the user's password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// A PEM file of the authorities that the members' certificates must come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_ca: Option<PathBuf>,
    /// A PEM file of a certificate to show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_cert: Option<PathBuf>,
    /// A PEM file of its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_key: Option<PathBuf>,
    /// Whether another machine may be spoken to without encryption.
    #[serde(default)]
    pub insecure_without_tls: bool,
    /// The name of this gateway's ledger among those that read the store's events.
    #[serde(default = "super::default_consumer")]
    pub consumer: String,
    /// How often to let the cluster forget its history; 0 for never.
    #[serde(default = "default_compact_every_ms")]
    pub compact_every_ms: u64,
    /// How long one call may take.
    #[serde(default = "super::default_transaction_deadline_ms")]
    pub transaction_deadline_ms: u64,
}

fn default_prefix() -> String {
    "/leasehold/".to_owned()
}

fn default_compact_every_ms() -> u64 {
    30_000
}

impl Etcd {
    /// Checks it; `key` is where the store stands.
    pub(super) fn check(&self, key: &str) -> Result<(), ConfigError> {
        let bad = |field: &str, problem: &str| {
            Err(ConfigError::at(&format!("{key}.etcd.{field}"), problem))
        };
        if self.endpoints.is_empty() {
            return bad("endpoints", "must not be empty");
        }
        let is_url = |text: &String| {
            let url = reqwest::Url::parse(text).ok();
            url.is_some_and(|url| ["http", "https"].contains(&url.scheme()) && url.has_host())
        };
        if let Some(wrong) = self.endpoints.iter().find(|text| !is_url(text)) {
            let problem = format!("{wrong:?} is not a URL such as https://etcd-1:2379");
            return bad("endpoints", &problem);
        }
        if !self.prefix.ends_with('/') {
            return bad("prefix", "must end with a slash");
        }
        if self.user.is_some() != self.password_file.is_some() {
            return bad("user", "needs password_file, and the other way round");
        }
        if self.tls_cert.is_some() != self.tls_key.is_some() {
            return bad("tls_cert", "needs tls_key, and the other way round");
        }
        if (1..1_000).contains(&self.compact_every_ms) {
            return bad("compact_every_ms", "must be 0 or at least 1000");
        }
        check_consumer(&format!("{key}.etcd.consumer"), &self.consumer)?;
        let key = format!("{key}.etcd.transaction_deadline_ms");
        check_deadline(&key, self.transaction_deadline_ms)
    }

    /// The password, if there is a file with one.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn password(&self) -> Result<Option<SecretString>, ConfigError> {
        self.password_file.as_deref().map(secret).transpose()
    }
}
