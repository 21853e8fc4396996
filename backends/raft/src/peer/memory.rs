//! What the peers of a node have acknowledged to it: kept in `peers.json` beside its log, so that an
//! older copy of a member's folder is noticed although all members were started again since.
//!
//! The file is replaced as a whole now and then. It may be behind what was acknowledged, and never
//! says more.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use leasehold_backend_api::durable_file;
use serde::Deserialize;
use serde::Serialize;

use crate::entry::LogId;
use crate::entry::Term;

/// The name of the file in a node's folder.
const FILE: &str = "peers.json";
/// The format that this build writes and reads.
const VERSION: u32 = 1;

/// What a node has acknowledged: durable at that node when it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Acknowledged {
    /// It voted in this term, or followed its leader.
    pub(crate) term: u64,
    /// It had this entry, as the leader of that term has it.
    pub(crate) last: Option<LogId>,
}

impl Acknowledged {
    /// Whether a folder that has this much is older than one that has acknowledged `other`. A folder
    /// with a later term cannot be compared: its log may have been cut since.
    pub(crate) fn is_older_than(self, other: Self) -> bool {
        self.term < other.term || (self.term == other.term && self.last < other.last)
    }
}

/// What peers have acknowledged to this node.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// None for a memory that is not kept.
    path: Option<PathBuf>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    members: BTreeMap<u64, Acknowledged>,
    changed: bool,
}

/// The contents of the file.
#[derive(Debug, Serialize, Deserialize)]
struct Contents {
    version: u32,
    members: BTreeMap<u64, Kept>,
}

/// One member in the file. The form is the file's own: it stays readable whatever openraft does.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    term: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    entry: Option<KeptEntry>,
}

#[derive(Debug, Serialize, Deserialize)]
struct KeptEntry {
    term: u64,
    leader: u64,
    index: u64,
}

