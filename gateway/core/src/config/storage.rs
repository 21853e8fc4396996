//! `[storage]`

use std::path::Path;
use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;
use serde::Serialize;

use super::ConfigError;

mod etcd;

pub use self::etcd::Etcd;

/// Where locks and ledger are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Storage {
    /// The folder of store and ledger; made if absent, and used by one gateway at a time.
    pub data_dir: PathBuf,
    /// Which store.
    pub backend: StorageBackend,
    /// Commands after which the embedded store takes a snapshot, and forgets its log before it.
    pub snapshot_commands: u64,
    /// The database of `backend = "postgres"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postgres: Option<Postgres>,
    /// The cluster of `backend = "etcd"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etcd: Option<Etcd>,
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
    /// The system identifier of the cluster that the database is in; servers of another are
    /// refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_identifier: Option<i64>,
    /// The least timeline that the primary may write; one on an older timeline is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeline_min: Option<i32>,
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
    /// An etcd cluster, which several gateways may share.
    Etcd,
    /// Forgets everything when the process ends; for tests and demos.
    Memory,
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("./leasehold-data"),
            backend: StorageBackend::default(),
            snapshot_commands: 200_000,
            postgres: None,
            etcd: None,
        }
    }
}

impl Storage {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.data_dir.as_os_str().is_empty() {
            return Err(ConfigError::at("storage.data_dir", "must not be empty"));
        }
        if !(100..=10_000_000).contains(&self.snapshot_commands) {
            let problem = "must be 100 to 10000000";
            return Err(ConfigError::at("storage.snapshot_commands", problem));
        }
        self.chosen().check("storage")
    }

    /// What is chosen.
    pub fn chosen(&self) -> Chosen<'_> {
        Chosen {
            backend: self.backend,
            postgres: self.postgres.as_ref(),
            etcd: self.etcd.as_ref(),
        }
    }
}

/// A kind of store, and the section that goes with it.
#[derive(Debug, Clone, Copy)]
pub struct Chosen<'a> {
    /// Which kind.
    pub backend: StorageBackend,
    /// The database.
    pub postgres: Option<&'a Postgres>,
    /// The cluster.
    pub etcd: Option<&'a Etcd>,
}

impl Chosen<'_> {
    /// Checks it; `key` is where it stands.
    pub(super) fn check(self, key: &str) -> Result<(), ConfigError> {
        let needed = |section: &str| {
            let problem = format!("is needed for backend = \"{section}\"");
            Err(ConfigError::at(&format!("{key}.{section}"), problem))
        };
        // A section that is not in use may stand there while the backend is changed.
        match self.backend {
            StorageBackend::Postgres => match self.postgres {
                Some(postgres) => postgres.check(key),
                None => needed("postgres"),
            },
            StorageBackend::Etcd => match self.etcd {
                Some(etcd) => etcd.check(key),
                None => needed("etcd"),
            },
            StorageBackend::Raft | StorageBackend::Memory => Ok(()),
        }
    }
}

impl Postgres {
    fn check(&self, key: &str) -> Result<(), ConfigError> {
        let at = |field, problem| Err(ConfigError::at(&format!("{key}.postgres.{field}"), problem));
        if self.url.is_empty() {
            return at("url", "must not be empty");
        }
        if self.timeline_min.is_some_and(|timeline| timeline < 1) {
            return at("timeline_min", "must be 1 or more");
        }
        // A URL, or the library's own form of names and values.
        if !self.url.contains("://") && !self.url.contains('=') {
            return at("url", "must be postgresql://USER@HOST:PORT/DATABASE");
        }
        check_consumer(&format!("{key}.postgres.consumer"), &self.consumer)?;
        let key = format!("{key}.postgres.transaction_deadline_ms");
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

fn check_consumer(key: &str, consumer: &str) -> Result<(), ConfigError> {
    match (1..=63).contains(&consumer.len()) {
        true => Ok(()),
        false => Err(ConfigError::at(key, "must have 1 to 63 bytes")),
    }
}

fn check_deadline(key: &str, deadline_ms: u64) -> Result<(), ConfigError> {
    match (100..=60_000).contains(&deadline_ms) {
        true => Ok(()),
        false => Err(ConfigError::at(key, "must be 100 to 60000")),
    }
}

/// A secret that stands in a file by itself.
pub(super) fn secret(file: &Path) -> Result<SecretString, ConfigError> {
    let text = std::fs::read_to_string(file).map_err(|error| ConfigError::read(file, &error))?;
    Ok(SecretString::from(text.trim_end().to_owned()))
}
