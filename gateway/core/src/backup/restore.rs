//! A data folder made anew from a backup: a new group, whose tokens are above all earlier ones.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use leasehold_audit::LedgerOptions;
use leasehold_audit::SqliteLedger;
use leasehold_audit::canonical;
use leasehold_backend_api::Ledger;
use leasehold_backend_api::LedgerHead;
use leasehold_backend_api::Picture;
use leasehold_domain::Change;
use leasehold_domain::Cursor;
use leasehold_domain::Event;
use leasehold_domain::InvalidId;
use leasehold_domain::Principal;
use leasehold_domain::Role;
use leasehold_domain::RoleSet;
use leasehold_domain::WallMillis;
use tempfile::TempDir;

use super::BackupFileError;
use super::Contents;
use super::file::BackupReader;
use super::frame::Frame;
use super::take::COLLECTION;
use crate::data_dir::ledger_file;
use crate::embedded::Restore;
use crate::embedded::Restored;
use crate::embedded::entries_ahead;
use crate::embedded::new_blobs;
use crate::embedded::write_restored;

/// Events that go into the ledger at once.
const EVENTS_AT_ONCE: usize = 1_000;

/// What a restore made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anew {
    /// What the file held.
    pub contents: Contents,
    /// The new store.
    pub restored: Restored,
}

/// Makes `data_dir`, which must be absent or empty, from a backup. The file is checked as a whole
/// first; the folder is there whole, or not at all.
///
/// # Errors
/// The file is no whole backup, tokens must be above more than there are, or the folder cannot be
/// made.
pub async fn restore(
    file: &Path,
    data_dir: &Path,
    token_above: u64,
    now: WallMillis,
) -> Result<Anew, BackupFileError> {
    let contents = Contents::check(file)?;
    // What is left over of one that was cut off is a folder of its own name, and is left alone.
    let unfinished = begin(data_dir)?;
    let restored = make(file, &contents, unfinished.path(), token_above, now).await?;
    File::open(unfinished.path())?.sync_all()?;
    // The system refuses it unless nothing, or an empty folder, is there.
    std::fs::rename(unfinished.path(), data_dir).map_err(|error| match error.kind() {
        ErrorKind::DirectoryNotEmpty | ErrorKind::NotADirectory => {
            BackupFileError::Occupied(data_dir.to_owned())
        }
        _ => error.into(),
    })?;
    let _ = unfinished.keep();
    File::open(parent(data_dir))?.sync_all()?;
    Ok(Anew { contents, restored })
}

