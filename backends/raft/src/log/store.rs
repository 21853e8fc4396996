//! openraft's log store.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use fjall::Database;
use fjall::KeyspaceCreateOptions;
use leasehold_backend_api::LedgerHead;
use leasehold_backend_api::Levels;
use leasehold_backend_api::Poison;
use openraft::storage::IOFlushed;
use openraft::storage::LogState;
use openraft::storage::RaftLogStorage;
use tokio::sync::oneshot;

use super::ENTRIES;
use super::LEDGER;
use super::META;
use super::PURGED;
use super::TRIMMED;
use super::VOTE;
use super::disk::Change;
use super::disk::Disk;
use super::disk::FjallDisk;
use super::journal;
use super::keeping::Keeping;
use super::keeping::Owner;
use super::reader::LogReader;
use super::reader::corrupt;
use super::writer::Job;
use super::writer::Told;
use super::writer::Writer;
use crate::OpenError;
use crate::entry::Entry;
use crate::entry::LogId;
use crate::entry::TypeConfig;
use crate::entry::Vote;
use crate::folder::FolderLock;
use crate::form::Sent;
use crate::identity::Identity;
use crate::peer::Acknowledged;
use crate::record;
use crate::record::RecordError;
use crate::trim::TrimMark;
use crate::trim::Trimmed;

/// Memory that fjall may take for unflushed writes. The log is short-lived: most of it is purged
/// before it is ever flushed.
const WRITE_BUFFER_BYTES: u64 = 8 * 1_024 * 1_024;
/// fjall's smallest journal.
const JOURNAL_BYTES_MAX: u64 = 64 * 1_024 * 1_024;
/// Blocks kept in memory; the log is read back from `Recent`.
const CACHE_BYTES: u64 = 2 * 1_024 * 1_024;

/// openraft's log store.
#[derive(Debug)]
pub(crate) struct LogStore {
    reader: LogReader,
    writer: Arc<Writer>,
    last: Option<LogId>,
    purged: Option<LogId>,
    /// Bytes appended since the start, for the snapshot policy.
    appended: Arc<AtomicU64>,
    trimmed: Arc<TrimMark>,
    identity: Arc<Identity>,
    is_new: bool,
}

impl LogStore {
    /// Opens the log, checks whose it is, and that every entry from first to last is whole.
    pub(crate) fn open(folder: &Path, owner: &Owner, lock: FolderLock) -> Result<Self, OpenError> {
        Self::open_on(folder, owner, lock, |disk| disk)
    }

    /// The same; `wrap` may stand between the writer and its disk.
    pub(crate) fn open_on(
        folder: &Path,
        owner: &Owner,
        lock: FolderLock,
        wrap: impl FnOnce(Box<dyn Disk>) -> Box<dyn Disk>,
    ) -> Result<Self, OpenError> {
        journal::mend(folder)?;
        let database = Database::builder(folder)
            .cache_size(CACHE_BYTES)
            .max_journaling_size(JOURNAL_BYTES_MAX)
            .worker_threads(1)
            .manual_journal_persist(true)
            .open()?;
        let options = || KeyspaceCreateOptions::default().max_memtable_size(WRITE_BUFFER_BYTES);
        let entries = database.keyspace(ENTRIES, options)?;
        let meta = database.keyspace(META, KeyspaceCreateOptions::default)?;
        let reader = LogReader {
            entries: entries.clone(),
            meta: meta.clone(),
            recent: Arc::default(),
            first: Arc::default(),
            _lock: lock.clone(),
        };
        let found = owner.find(&reader)?;
        let trimmed_to = corrupt(reader.meta(TRIMMED))?.unwrap_or(0);
        let trimmed_written = Trimmed::of(trimmed_to, corrupt(reader.meta(LEDGER))?);
        let trimmed = Arc::new(TrimMark::new(trimmed_written));
        let purged: Option<LogId> = corrupt(reader.meta(PURGED))?;
        let first = purged.map_or(0, |id| id.index + 1);
        let first_stored = corrupt(reader.first_stored())?.unwrap_or(first);
        reader.hide_before(first);
        let disk = FjallDisk {
            database,
            entries,
            meta,
            trimmed: trimmed.clone(),
            trimmed_written,
            // What the process before had purged, and not removed yet.
            purging: first_stored.min(first)..first,
            recent: reader.recent.clone(),
            _lock: lock,
        };
        let mut store = Self {
            reader,
            writer: Arc::new(Writer::spawn(wrap(Box::new(disk)))?),
            last: None,
            purged,
            appended: Arc::default(),
            trimmed,
            identity: Arc::new(found.identity),
            is_new: found.is_new,
        };
        if !found.changes.is_empty() {
            store.keeping().keep(found.changes)?;
        }
        store.scan(owner.levels)?;
        Ok(store)
    }

    /// Whether the store was poisoned by an I/O error.
    pub(crate) fn poison(&self) -> Poison {
        self.writer.poison.clone()
    }

    /// Bytes appended since the start.
    pub(crate) fn appended(&self) -> Arc<AtomicU64> {
        self.appended.clone()
    }

    /// Where the ledger was at the last trim; what is stored here is written with the next entry.
    pub(crate) fn trimmed(&self) -> Arc<TrimMark> {
        self.trimmed.clone()
    }

    /// The last entry that is no longer here.
    pub(crate) fn purged(&self) -> Option<LogId> {
        self.purged
    }

