//! What the writer writes, and onto what.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use fjall::Database;
use fjall::Keyspace;
use fjall::PersistMode;
use leasehold_machine::PlantedBug;

use super::LEDGER;
use super::TRIMMED;
use super::recent::Recent;
use crate::folder::FolderLock;
use crate::record;
use crate::trim::TrimMark;
use crate::trim::Trimmed;

/// What is to be written.
#[derive(Debug)]
pub(crate) enum Change {
    /// An entry.
    Put { index: u64, bytes: Vec<u8> },
    /// A key of the meta keyspace.
    Meta { key: &'static str, bytes: Vec<u8> },
    /// Entries that are no more: from, to before. They are gone after the commit.
    Remove { from: u64, to: u64 },
    /// Entries that are not needed any more: from, to before. The reader hides them at once; the
    /// disk removes them with this commit and later ones, [`PURGED_PER_COMMIT_MAX`] at a time.
    Purge { from: u64, to: u64 },
}

/// Purged entries that one commit removes at most. Removing all that a snapshot has made
/// superfluous in one commit stalls the only writer: 94,000 entries took 55 to 60 ms.
const PURGED_PER_COMMIT_MAX: u64 = 256;

impl Change {
    /// What it takes in a commit, about.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Put { bytes, .. } | Self::Meta { bytes, .. } => bytes.len(),
            Self::Remove { from, to } => usize::try_from(to - from).unwrap_or(usize::MAX),
            Self::Purge { .. } => 0,
        }
    }
}

/// Where changes become durable. The seam at which a test lets a disk fail.
pub(crate) trait Disk: Send {
    /// Makes all changes durable, or none.
    fn commit(&mut self, changes: Vec<Change>) -> io::Result<()>;
}

/// fjall: one batch and one `fdatasync` for each commit.
pub(super) struct FjallDisk {
    pub(super) database: Database,
    pub(super) entries: Keyspace,
    pub(super) meta: Keyspace,
    /// Up to where events were trimmed: written along with the next commit, so that it costs none.
    pub(super) trimmed: Arc<TrimMark>,
    /// What of it was written.
    pub(super) trimmed_written: Trimmed,
    /// Purged entries that are not removed yet.
    pub(super) purging: Range<u64>,
    /// Told what it need not keep any longer.
    pub(super) recent: Arc<Recent>,
    /// Let go of last.
    pub(super) _lock: FolderLock,
}

impl Disk for FjallDisk {
    fn commit(&mut self, changes: Vec<Change>) -> io::Result<()> {
        let synced = !PlantedBug::SkipFsync.is_planted();
        let durability = synced.then_some(PersistMode::SyncData);
        let mut batch = self.database.batch().durability(durability);
        let mut written_to = 0;
        for change in changes {
            match change {
                Change::Put { index, bytes } => {
                    written_to = index + 1;
                    batch.insert(&self.entries, index.to_be_bytes(), bytes);
                }
                Change::Meta { key, bytes } => batch.insert(&self.meta, key, bytes),
                Change::Remove { from, to } => {
                    for index in from..to {
                        batch.remove(&self.entries, index.to_be_bytes());
                    }
                }
                Change::Purge { from, to } if self.purging.is_empty() => self.purging = from..to,
                Change::Purge { to, .. } => self.purging.end = self.purging.end.max(to),
            }
        }
        let purging = &self.purging;
        let purged_to = purging.end.min(purging.start + PURGED_PER_COMMIT_MAX);
        for index in self.purging.start..purged_to {
            batch.remove(&self.entries, index.to_be_bytes());
        }
        let trimmed = self.trimmed.get();
        if trimmed != self.trimmed_written {
            let bytes = record::encode(&trimmed.cursor.0);
            batch.insert(&self.meta, TRIMMED, bytes);
            if let Some(ledger) = trimmed.ledger_record() {
                let bytes = record::encode(&ledger);
                batch.insert(&self.meta, LEDGER, bytes);
            }
            self.trimmed_written = trimmed;
        }
        batch.commit().map_err(crate::error::io)?;
        self.purging.start = purged_to;
        self.recent.set_written(written_to);
        Ok(())
    }
}
