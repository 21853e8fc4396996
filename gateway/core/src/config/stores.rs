//! `[stores.NAME]`

use std::collections::BTreeMap;

use leasehold_domain::StoreName;
use leasehold_domain::limits::EXTRA_STORES_MAX;
use serde::Deserialize;
use serde::Serialize;

use super::ConfigError;
use super::StorageBackend;
use super::storage::Chosen;
use super::storage::Etcd;
use super::storage::Postgres;

/// The stores besides the one of `[storage]`, by name.
pub(crate) type Stores = BTreeMap<String, ExtraStore>;

/// A store that namespaces may choose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtraStore {
    /// Which kind: all but `raft`, which there is only one of.
    pub backend: StorageBackend,
    /// The database of `backend = "postgres"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postgres: Option<Postgres>,
    /// The cluster of `backend = "etcd"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etcd: Option<Etcd>,
}

impl ExtraStore {
    /// What is chosen.
    pub fn chosen(&self) -> Chosen<'_> {
        Chosen {
            backend: self.backend,
            postgres: self.postgres.as_ref(),
            etcd: self.etcd.as_ref(),
        }
    }
}

pub(super) fn check(stores: &Stores) -> Result<(), ConfigError> {
    if stores.len() > EXTRA_STORES_MAX {
        let problem = format!("at most {EXTRA_STORES_MAX}");
        return Err(ConfigError::at("stores", problem));
    }
    for (name, store) in stores {
        let key = format!("stores.{name}");
        let parsed = name.parse::<StoreName>();
        let parsed = parsed.map_err(|error| ConfigError::at(&key, error.to_string()))?;
        if parsed.is_home() {
            let problem = "home is the store of [storage]; choose another name";
            return Err(ConfigError::at(&key, problem));
        }
        if store.backend == StorageBackend::Raft {
            let problem = "a gateway has one embedded store, which is that of [storage]";
            return Err(ConfigError::at(&format!("{key}.backend"), problem));
        }
        store.chosen().check(&key)?;
    }
    Ok(())
}
