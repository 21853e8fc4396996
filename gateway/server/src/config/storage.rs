//! `[storage]`

use std::path::PathBuf;

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
}

/// A store of locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StorageBackend {
    /// Durable: a replicated log, embedded.
    #[default]
    Raft,
    /// Forgets everything when the process ends; for tests and demos.
    Memory,
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("./leasehold-data"),
            backend: StorageBackend::default(),
        }
    }
}

impl Storage {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.data_dir.as_os_str().is_empty() {
            return Err(ConfigError::at("storage.data_dir", "must not be empty"));
        }
        Ok(())
    }
}
