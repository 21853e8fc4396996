//! Snapshots: the state and the events that the ledger does not have, in one checksummed file.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::fs::File;
use std::io;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use async_trait::async_trait;
use leasehold_backend_api::Writes;
use leasehold_domain::Cursor;
use leasehold_domain::Event;
use leasehold_machine::State;
use leasehold_machine::StateBeforeEnded;
use openraft::RaftSnapshotBuilder;
use openraft::alias::SnapshotMetaOf;
use openraft::alias::SnapshotOf;
use serde::Deserialize;
use serde::Serialize;

use crate::entry::LogId;
use crate::entry::Membership;
use crate::entry::TypeConfig;
use crate::entry::Types;
use crate::folder::FolderLock;
use crate::outbox::Applied;
use crate::outbox::Inner;
use crate::record;
use crate::record::RecordError;
use crate::record::RecordWriter;

const FILE: &str = "snapshot";
const UNFINISHED: &str = "snapshot.unfinished";

/// A snapshot's bytes, as they are in the file and as they travel.
pub(crate) type SnapshotBytes = Vec<u8>;

/// What is in the file.
#[derive(Deserialize)]
struct Stored<S = State> {
    last_applied: Option<LogId>,
    membership: Membership,
    trimmed: Cursor,
    state: S,
    events: VecDeque<Arc<Event>>,
}

impl From<Stored<StateBeforeEnded>> for Stored {
    fn from(before: Stored<StateBeforeEnded>) -> Self {
        Self {
            last_applied: before.last_applied,
            membership: before.membership,
            trimmed: before.trimmed,
            state: before.state.into(),
            events: before.events,
        }
    }
}

/// What precedes the events in the file; `S` is the state, or a frozen one.
#[derive(Serialize)]
struct Head<'a, S> {
    last_applied: Option<LogId>,
    membership: &'a Membership,
    trimmed: Cursor,
    state: &'a S,
}

/// The one snapshot of a node.
#[derive(Debug)]
pub(crate) struct SnapshotFile {
    folder: PathBuf,
    /// What the file holds; none if there is no file.
    meta: Mutex<Option<SnapshotMetaOf<TypeConfig>>>,
    /// A snapshot that is being written keeps the folder.
    _lock: FolderLock,
}

/// Takes a snapshot of what is applied now.
#[derive(Debug)]
pub(crate) struct SnapshotBuilder {
    pub(crate) applied: Arc<Applied>,
    pub(crate) snapshots: Arc<dyn Snapshots>,
}

/// A snapshot as openraft has it.
pub(crate) type Snapshot = SnapshotOf<TypeConfig, SnapshotBytes>;

/// Where a node keeps its one snapshot. After a crash it is the last that was kept, whole.
#[async_trait]
pub(crate) trait Snapshots: Debug + Send + Sync + 'static {
    /// Takes one of what is applied now, and keeps it.
    async fn take(&self, applied: Arc<Applied>) -> io::Result<Snapshot>;

    /// Keeps one that came from a peer; answers what it holds.
    async fn install(&self, bytes: SnapshotBytes) -> io::Result<Inner>;

    /// The one that is kept.
    async fn current(&self) -> io::Result<Option<Snapshot>>;
}

