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
    /// Where the ledger is kept.
    #[serde(default)]
    pub ledger: LedgerPlace,
    /// The name of this gateway's ledger among those that read the database's events, if it is
    /// kept in the data folder.
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

/// Where the ledger of a database's locks is kept. Each gateway has it in its data folder, to answer
/// questions from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LedgerPlace {
    /// In the database, too: a gateway whose folder is empty has all of it from there, and the
    /// database waits for no gateway that is gone.
    #[default]
    Database,
    /// In the data folders alone: events are kept until each gateway has them.
    DataDir,
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
        match (&self.postgres, self.backend) {
            (Some(postgres), StorageBackend::Postgres) => postgres.check(),
            (None, StorageBackend::Postgres) => {
                let problem = "is needed for backend = \"postgres\"";
                Err(ConfigError::at("storage.postgres", problem))
            }
            // A section that is not in use may stand there while the backend is changed.
            (_, StorageBackend::Raft | StorageBackend::Memory) => Ok(()),
        }
    }
}

impl Postgres {
    fn check(&self) -> Result<(), ConfigError> {
        if self.url.is_empty() {
            return Err(ConfigError::at("storage.postgres.url", "must not be empty"));
        }
        if self.consumer.is_empty() || self.consumer.len() > 63 {
            let problem = "must have 1 to 63 bytes";
            return Err(ConfigError::at("storage.postgres.consumer", problem));
        }
        if !(100..=60_000).contains(&self.transaction_deadline_ms) {
            let problem = "must be 100 to 60000";
            let key = "storage.postgres.transaction_deadline_ms";
            return Err(ConfigError::at(key, problem));
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
