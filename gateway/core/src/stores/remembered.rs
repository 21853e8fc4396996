//! What a data directory remembers of its stores: `stores.json`.
//!
//! The file is one of the three parts of a data directory that record each other, beside the store
//! (or the way to it) and the ledger. It names, for each store, the identity of its history and the
//! last position that this gateway has seen, so that a store that is gone, exchanged or older is
//! noticed even if its ledger went with it. It is replaced as a whole, so a crash leaves the old
//! contents or the new ones. A build keeps the members that it does not know.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;

use leasehold_backend_api::durable_file;
use leasehold_domain::StoreName;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;

use crate::gateways::GatewayId;

/// The name of the file in a data directory.
const FILE: &str = "stores.json";
/// The format that this build writes and reads.
const VERSION: u32 = 1;

/// Members of the file that this build does not know, kept as they are.
type Unknown = BTreeMap<String, Value>;

/// The contents of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Contents {
    version: u32,
    stores: BTreeMap<StoreName, RememberedStore>,
    #[serde(flatten)]
    unknown: Unknown,
}

/// What this gateway remembers of one store.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RememberedStore {
    /// The identity of the store's history, as 32 hexadecimal digits; `None` before the first
    /// successful start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The cursor of the newest event that the store had.
    #[serde(default)]
    pub newest: u64,
    /// The store's own count of writes: fencing tokens up to `(revision + 1) × 1,024` may have been
    /// granted.
    #[serde(default)]
    pub revision: u64,
    /// The last event in this gateway's ledger.
    #[serde(default)]
    pub ledger: u64,
    /// The identity of a new history that an operator is starting; `None` once it is the store's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepting: Option<String>,
    /// The id of this gateway among those that share the store; `None` before it has drawn one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    /// What only stores of one kind have: the member is named after the kind.
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// The memory of one data directory.
#[derive(Debug)]
pub struct Remembered {
    path: PathBuf,
    contents: Mutex<Contents>,
}

impl Remembered {
    /// Reads the memory of `data_dir`; a file that is absent remembers nothing.
    ///
    /// # Errors
    /// The file cannot be read, is not understood, or was written by a later build. It is left as it
    /// is.
    pub fn open(data_dir: &Path) -> io::Result<Self> {
        let path = data_dir.join(FILE);
        let contents = read(&path).map_err(|error| {
            let problem = format!("{}: {error}", path.display());
            io::Error::new(error.kind(), problem)
        })?;
        Ok(Self {
            path,
            contents: Mutex::new(contents),
        })
    }

    /// Returns what is remembered of a store; `None` if this directory has never had it.
    pub fn get(&self, store: &StoreName) -> Option<RememberedStore> {
        let contents = self.contents.lock();
        let contents = contents.unwrap_or_else(PoisonError::into_inner);
        contents.stores.get(store).cloned()
    }

    /// Changes what is remembered of a store. It is durable when this returns; nothing is written if
    /// nothing changes. Blocks.
    ///
    /// # Errors
    /// The file cannot be written. The memory is as before then.
    pub fn update(
        &self,
        store: &StoreName,
        change: impl FnOnce(&mut RememberedStore),
    ) -> io::Result<()> {
        let contents = self.contents.lock();
        let mut contents = contents.unwrap_or_else(PoisonError::into_inner);
        let mut changed = contents.clone();
        change(changed.stores.entry(store.clone()).or_default());
        if changed == *contents {
            return Ok(());
        }
        let text = serde_json::to_vec_pretty(&changed)?;
        durable_file::replace(&self.path, &text)?;
        *contents = changed;
        Ok(())
    }
}

impl Remembered {
    /// Returns the id of this gateway among those that share a store, and draws it the first time.
    /// Blocks.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn gateway_id(&self, store: &StoreName) -> io::Result<GatewayId> {
        let known = self.get(store).and_then(|known| known.gateway);
        if let Some(id) = known {
            return Ok(GatewayId::of(&id));
        }
        let id = GatewayId::draw();
        self.update(store, |store| store.gateway = Some(id.to_string()))?;
        Ok(id)
    }
}

fn read(path: &Path) -> io::Result<Contents> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Contents {
                version: VERSION,
                stores: BTreeMap::new(),
                unknown: Unknown::new(),
            });
        }
        Err(error) => return Err(error),
    };
    let contents: Contents = serde_json::from_slice(&text)?;
    if contents.version != VERSION {
        let found = contents.version;
        let problem = format!("the file has version {found}, this build reads {VERSION}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
    }
    Ok(contents)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of version 1. They must stay readable.
    const VERSION_1: &str = r#"{
  "version": 1,
  "stores": {
    "home": {
      "id": "000102030405060708090a0b0c0d0e0f",
      "newest": 12,
      "revision": 34,
      "ledger": 11,
      "postgres": {
        "timeline": 3
      }
    }
  },
  "later": true
}"#;

    #[test]
    fn version_1_is_read_and_unknown_members_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        std::fs::write(&path, VERSION_1).unwrap();
        let remembered = Remembered::open(folder.path()).unwrap();
        let home = remembered.get(&StoreName::home()).unwrap();
        assert_eq!((home.newest, home.revision, home.ledger), (12, 34, 11));
        let id = home.id.as_deref();
        assert_eq!(id, Some("000102030405060708090a0b0c0d0e0f"));
        remembered
            .update(&StoreName::home(), |home| home.newest = 13)
            .unwrap();
        let written = std::fs::read_to_string(&path).unwrap();
        let expected = VERSION_1.replace("\"newest\": 12", "\"newest\": 13");
        assert_eq!(written, expected);
    }

    #[test]
    fn what_is_not_understood_is_refused_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        for wrong in ["", "{}", "{\"version\":2,\"stores\":{}}", "[]"] {
            std::fs::write(&path, wrong).unwrap();
            let error = Remembered::open(folder.path()).unwrap_err();
            assert!(error.to_string().contains(FILE), "{error}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), wrong);
        }
    }

    #[test]
    fn the_id_of_a_gateway_is_drawn_once_for_each_store() {
        let folder = tempfile::tempdir().unwrap();
        let remembered = Remembered::open(folder.path()).unwrap();
        let (home, other) = (StoreName::home(), "eu".parse().unwrap());
        let id = remembered.gateway_id(&home).unwrap();
        assert_ne!(remembered.gateway_id(&other).unwrap(), id);
        let again = Remembered::open(folder.path()).unwrap();
        assert_eq!(again.gateway_id(&home).unwrap(), id);
    }

    #[test]
    fn nothing_is_written_if_nothing_changes() {
        let folder = tempfile::tempdir().unwrap();
        let remembered = Remembered::open(folder.path()).unwrap();
        assert_eq!(remembered.get(&StoreName::home()), None);
        remembered
            .update(&StoreName::home(), |home| home.revision = 7)
            .unwrap();
        std::fs::remove_file(folder.path().join(FILE)).unwrap();
        remembered
            .update(&StoreName::home(), |home| home.revision = 7)
            .unwrap();
        assert!(!folder.path().join(FILE).exists());
    }
}
