//! Snapshots: the state, the events that the ledger does not have, and the digests of the blobs, in one
//! checksummed file.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
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
use leasehold_backend_api::Levels;
use leasehold_domain::Cursor;
use leasehold_domain::Digest;
use leasehold_domain::Event;
use leasehold_domain::FeatureLevel;
use leasehold_machine::FrozenState;
use leasehold_machine::State;
use leasehold_machine::StateBuilder;
use leasehold_stored::Formed;
use leasehold_stored::decode_next;
use leasehold_stored::snapshot::Head;
use leasehold_stored::snapshot::MemberLevel;
use leasehold_stored::snapshot::Piece;
use openraft::RaftSnapshotBuilder;
use openraft::alias::SnapshotMetaOf;
use openraft::alias::SnapshotOf;

use crate::entry::LogId;
use crate::entry::Membership;
use crate::entry::TypeConfig;
use crate::entry::Types;
use crate::folder::FolderLock;
use crate::form::Sent;
use crate::form::log_id;
use crate::outbox::Applied;
use crate::outbox::Inner;
use crate::record;
use crate::record::RecordError;
use crate::record::RecordWriter;

const FILE: &str = "snapshot";
const UNFINISHED: &str = "snapshot.unfinished";

/// A snapshot's bytes, as they are in the file and as they travel.
pub(crate) type SnapshotBytes = Vec<u8>;

/// Events of one piece.
const EVENTS_PER_PIECE: usize = 64;
/// Digests of one piece.
const BLOBS_PER_PIECE: usize = 1_024;