impl Memory {
    /// Reads the memory in a node's folder; without a file nothing is remembered.
    ///
    /// # Errors
    /// `InvalidData` if the file is not understood. It is left as it is.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let path = folder.join(FILE);
        let members = read(&path).map_err(|error| {
            let problem = format!("{}: {error}", path.display());
            io::Error::new(error.kind(), problem)
        })?;
        let inner = Inner {
            members,
            changed: false,
        };
        Ok(Self {
            path: Some(path),
            inner: Mutex::new(inner),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A node has voted in `term`, or has `last` in it.
    pub(crate) fn note(&self, node: u64, term: u64, last: Option<LogId>) {
        let new = Acknowledged { term, last };
        let mut inner = self.lock();
        let known = inner.members.get(&node);
        if known.is_none_or(|known| known.is_older_than(new)) {
            inner.members.insert(node, new);
            inner.changed = true;
        }
    }

    /// What is remembered of a node.
    pub(crate) fn of(&self, node: u64) -> Option<Acknowledged> {
        self.lock().members.get(&node).copied()
    }

    /// Whether a node that says in `term` that it does not have `entry` has acknowledged it.
    pub(crate) fn contradicts(&self, node: u64, term: u64, entry: Option<LogId>) -> bool {
        let known = self.of(node);
        known.is_some_and(|known| known.term == term && entry.is_some() && known.last >= entry)
    }

    /// Makes the file current. Blocks.
    ///
    /// # Errors
    /// It cannot be written; the old contents are still there.
    pub(crate) fn keep(&self) -> io::Result<()> {
        let Some(path) = &self.path else {
            return Ok(());
        };
        let members = {
            let mut inner = self.lock();
            if !std::mem::take(&mut inner.changed) {
                return Ok(());
            }
            inner.members.clone()
        };
        let contents = Contents {
            version: VERSION,
            members: members
                .iter()
                .map(|(node, at)| (*node, kept(*at)))
                .collect(),
        };
        let written = durable_file::replace(path, &serde_json::to_vec_pretty(&contents)?);
        written.inspect_err(|_| self.lock().changed = true)
    }
}

fn kept(at: Acknowledged) -> Kept {
    Kept {
        term: at.term,
        entry: at.last.map(|last| KeptEntry {
            term: last.leader_id.term,
            leader: last.leader_id.node_id,
            index: last.index,
        }),
    }
}

fn read(path: &Path) -> io::Result<BTreeMap<u64, Acknowledged>> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    let invalid = |problem: String| io::Error::new(io::ErrorKind::InvalidData, problem);
    let contents: Contents =
        serde_json::from_slice(&text).map_err(|error| invalid(error.to_string()))?;
    if contents.version != VERSION {
        let found = contents.version;
        let problem = format!("the file has version {found}, this build reads {VERSION}");
        return Err(invalid(problem));
    }
    let at = |kept: Kept| Acknowledged {
        term: kept.term,
        last: kept.entry.map(|entry| {
            let leader = Term {
                term: entry.term,
                node_id: entry.leader,
            };
            LogId::new(leader, entry.index)
        }),
    };
    let members = contents.members.into_iter();
    Ok(members.map(|(node, kept)| (node, at(kept))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(term: u64, index: u64) -> Option<LogId> {
        Some(LogId::new(Term { term, node_id: 1 }, index))
    }

    #[test]
    fn a_folder_is_older_if_it_has_forgotten_a_vote_or_an_entry() {
        let has = |term, last| Acknowledged { term, last };
        let remembered = has(5, at(4, 100));
        for (folder, older) in [
            (has(4, at(4, 100)), true),
            (has(5, at(4, 99)), true),
            (has(5, None), true),
            (remembered, false),
            (has(5, at(5, 101)), false),
            // Its log may have been cut by a later leader.
            (has(6, at(4, 99)), false),
        ] {
            assert_eq!(folder.is_older_than(remembered), older, "{folder:?}");
        }
    }

    #[test]
    fn memory_never_goes_back() {
        let memory = Memory::default();
        assert_eq!(memory.of(2), None);
        memory.note(2, 5, at(4, 100));
        memory.note(2, 5, at(4, 90));
        memory.note(2, 4, at(4, 110));
        memory.note(2, 5, None);
        let last = at(4, 100);
        assert_eq!(memory.of(2), Some(Acknowledged { term: 5, last }));
        assert!(memory.contradicts(2, 5, at(4, 100)));
        assert!(!memory.contradicts(2, 5, at(4, 101)));
        assert!(!memory.contradicts(2, 6, at(4, 100)));
        assert!(!memory.contradicts(3, 5, at(4, 100)));
        memory.note(2, 6, None);
        assert_eq!(
            memory.of(2),
            Some(Acknowledged {
                term: 6,
                last: None
            })
        );
    }

    /// Bytes of version 1. They must stay readable.
    const VERSION_1: &str = r#"{
  "version": 1,
  "members": {
    "2": {
      "term": 5,
      "entry": {
        "term": 4,
        "leader": 1,
        "index": 100
      }
    },
    "77": {
      "term": 6
    }
  }
}"#;

    #[test]
    fn version_1_is_read_and_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let memory = Memory::open(folder.path()).unwrap();
        memory.keep().unwrap();
        assert!(!path.exists(), "nothing is remembered");
        memory.note(2, 5, at(4, 100));
        memory.note(77, 6, None);
        memory.keep().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), VERSION_1);
        let again = Memory::open(folder.path()).unwrap();
        assert_eq!(again.of(2), memory.of(2));
        assert_eq!(again.of(77), memory.of(77));
        let newer = VERSION_1.replace("\"version\": 1", "\"version\": 2");
        for wrong in ["", "{}", &newer] {
            std::fs::write(&path, wrong).unwrap();
            let error = Memory::open(folder.path()).unwrap_err();
            assert!(error.to_string().contains(FILE), "{error}");
        }
    }
}
