//! `[storage]`

use std::path::Path;
use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;
use serde::Serialize;

use super::ConfigError;

/// Where locks and ledger are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Storage {
    /// The folder of store and ledger; made if absent, and used by one gateway at a time.
    pub data_dir: PathBuf,
    /// Which store.
    pub backend: StorageBackend,
    /// The database of `backend = "postgres"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postgres: Option<Postgres>,
}

/// A database, and what it must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Postgres {
    /// Where it is, without a password.
    pub url: String,
    /// A file with the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// A PEM file of the authorities that the server's certificate must come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_ca: Option<PathBuf>,
    /// Whether another machine may be spoken to without encryption.
    #[serde(default)]
    pub insecure_without_tls: bool,
    /// Whether a primary without a synchronous standby is good enough.
    #[serde(default)]
    pub allow_unreplicated: bool,
    /// The name of this gateway's ledger among those that read the database's events.
    #[serde(default = "default_consumer")]
    pub consumer: String,
    /// How long one transaction may take.
    #[serde(default = "default_transaction_deadline_ms")]
    pub transaction_deadline_ms: u64,
}

fn default_consumer() -> String {
    "default".to_owned()
}

fn default_transaction_deadline_ms() -> u64 {
    5_000
}

/// A store of locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StorageBackend {
    /// Durable: a replicated log, embedded.
    #[default]
    Raft,
    /// A PostgreSQL database, which several gateways may share.
    Postgres,
    /// Forgets everything when the process ends; for tests and demos.
    Memory,
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("./leasehold-data"),
            backend: StorageBackend::default(),
            postgres: None,
        }
    }
}

impl Storage {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.data_dir.as_os_str().is_empty() {
            return Err(ConfigError::at("storage.data_dir", "must not be empty"));
        }
        self.chosen().check("storage")
    }

    /// What is chosen.
    pub(crate) fn chosen(&self) -> Chosen<'_> {
        Chosen {
            backend: self.backend,
            postgres: self.postgres.as_ref(),
        }
    }
}

/// A kind of store, and the section that goes with it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chosen<'a> {
    /// Which kind.
    pub(crate) backend: StorageBackend,
    /// The database.
    pub(crate) postgres: Option<&'a Postgres>,
}

impl Chosen<'_> {
    /// Checks it; `key` is where it stands.
    pub(super) fn check(self, key: &str) -> Result<(), ConfigError> {
        match (self.postgres, self.backend) {
            (Some(postgres), StorageBackend::Postgres) => postgres.check(key),
            (None, StorageBackend::Postgres) => {
                let problem = "is needed for backend = \"postgres\"";
                Err(ConfigError::at(&format!("{key}.postgres"), problem))
            }
            // A section that is not in use may stand there while the backend is changed.
            (_, StorageBackend::Raft | StorageBackend::Memory) => Ok(()),
        }
    }
}

impl Postgres {
    fn check(&self, key: &str) -> Result<(), ConfigError> {
        let at = |field, problem| Err(ConfigError::at(&format!("{key}.postgres.{field}"), problem));
        if self.url.is_empty() {
            return at("url", "must not be empty");
        }
        if self.consumer.is_empty() || self.consumer.len() > 63 {
            return at("consumer", "must have 1 to 63 bytes");
        }
        if !(100..=60_000).contains(&self.transaction_deadline_ms) {
            return at("transaction_deadline_ms", "must be 100 to 60000");
        }
        Ok(())
    }

    /// The password, if there is a file with one.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn password(&self) -> Result<Option<SecretString>, ConfigError> {
        let read = |file: &Path| {
            let text =
                std::fs::read_to_string(file).map_err(|error| ConfigError::read(file, &error))?;
            Ok(SecretString::from(text.trim_end().to_owned()))
        };
        self.password_file.as_deref().map(read).transpose()
    }
}
