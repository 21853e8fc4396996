//! Reads entries back: from memory, or from the store.

use std::fmt::Debug;
use std::io;
use std::ops::Bound;
use std::ops::RangeBounds;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use fjall::Keyspace;
use openraft::RaftLogReader;

use super::VOTE;
use super::recent::Recent;
use crate::OpenError;
use crate::entry::Entry;
use crate::entry::TypeConfig;
use crate::entry::Vote;
use crate::folder::FolderLock;
use crate::form::Sent;
use crate::record;

/// Reads entries back.
#[derive(Clone)]
pub(crate) struct LogReader {
    pub(super) entries: Keyspace,
    pub(super) meta: Keyspace,
    pub(super) recent: Arc<Recent>,
    /// Entries before this are purged. They may still be stored, but are never read again.
    pub(super) first: Arc<AtomicU64>,
    /// Let go of last: the reader keeps fjall open.
    pub(super) _lock: FolderLock,
}

impl Debug for LogReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogReader").finish_non_exhaustive()
    }
}

impl LogReader {
    /// The index of the first stored entry, purged or not; `None` if no entry is stored.
    pub(super) fn first_stored(&self) -> io::Result<Option<u64>> {
        let Some(guard) = self.entries.first_key_value() else {
            return Ok(None);
        };
        let key = guard.key().map_err(crate::error::io)?;
        let bytes = <[u8; 8]>::try_from(&*key).map_err(|_| {
            let detail = format!("log: {key:?} is not an entry's key");
            io::Error::new(io::ErrorKind::InvalidData, detail)
        })?;
        Ok(Some(u64::from_be_bytes(bytes)))
    }

    /// Hides entries before `first`: they are purged.
    pub(super) fn hide_before(&self, first: u64) {
        self.first.fetch_max(first, Ordering::AcqRel);
        if let Some(last) = first.checked_sub(1) {
            self.recent.purge(last);
        }
    }

    fn stored(&self, from: u64, to: u64) -> io::Result<Vec<Entry>> {
        let mut found = Vec::new();
        for guard in self.entries.range(from.to_be_bytes()..to.to_be_bytes()) {
            let (key, value) = guard.into_inner().map_err(crate::error::io)?;
            let entry = record::decode(&value).map_err(|error| {
                let index = <[u8; 8]>::try_from(&*key).map_or(0, u64::from_be_bytes);
                let detail = format!("log: entry {index}: {error}");
                io::Error::new(io::ErrorKind::InvalidData, detail)
            })?;
            found.push(entry);
        }
        Ok(found)
    }

    /// A value of the meta keyspace.
    pub(super) fn meta<T: Sent>(&self, key: &str) -> io::Result<Option<T>> {
        let Some(bytes) = self.meta.get(key).map_err(crate::error::io)? else {
            return Ok(None);
        };
        record::decode(&bytes).map(Some).map_err(|error| {
            io::Error::new(io::ErrorKind::InvalidData, format!("log {key}: {error}"))
        })
    }
}

impl RaftLogReader<TypeConfig> for LogReader {
    async fn try_get_log_entries<R>(&mut self, range: R) -> Result<Vec<Entry>, io::Error>
    where
        R: RangeBounds<u64> + Clone + Debug + Send,
    {
        let from = match range.start_bound() {
            Bound::Included(from) => *from,
            Bound::Excluded(before) => before + 1,
            Bound::Unbounded => 0,
        };
        let to = match range.end_bound() {
            Bound::Included(last) => last + 1,
            Bound::Excluded(to) => *to,
            Bound::Unbounded => u64::MAX,
        };
        let from = from.max(self.first.load(Ordering::Acquire));
        if from >= to {
            return Ok(Vec::new());
        }
        let recent = self.recent.range(from, to);
        let stored_to = recent.first().map_or(to, |entry| entry.log_id.index);
        if stored_to <= from {
            return Ok(recent);
        }
        let mut entries = self.stored(from, stored_to)?;
        entries.extend(recent);
        Ok(entries)
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        self.meta(VOTE)
    }
}

/// What is stored under a key of the meta keyspace and cannot be read is corrupt.
pub(super) fn corrupt<T>(read: io::Result<T>) -> Result<T, OpenError> {
    read.map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => OpenError::Corrupt(error.to_string()),
        _ => OpenError::Io(error),
    })
}