/// The one snapshot of a node.
#[derive(Debug)]
pub(crate) struct SnapshotFile {
    folder: PathBuf,
    /// What the file holds; none if there is no file.
    meta: Mutex<Option<SnapshotMetaOf<TypeConfig>>>,
    levels: Levels,
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
    /// As [`decode`], or the file cannot be read.
    pub(crate) fn open(
        folder: PathBuf,
        lock: FolderLock,
        levels: Levels,
    ) -> io::Result<(Self, Inner)> {
        let inner = match std::fs::read(folder.join(FILE)) {
            Ok(bytes) => Some(decode(&bytes, levels)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let file = Self {
            folder,
            meta: Mutex::new(inner.as_ref().map(meta)),
            levels,
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
        let inner = decode(bytes, self.levels)?;
        self.replace(bytes, meta(&inner))?;
        Ok(inner)
    }

    /// Replaces the file with one of `inner`.
    pub(crate) fn write(&self, inner: &Inner) -> io::Result<()> {
        let frozen = Frozen::of(inner);
        self.replace(&frozen.encode(), frozen.meta)
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

/// What a snapshot holds.
///
/// # Errors
/// `InvalidData` if it is not whole, `Unsupported` if it is of a level that is not known.
pub(crate) fn decode(bytes: &[u8], levels: Levels) -> io::Result<Inner> {
    read(bytes, levels).map_err(|error| {
        let error = io::Error::from(error);
        io::Error::new(error.kind(), format!("snapshot: {error}"))
    })
}

/// Checks that the build supports the level of a snapshot that a peer has sent, before any of it is
/// stored; returns the bytes.
///
/// # Errors
/// As [`decode`].
pub(crate) async fn admit(bytes: SnapshotBytes, levels: Levels) -> io::Result<SnapshotBytes> {
    aside(move || {
        let admitted = admit_level(&bytes, levels);
        admitted.map_err(|error| {
            let error = io::Error::from(error);
            io::Error::new(error.kind(), format!("the snapshot of a peer: {error}"))
        })?;
        Ok(bytes)
    })
    .await
}

fn admit_level(bytes: &[u8], levels: Levels) -> Result<(), RecordError> {
    let mut pieces = record::checked(bytes)?;
    while let Some(piece) = decode_next::<Piece<'_>>(&mut pieces)? {
        if let Some(head) = piece.state.and_then(|state| state.head) {
            levels.admit(FeatureLevel::restore(head.level)?)?;
            return Ok(());
        }
    }
    Ok(())
}

fn read(bytes: &[u8], levels: Levels) -> Result<Inner, RecordError> {
    let mut pieces = record::checked(bytes)?;
    let (mut inner, mut state) = (Inner::default(), StateBuilder::default());
    let mut blobs = BTreeSet::new();
    while let Some(piece) = decode_next::<Piece<'_>>(&mut pieces)? {
        if let Some(head) = piece.head {
            inner.last_applied = head.last_applied.map(log_id);
            inner.membership = Membership::restore(head.membership)?;
            inner.trimmed = Cursor(head.trimmed);
            for reported in head.supported_levels {
                inner
                    .supported_levels
                    .insert(reported.node, Formed::restore(reported.level)?);
            }
        }
        if let Some(piece) = piece.state {
            // Checked first: later parts may be of forms that this build cannot decode.
            if let Some(head) = &piece.head {
                levels.admit(FeatureLevel::restore(head.level)?)?;
            }
            state.add(piece)?;
        }
        let events: Vec<Event> = Vec::restore(piece.events)?;
        inner.events.extend(events.into_iter().map(Arc::new));
        blobs.extend(piece.blobs.into_iter().map(Digest));
    }
    inner.blobs = Arc::new(blobs);
    inner.state = state.build()?;
    Ok(inner)
}

/// A state alone, as a backup has it.
pub(crate) fn encode_state(state: &State) -> Vec<u8> {
    let mut record = RecordWriter::default();
    push_state(&mut record, &state.frozen());
    record.finish()
}

/// The state of [`encode_state`].
pub(crate) fn decode_state(bytes: &[u8], levels: Levels) -> Result<State, RecordError> {
    read(bytes, levels).map(|inner| inner.state)
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
            let (meta, bytes) = encode(&applied);
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

/// Runs blocking disk work on a thread for blocking work.
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
pub(crate) fn encode(applied: &Applied) -> (SnapshotMetaOf<TypeConfig>, Vec<u8>) {
    let frozen = Frozen::of(&applied.read());
    let bytes = frozen.encode();
    (frozen.meta, bytes)
}

/// What a snapshot is made of.
struct Frozen {
    meta: SnapshotMetaOf<TypeConfig>,
    trimmed: Cursor,
    supported_levels: BTreeMap<u64, FeatureLevel>,
    state: FrozenState,
    events: VecDeque<Arc<Event>>,
    blobs: Arc<BTreeSet<Digest>>,
}

impl Frozen {
    fn of(inner: &Inner) -> Self {
        Self {
            meta: meta(inner),
            trimmed: inner.trimmed,
            supported_levels: inner.supported_levels.clone(),
            state: inner.state.frozen(),
            events: inner.events.clone(),
            blobs: inner.blobs.clone(),
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut record = RecordWriter::default();
        let supported_levels = self.supported_levels.iter();
        let supported_levels = supported_levels.map(|(node, level)| MemberLevel {
            node: *node,
            level: level.form(),
        });
        record.push(&Piece {
            head: Some(Head {
                last_applied: self.meta.last_log_id.as_ref().map(LogId::form),
                membership: self.meta.last_membership.form(),
                trimmed: self.trimmed.0,
                supported_levels: supported_levels.collect(),
            }),
            ..Piece::default()
        });
        push_state(&mut record, &self.state);
        let mut events = self.events.iter().peekable();
        while events.peek().is_some() {
            let some = events.by_ref().take(EVENTS_PER_PIECE);
            record.push(&Piece {
                events: some.map(|event| event.as_ref().form()).collect(),
                ..Piece::default()
            });
        }
        let mut blobs = self.blobs.iter().peekable();
        while blobs.peek().is_some() {
            let some = blobs.by_ref().take(BLOBS_PER_PIECE);
            record.push(&Piece {
                blobs: some.map(|digest| digest.0).collect(),
                ..Piece::default()
            });
        }
        record.finish()
    }
}

fn push_state(record: &mut RecordWriter, state: &FrozenState) {
    state.pieces(|state| {
        record.push(&Piece {
            state: Some(state),
            ..Piece::default()
        });
    });
}