    /// What this node may have acknowledged to others.
    pub(crate) fn acknowledged(&self) -> Result<Acknowledged, OpenError> {
        let vote: Option<Vote> = corrupt(self.reader.meta(VOTE))?;
        Ok(Acknowledged {
            term: vote.map_or(0, |vote| vote.leader_id.term),
            last: self.last,
        })
    }

    /// Whether the folder had no owner before this open.
    pub(crate) fn is_new(&self) -> bool {
        self.is_new
    }

    /// Whose folder this is.
    pub(crate) fn identity(&self) -> Arc<Identity> {
        self.identity.clone()
    }

    /// Keeps what is no log.
    pub(crate) fn keeping(&self) -> Keeping {
        Keeping(self.writer.clone())
    }

    /// Finds the last entry. A hole, or an entry that is not whole, is no torn tail: that has been
    /// cut off already.
    fn scan(&mut self, levels: Levels) -> Result<(), OpenError> {
        self.last = self.purged;
        let first = self.purged.map_or(0, |id| id.index + 1);
        let stored = self.reader.entries.range(first.to_be_bytes()..);
        for (expected, guard) in (first..).zip(stored) {
            let damaged = |error: &dyn std::fmt::Display| {
                OpenError::Corrupt(format!("log: entry {expected}: {error}"))
            };
            let (key, value) = guard.into_inner().map_err(|error| damaged(&error))?;
            if *key != expected.to_be_bytes() {
                return Err(damaged(&format!("{key:?} stands in its place")));
            }
            let entry = record::decode_entry(&value, levels).map_err(|error| match error {
                RecordError::Level(unknown) => OpenError::Level(unknown.to_string()),
                error => damaged(&error),
            })?;
            if entry.log_id.index != expected {
                let index = entry.log_id.index;
                return Err(damaged(&format!("it says that it is {index}")));
            }
            self.last = Some(entry.log_id);
        }
        Ok(())
    }

    /// Begins an empty log after a position that no entry of it has, and blocks until that is
    /// durable. The vote is the position's, so that the next term is a later one. The ledger has the
    /// events before it.
    pub(crate) fn begin_after(&self, id: LogId, ledger: LedgerHead) -> Result<(), OpenError> {
        let vote = Vote::new(id.leader_id.term, id.leader_id.node_id);
        let meta = |key, bytes| Change::Meta { key, bytes };
        self.keeping().keep(vec![
            meta(VOTE, record::encode(&vote)),
            meta(PURGED, record::encode(&id)),
            meta(TRIMMED, record::encode(&ledger.cursor.0)),
            meta(LEDGER, record::encode(&(ledger.cursor, ledger.chain))),
        ])?;
        Ok(())
    }

    /// Puts anything into the log, and waits.
    #[cfg(test)]
    pub(crate) fn put(&self, changes: Vec<Change>) {
        let (told, done) = oneshot::channel();
        self.writer.submit(Job {
            changes,
            told: Told::Caller(told),
        });
        done.blocking_recv().unwrap().unwrap();
    }

    /// How many entries the disk has, purged ones included.
    #[cfg(test)]
    pub(crate) fn stored(&self) -> usize {
        self.reader.entries.iter().count()
    }

    async fn change(&self, changes: Vec<Change>) -> Result<(), io::Error> {
        let (told, done) = oneshot::channel();
        self.writer.submit(Job {
            changes,
            told: Told::Caller(told),
        });
        done.await.map_err(io::Error::other)?
    }

    async fn set<T: Sent>(&self, key: &'static str, value: &T) -> io::Result<()> {
        let bytes = record::encode(value);
        self.change(vec![Change::Meta { key, bytes }]).await
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = LogReader;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, io::Error> {
        Ok(LogState {
            last_purged_log_id: self.purged,
            last_log_id: self.last,
        })
    }

    async fn get_log_reader(&mut self) -> LogReader {
        self.reader.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        self.set(VOTE, vote).await
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: IOFlushed<TypeConfig>,
    ) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        let mut changes = Vec::new();
        for entry in entries {
            let bytes = record::encode(&entry);
            self.appended
                .fetch_add(bytes.len() as u64, Ordering::Relaxed);
            self.last = Some(entry.log_id);
            let index = entry.log_id.index;
            self.reader.recent.push(entry, bytes.len());
            changes.push(Change::Put { index, bytes });
        }
        self.writer.submit(Job {
            changes,
            told: Told::Raft(callback),
        });
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        let from = last.map_or(0, |id| id.index + 1);
        let to = self.last.map_or(0, |id| id.index + 1);
        self.reader.recent.truncate(from);
        self.last = self.last.min(last).max(self.purged);
        self.change(vec![Change::Remove {
            from,
            to: to.max(from),
        }])
        .await?;
        // Only now are the entries that were on their way written, and gone.
        self.reader.recent.truncate(from);
        Ok(())
    }

    async fn purge(&mut self, up_to: LogId) -> Result<(), io::Error> {
        let from = self.purged.map_or(0, |id| id.index + 1);
        let stored_to = self.last.map_or(0, |id| id.index + 1);
        let to = up_to.index + 1;
        self.purged = Some(up_to);
        self.reader.hide_before(to);
        self.last = self.last.max(Some(up_to));
        let bytes = record::encode(&up_to);
        self.change(vec![
            Change::Meta { key: PURGED, bytes },
            Change::Purge {
                from,
                to: to.min(stored_to).max(from),
            },
        ])
        .await
    }
}
