//! What a store's folder remembers of the database that it was opened with: `database.json`.
//!
//! A gateway that is started again would otherwise take an old primary, or a copy restored from a
//! backup, for the database that it knows. The file is replaced as a whole, so a crash leaves the
//! old contents or the new ones.

use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;

use leasehold_backend_api::durable_file;
use leasehold_backend_postgres::Memory;
use leasehold_backend_postgres::Seen;
use serde::Deserialize;
use serde::Serialize;

/// The name of the file in a store's folder.
const FILE: &str = "database.json";
/// The format that this build writes and reads.
const VERSION: u32 = 1;

/// The contents of the file.
#[derive(Debug, Serialize, Deserialize)]
struct Contents {
    version: u32,
    /// The cluster's system identifier.
    system_identifier: i64,
    timeline: i32,
    /// The store's version, which counts its writes.
    position: u64,
}

/// What a store's folder remembers of its database.
#[derive(Debug)]
pub(crate) struct DatabaseMemory {
    path: PathBuf,
    seen: Mutex<Option<Seen>>,
    /// Set while an operator accepts an older database: what the file says, which may be nothing. The
    /// file is not written before [`DatabaseMemory::accept`] then.
    replaces: Option<Option<Seen>>,
}

impl DatabaseMemory {
    /// Reads the memory in a store's folder, which is made if absent; without a file nothing is
    /// remembered.
    ///
    /// # Errors
    /// The file cannot be read, is not understood, or was written by a later build. It is left as
    /// it is.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let path = folder.join(FILE);
        let seen = read(&path).map_err(|error| {
            let problem = format!("{}: {error}", path.display());
            io::Error::new(error.kind(), problem)
        })?;
        let seen = Mutex::new(seen);
        Ok(Self {
            path,
            seen,
            replaces: None,
        })
    }

    /// The same, for an operator who accepts an older database: what is remembered is not compared
    /// with the database, and the file is not written before [`DatabaseMemory::accept`].
    ///
    /// # Errors
    /// As for [`DatabaseMemory::open`].
    pub(crate) fn replacing(folder: &Path) -> io::Result<Self> {
        let mut opened = Self::open(folder)?;
        let seen = opened.seen.get_mut();
        opened.replaces = Some(seen.unwrap_or_else(PoisonError::into_inner).take());
        Ok(opened)
    }

    /// Returns the position that an accepted database replaces; 0 if none is remembered.
    pub(crate) fn replaced_version(&self) -> u64 {
        self.replaces.flatten().map_or(0, |was| was.version)
    }

    /// Remembers the accepted database at its new position. Blocks.
    ///
    /// # Errors
    /// It cannot be written. What was remembered before is still there.
    pub(crate) fn accept(&self, version: u64) -> io::Result<()> {
        match self.seen() {
            Some(seen) => self.write(Seen { version, ..seen }),
            None => Ok(()),
        }
    }

    fn write(&self, seen: Seen) -> io::Result<()> {
        let contents = Contents {
            version: VERSION,
            system_identifier: seen.system,
            timeline: seen.timeline,
            position: seen.version,
        };
        durable_file::replace(&self.path, &serde_json::to_vec_pretty(&contents)?)
    }
}

impl Memory for DatabaseMemory {
    fn seen(&self) -> Option<Seen> {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, seen: Seen) -> io::Result<()> {
        let mut kept = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if self.replaces.is_none() {
            self.write(seen)?;
        }
        *kept = Some(seen);
        Ok(())
    }
}

fn read(path: &Path) -> io::Result<Option<Seen>> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let contents: Contents = serde_json::from_slice(&text)?;
    if contents.version != VERSION {
        let found = contents.version;
        let problem = format!("the file has version {found}, this build reads {VERSION}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
    }
    Ok(Some(Seen {
        system: contents.system_identifier,
        timeline: contents.timeline,
        version: contents.position,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of version 1. They must stay readable.
    const VERSION_1: &str = r#"{
  "version": 1,
  "system_identifier": 7400000000000000001,
  "timeline": 3,
  "position": 67108999
}"#;

    #[test]
    fn version_1_is_read_and_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let memory = DatabaseMemory::open(folder.path()).unwrap();
        assert_eq!(memory.seen(), None);
        std::fs::write(&path, VERSION_1).unwrap();
        let seen = DatabaseMemory::open(folder.path()).unwrap().seen();
        let seen = seen.unwrap();
        assert_eq!((seen.timeline, seen.version), (3, 67_108_999));
        memory.keep(seen).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), VERSION_1);
    }

    #[test]
    fn what_is_not_understood_is_refused_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let newer = VERSION_1.replace("\"version\": 1", "\"version\": 2");
        for wrong in ["", "{}", "[]", &newer] {
            std::fs::write(&path, wrong).unwrap();
            let error = DatabaseMemory::open(folder.path()).unwrap_err();
            assert!(error.to_string().contains(FILE), "{error}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), wrong);
        }
    }
}
