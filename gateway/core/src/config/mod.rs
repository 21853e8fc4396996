//! Configuration: parsed, then checked, then immutable. One struct for each section, in its own file.
//!
//! This is the only room of the gateway that reads the environment.

mod audit;
mod authentication;
mod bootstrap;
mod cluster;
mod error;
mod limits;
mod listen;
mod planted;
mod policy;
mod rollouts;
mod safe_mode;
mod storage;
mod stores;
mod telemetry;
mod url;

use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;

pub(crate) use self::audit::Audit;
pub(crate) use self::audit::Witness;
pub(crate) use self::authentication::Authentication;
pub(crate) use self::authentication::Jwt;
pub(crate) use self::bootstrap::Bootstrap;
pub(crate) use self::cluster::Cluster;
pub use self::error::ConfigError;
pub use self::limits::Limits;
pub(crate) use self::listen::Listen;
pub use self::listen::ListenProxies;
pub use self::listen::Network;
pub use self::listen::ProxyReport;
pub use self::listen::Tls;
pub(crate) use self::policy::Policy;
pub use self::rollouts::FlagService;
pub use self::rollouts::FlagServiceAuth;
pub use self::rollouts::Rollouts;
pub(crate) use self::safe_mode::SafeMode;
pub(crate) use self::safe_mode::SafeModeEnd;
pub use self::storage::Chosen;
pub use self::storage::Etcd;
pub use self::storage::LedgerPlace;
pub use self::storage::Postgres;
pub(crate) use self::storage::Storage;
pub use self::storage::StorageBackend;
pub(crate) use self::stores::Stores;
pub(crate) use self::telemetry::LogFormat;
pub(crate) use self::telemetry::Telemetry;

/// The whole configuration.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where to listen.
    pub listen: Listen,
    /// How much to take at once, and for how long.
    pub limits: Limits,
    /// Where locks and ledger are.
    pub storage: Storage,
    /// More stores, which namespaces may choose.
    #[serde(skip_serializing_if = "Stores::is_empty")]
    pub stores: Stores,
    /// The gateways that share the store.
    pub cluster: Cluster,
    /// When a store counts as not agreeing, and grants nothing.
    pub safe_mode: SafeMode,
    /// Who may call.
    pub authentication: Authentication,
    /// What the ledger keeps.
    pub audit: Audit,
    /// What a policy may spend.
    pub policy: Policy,
    /// What rollouts depend on.
    pub rollouts: Rollouts,
    /// What is logged, and how.
    pub telemetry: Telemetry,
    /// What the first start makes.
    pub bootstrap: Bootstrap,
}

/// What the command line says over the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--listen`.
    pub listen: Option<SocketAddr>,
    /// `--data-dir`.
    pub data_dir: Option<PathBuf>,
    /// The first start makes no namespace `demo`.
    pub no_demo: bool,
}

impl Config {
    /// Reads the file, if one is named, lays the command line over it, and checks the whole.
    ///
    /// # Errors
    /// The file cannot be read or is wrong, or the environment asks for a bug that this build cannot
    /// have; the error's text is one line that says where.
    pub fn load(file: Option<&Path>, overrides: Overrides) -> Result<Self, ConfigError> {
        planted::check()?;
        let mut config = match file {
            Some(file) => {
                let text = std::fs::read_to_string(file)
                    .map_err(|error| ConfigError::read(file, &error))?;
                Self::parse(&text).map_err(|error| error.in_file(file))?
            }
            None => Self::default(),
        };
        config.apply(overrides);
        config.check().map_err(|error| match file {
            Some(file) => error.in_file(file),
            None => error,
        })?;
        Ok(config)
    }

    /// Reads a configuration's text. Keys that are absent have their defaults; unknown ones are
    /// refused. The result is not checked yet.
    ///
    /// # Errors
    /// The text is no TOML, or a key or value does not fit.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        crate::input::toml(text).map_err(|error| ConfigError::document(&error))
    }

    /// Lays the command line over the file.
    pub fn apply(&mut self, overrides: Overrides) {
        if let Some(address) = overrides.listen {
            self.listen.address = address;
        }
        if let Some(data_dir) = overrides.data_dir {
            self.storage.data_dir = data_dir;
        }
        self.bootstrap.demo &= !overrides.no_demo;
    }

    /// Checks what a single key cannot.
    ///
    /// # Errors
    /// The first value that is out of range, or contradicts another.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.audit.check()?;
        self.authentication.check()?;
        self.cluster.check()?;
        if self.cluster.listen.is_some() && self.storage.backend != StorageBackend::Raft {
            let problem = "needs storage.backend = \"raft\"";
            return Err(ConfigError::at("cluster.listen", problem));
        }
        self.listen.check()?;
        self.limits.check()?;
        self.policy.check()?;
        self.rollouts.check()?;
        self.safe_mode.check()?;
        self.storage.check()?;
        stores::check(&self.stores)?;
        self.telemetry.check()
    }
}

#[cfg(test)]
mod tests;
