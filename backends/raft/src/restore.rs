//! Makes a store anew from a picture: the folder of the founder of a new group.
//!
//! *Tokens.* A write's tokens are between its log index × 1,024 and the next one's. The new log
//! begins `ahead` entries after the picture's last, so its tokens are above all that the old group
//! gave out, as long as that had not written more than `ahead` entries after the picture was taken.
//! The old group had one entry in flight at a time, each with a sync of its own, so
//! [`ENTRIES_PER_SECOND_MAX`] is more than any has written; [`entries_ahead`] counts that for
//! every second since the picture, and never less than 2^32, which is three days of it. Tokens end
//! at 2^53, so indexes end at 2^43: there is room for 2,048 restores of the least kind.
//!
//! *Blobs.* The new store has the blobs whose files are in its directory already: whoever restores puts
//! them there first ([`BlobFiles`]).
//!
//! *Time.* The new leader counts on from the picture's time: while no group ran, time stood still,
//! and then every lease gets its whole ttl.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use leasehold_backend_api::LedgerHead;
use leasehold_backend_api::Picture;
use leasehold_domain::Change;
use leasehold_domain::Cursor;
use leasehold_domain::Event;
use leasehold_domain::WallMillis;
use leasehold_domain::limits::TOKEN_MAX;
use leasehold_domain::limits::TOKENS_PER_WRITE;
use leasehold_machine::Moment;
use openraft::BasicNode;

use crate::OpenError;
use crate::RaftConfig;
use crate::blobs;
use crate::blobs::BlobFiles;
use crate::entry::LogId;
use crate::entry::Membership;
use crate::entry::Term;
use crate::folder::FolderLock;
use crate::identity::FOUNDER;
use crate::log::LogStore;
use crate::log::Owner;
use crate::log::Unowned;
use crate::outbox::Inner;
use crate::snapshot;
use crate::snapshot::SnapshotFile;
use crate::snapshot::sync_folder;

/// More entries than a group writes in a second: one at a time, each synced by a majority.
const ENTRIES_PER_SECOND_MAX: u64 = 16_384;
/// The least distance between two groups' logs.
const ENTRIES_AHEAD_MIN: u64 = 1 << 32;
/// Log indexes are kept below this for the new group to grow.
const INDEX_MAX: u64 = TOKEN_MAX / TOKENS_PER_WRITE - ENTRIES_AHEAD_MIN;
/// The term in which the new log's first position was made.
const TERM: u64 = 1;

/// How far the new log begins after the old one, for a picture that was taken so long ago.
#[must_use]
pub fn entries_ahead(seconds: u64) -> u64 {
    seconds
        .saturating_mul(ENTRIES_PER_SECOND_MAX)
        .max(ENTRIES_AHEAD_MIN)
}

/// What to make a store of.
#[derive(Debug)]
pub struct Restore {
    /// The picture.
    pub picture: Picture,
    /// The last event of the ledger that the new history continues, and the hash chain after it. The
    /// new history's first event is the next one.
    pub after: LedgerHead,
    /// Events of the picture that no ledger has: they follow the first event of the new history, with
    /// cursors and times of their own there.
    pub unrecorded: Vec<Arc<Event>>,
    /// How many entries to go ahead: see [`entries_ahead`].
    pub ahead: u64,
    /// Tokens must also be above this one.
    pub token_above: u64,
    /// What the ledger is to tell of the restore.
    pub change: Change,
    /// When, for people.
    pub wall: WallMillis,
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The new group's random name.
    pub group: String,
    /// Every token that it will give out is above this.
    pub token_floor: u64,
    /// The event that tells of the restore.
    pub event: Cursor,
}

/// Makes an empty store in a folder that has none: of the founder of a new group, whose random name
/// this returns. Blocks until the store is durable; after a crash it can be called again.
///
/// # Errors
/// There is a store already, or the folder is in use or cannot be written.
pub fn create(config: &RaftConfig) -> Result<String, OpenError> {
    std::fs::create_dir_all(&config.data_dir)?;
    let (lock, _) = FolderLock::take(&config.data_dir)?;
    let present = || OpenError::Present(config.data_dir.clone());
    let (file, _) = SnapshotFile::open(config.data_dir.clone(), lock.clone(), config.levels)?;
    if !file.is_empty() {
        return Err(present());
    }
    let owner = Owner {
        cluster_id: config.cluster_id.clone(),
        unowned: Unowned::Founds,
        levels: config.levels,
    };
    let log = LogStore::open(&config.data_dir.join("log"), &owner, lock)?;
    if !log.is_new() {
        return Err(present());
    }
    sync_folder(&config.data_dir)?;
    let group = log.identity().group();
    Ok(group.map(|group| group.to_string()).unwrap_or_default())
}