fn parent(folder: &Path) -> &Path {
    let parent = folder.parent().filter(|at| !at.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

/// A new folder beside the one to be made. It is removed unless it gets that one's name.
fn begin(data_dir: &Path) -> Result<TempDir, BackupFileError> {
    let occupied = || BackupFileError::Occupied(data_dir.to_owned());
    // A link is not followed: what it names may be another gateway's.
    match std::fs::symlink_metadata(data_dir) {
        Ok(found) if !found.is_dir() => return Err(occupied()),
        Ok(_) if std::fs::read_dir(data_dir)?.next().is_some() => return Err(occupied()),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    let mut prefix = OsString::from(".");
    prefix.push(data_dir.file_name().ok_or_else(occupied)?);
    prefix.push(".restoring.");
    std::fs::create_dir_all(parent(data_dir))?;
    Ok(tempfile::Builder::new()
        .prefix(&prefix)
        .tempdir_in(parent(data_dir))?)
}

async fn make(
    file: &Path,
    contents: &Contents,
    folder: &Path,
    token_above: u64,
    now: WallMillis,
) -> Result<Restored, BackupFileError> {
    let mut reader = BackupReader::open(file)?;
    let mut ledger = NewLedger::open(&ledger_file(folder))?;
    let blobs = new_blobs(folder).map_err(BackupFileError::Storage)?;
    let mut state = Vec::new();
    loop {
        match reader.next()? {
            Frame::State(piece) => state.extend(piece),
            Frame::Blob(bytes) => {
                let put = blobs.put(&bytes);
                put.map_err(|error| BackupFileError::Storage(error.to_string()))?;
            }
            Frame::Row(body) => ledger.push(&body).await?,
            Frame::Head(_) | Frame::End(_) => break,
        }
    }
    let after = ledger.finish(&contents.head.chain).await?;
    let head = &contents.head;
    let restore = Restore {
        picture: Picture {
            newest: Cursor(head.newest),
            revision: head.revision,
            state,
            // They are in the new store's directory.
            blobs: Vec::new(),
        },
        after,
        unrecorded: Vec::new(),
        ahead: entries_ahead(now.0.saturating_sub(head.taken_unix_ms) / 1_000),
        token_above,
        change: change(contents)?,
        wall: now,
    };
    // The store blocks until it is durable.
    let folder = folder.to_owned();
    let written = tokio::task::spawn_blocking(move || write_restored(restore, &folder)).await;
    let restored = written
        .map_err(|error| BackupFileError::Storage(error.to_string()))?
        .map_err(BackupFileError::Storage)?;
    ledger.belong(&restored.group).await?;
    Ok(restored)
}

/// What the ledger tells of the restore.
fn change(contents: &Contents) -> Result<Change, BackupFileError> {
    let bad = |error: leasehold_domain::InvalidName| BackupFileError::Storage(error.to_string());
    let sha256 = &contents.sha256;
    let short = sha256.get(..16).unwrap_or(sha256);
    Ok(Change {
        request_id: format!("restore-{short}").parse().map_err(bad)?,
        principal: Arc::new(Principal {
            subject: "leasehold:restore".parse().map_err(bad)?,
            team: None,
            roles: RoleSet::default().with(Role::Administrator),
            claims: BTreeMap::new(),
        }),
        collection: COLLECTION.into(),
        id: "restore".into(),
        digest: sha256.parse().ok(),
        summary: format!(
            "restored into a new group from a backup that ends with event {} and hash chain {}",
            contents.head.newest, contents.head.chain
        )
        .into(),
    })
}

/// A ledger that is made from rows.
struct NewLedger {
    ledger: SqliteLedger,
    waiting: Vec<Arc<Event>>,
}

impl NewLedger {
    fn open(path: &Path) -> Result<Self, BackupFileError> {
        let ledger = SqliteLedger::open(path, LedgerOptions::default())
            .map_err(|error| BackupFileError::Ledger(error.to_string()))?;
        let waiting = Vec::new();
        Ok(Self { ledger, waiting })
    }

    async fn push(&mut self, body: &str) -> Result<(), BackupFileError> {
        let recorded = canonical::parse(body)
            .map_err(|error| BackupFileError::Damaged(format!("an event: {error}")))?;
        self.waiting.push(Arc::new(recorded.event));
        match self.waiting.len() < EVENTS_AT_ONCE {
            true => Ok(()),
            false => self.append().await,
        }
    }

    async fn append(&mut self) -> Result<(), BackupFileError> {
        let events = std::mem::take(&mut self.waiting);
        let appended = self.ledger.append(events).await;
        appended
            .map(|_| ())
            .map_err(|error| BackupFileError::Ledger(error.to_string()))
    }

    /// Checks that the new ledger is the old one; returns where it ends.
    async fn finish(&mut self, chain: &str) -> Result<LedgerHead, BackupFileError> {
        if !self.waiting.is_empty() {
            self.append().await?;
        }
        let made = self.ledger.head().chain.to_string();
        if made != chain {
            let detail = format!("the new ledger's hash chain is {made}, not {chain}");
            return Err(BackupFileError::Ledger(detail));
        }
        Ok(self.ledger.head())
    }

    /// Records whose events it holds from now on.
    async fn belong(&self, group: &str) -> Result<(), BackupFileError> {
        let bad = |error: &dyn std::fmt::Display| BackupFileError::Ledger(error.to_string());
        let id = group.parse().map_err(|error: InvalidId| bad(&error))?;
        let set = self.ledger.set_store(id).await;
        set.map_err(|error| bad(&error))
    }
}