impl SnapshotFile {
    /// Opens the snapshot in `folder`, if there is one, and answers what it holds.
    ///
    /// # Errors
    /// `InvalidData` if it is not whole.
    pub(crate) fn open(folder: PathBuf, lock: FolderLock) -> io::Result<(Self, Inner)> {
        let inner = match std::fs::read(folder.join(FILE)) {
            Ok(bytes) => Some(decode(&bytes)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let file = Self {
            folder,
            meta: Mutex::new(inner.as_ref().map(meta)),
            _lock: lock,
        };
        Ok((file, inner.unwrap_or_default()))
    }

    /// Whether there is no snapshot yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.shown().is_none()
    }

    /// The file, for a peer.
    fn read(&self) -> io::Result<Option<Snapshot>> {
        let shown = self.shown();
        let Some(meta) = shown.clone() else {
            return Ok(None);
        };
        let snapshot = std::fs::read(self.folder.join(FILE))?;
        Ok(Some(openraft::Snapshot { meta, snapshot }))
    }

    /// Replaces the file with bytes that came from a peer.
    fn replace_by(&self, bytes: &[u8]) -> io::Result<Inner> {
        let inner = decode(bytes)?;
        self.replace(bytes, meta(&inner))?;
        Ok(inner)
    }

    /// Replaces the file with one of `inner`.
    pub(crate) fn write(&self, inner: &Inner) -> io::Result<()> {
        let record = head(&Head {
            last_applied: inner.last_applied,
            membership: &inner.membership,
            trimmed: inner.trimmed,
            state: &inner.state,
        });
        let record = record.and_then(|record| finish(record, &inner.events));
        self.replace(&record.map_err(io::Error::other)?, meta(inner))
    }

    /// Held while the file is read or replaced, so that it is the one that `meta` tells of.
    fn shown(&self) -> MutexGuard<'_, Option<SnapshotMetaOf<TypeConfig>>> {
        self.meta.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes beside, syncs, renames, syncs the folder: the file is whole or the old one.
    fn replace(&self, bytes: &[u8], meta: SnapshotMetaOf<TypeConfig>) -> io::Result<()> {
        let mut shown = self.shown();
        let unfinished = self.folder.join(UNFINISHED);
        let mut file = File::create(&unfinished)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&unfinished, self.folder.join(FILE))?;
        *shown = Some(meta);
        sync_folder(&self.folder)
    }
}

pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

pub(crate) fn decode(bytes: &[u8]) -> io::Result<Inner> {
    let stored = record::decode_state::<Stored, Stored<StateBeforeEnded>>(bytes);
    let stored = stored.map_err(|error| {
        io::Error::new(io::ErrorKind::InvalidData, format!("snapshot: {error}"))
    })?;
    Ok(Inner {
        state: stored.state,
        events: stored.events,
        trimmed: stored.trimmed,
        last_applied: stored.last_applied,
        membership: stored.membership,
        writes: Writes::default(),
    })
}

pub(crate) fn meta(inner: &Inner) -> SnapshotMetaOf<TypeConfig> {
    openraft::SnapshotMeta {
        last_log_id: inner.last_applied,
        last_membership: inner.membership.clone(),
    }
}

#[async_trait]
impl Snapshots for Arc<SnapshotFile> {
    async fn take(&self, applied: Arc<Applied>) -> io::Result<Snapshot> {
        let file = self.clone();
        aside(move || {
            let (meta, bytes) = encode(&applied).map_err(io::Error::other)?;
            file.replace(&bytes, meta.clone())?;
            tracing::info!(bytes = bytes.len(), "snapshot.taken");
            Ok(Snapshot {
                meta,
                snapshot: bytes,
            })
        })
        .await
    }

    async fn install(&self, bytes: SnapshotBytes) -> io::Result<Inner> {
        let file = self.clone();
        aside(move || file.replace_by(&bytes)).await
    }

    async fn current(&self) -> io::Result<Option<Snapshot>> {
        let file = self.clone();
        aside(move || file.read()).await
    }
}

/// Does what blocks on the disk beside the runtime's own threads.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(io::Error::other)?
}

impl<C: Types> RaftSnapshotBuilder<C> for SnapshotBuilder {
    type SnapshotData = SnapshotBytes;

    async fn build_snapshot(&mut self) -> Result<SnapshotOf<C, SnapshotBytes>, io::Error> {
        self.snapshots.take(self.applied.clone()).await
    }
}

/// Commands wait only while the state is frozen, for as long as it takes to share it and the events;
/// encoding comes after that.
pub(crate) fn encode(
    applied: &Applied,
) -> Result<(SnapshotMetaOf<TypeConfig>, Vec<u8>), RecordError> {
    let (meta, trimmed, state, events) = {
        let inner = applied.read();
        let (state, events) = (inner.state.frozen(), inner.events.clone());
        (meta(&inner), inner.trimmed, state, events)
    };
    let record = head(&Head {
        last_applied: meta.last_log_id,
        membership: &meta.last_membership,
        trimmed,
        state: &state,
    })?;
    Ok((meta, finish(record, &events)?))
}

fn head<S: Serialize>(head: &Head<'_, S>) -> Result<RecordWriter, RecordError> {
    let mut record = RecordWriter::of_state();
    record.push(head)?;
    Ok(record)
}

fn finish(mut record: RecordWriter, events: &VecDeque<Arc<Event>>) -> Result<Vec<u8>, RecordError> {
    record.push(events)?;
    Ok(record.finish())
}