impl Restore {
    /// Makes the folder of a new group's founder, which must not be there yet, or have blobs only.
    /// Blocks. If it fails, what is in the folder is of no use.
    ///
    /// # Errors
    /// The picture is not whole or of another version, no tokens are left, or the folder is there
    /// already or cannot be written.
    pub fn write(self, config: &RaftConfig) -> Result<Restored, OpenError> {
        let id = self.position()?;
        let corrupt = |error| OpenError::Corrupt(format!("the picture's state: {error}"));
        let state = snapshot::decode_state(&self.picture.state, config.levels);
        let mut state = state.map_err(corrupt)?;
        if state.newest() != self.picture.newest {
            let detail = "the picture's state ends with another event than it says";
            return Err(OpenError::Corrupt(detail.to_owned()));
        }
        let token_floor = id.index * TOKENS_PER_WRITE;
        state.lengthen_leases();
        let at = Moment {
            level: state.level(),
            now: state.now(),
            wall: self.wall,
            token_floor,
        };
        let after = self.after.cursor;
        let events = state.start_history(after, self.change, &self.unrecorded, at);
        let members = BTreeMap::from([(FOUNDER, BasicNode::new(""))]);
        let voters = vec![[FOUNDER].into()];
        let membership = openraft::Membership::new(voters, members)
            .map_err(|error| OpenError::Raft(error.to_string()))?;
        let blobs = begin(&config.data_dir)?;
        let mut inner = Inner {
            state,
            blobs: Arc::new(blobs.all().into_iter().collect()),
            trimmed: after,
            last_applied: Some(id),
            membership: Membership::new(Some(id), membership),
            ..Inner::default()
        };
        inner.keep(events);
        let group = make(config, &inner, id, self.after)?;
        Ok(Restored {
            group,
            token_floor,
            event: Cursor(after.0 + 1),
        })
    }

    /// Where the new log begins.
    fn position(&self) -> Result<LogId, OpenError> {
        let above = self.token_above / TOKENS_PER_WRITE + 1;
        let index = self.picture.revision.saturating_add(self.ahead).max(above);
        if index > INDEX_MAX {
            let detail = format!("log index {index}: too few tokens below 2^53 would be left");
            return Err(OpenError::Corrupt(detail));
        }
        let term = Term {
            term: TERM,
            node_id: FOUNDER,
        };
        Ok(LogId::new(term, index))
    }
}

/// Opens the blobs of a folder that has nothing else.
fn begin(folder: &Path) -> Result<BlobFiles, OpenError> {
    std::fs::create_dir_all(folder)?;
    for entry in std::fs::read_dir(folder)? {
        if entry?.file_name() != blobs::DIRECTORY {
            return Err(OpenError::Present(folder.to_owned()));
        }
    }
    Ok(BlobFiles::open(folder)?)
}

/// Writes log and snapshot; answers the new group's name.
fn make(
    config: &RaftConfig,
    inner: &Inner,
    id: LogId,
    ledger: LedgerHead,
) -> Result<String, OpenError> {
    let (lock, _) = FolderLock::take(&config.data_dir)?;
    let owner = Owner {
        cluster_id: config.cluster_id.clone(),
        unowned: Unowned::Founds,
        levels: config.levels,
    };
    let (file, _) = SnapshotFile::open(config.data_dir.clone(), lock.clone(), config.levels)?;
    file.write(inner)?;
    let log = LogStore::open(&config.data_dir.join("log"), &owner, lock)?;
    log.begin_after(id, ledger)?;
    sync_folder(&config.data_dir)?;
    let group = log.identity().group();
    Ok(group.map(|group| group.to_string()).unwrap_or_default())
}
