//! Snapshots: the state and the events that the ledger does not have, in one checksummed file.

use std::fs::File;
use std::io;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use leasehold_domain::Cursor;
use leasehold_domain::Event;
use leasehold_machine::State;
use openraft::RaftSnapshotBuilder;
use openraft::alias::SnapshotMetaOf;
use openraft::alias::SnapshotOf;
use serde::Deserialize;
use serde::Serialize;

use crate::entry::LogId;
use crate::entry::Membership;
use crate::entry::TypeConfig;
use crate::outbox::Applied;
use crate::outbox::Inner;
use crate::record;

const FILE: &str = "snapshot";
const UNFINISHED: &str = "snapshot.unfinished";

/// A snapshot's bytes, as they are in the file and as they travel.
pub(crate) type SnapshotBytes = Vec<u8>;

/// What is in the file.
#[derive(Serialize, Deserialize)]
struct Stored {
    last_applied: Option<LogId>,
    membership: Membership,
    trimmed: Cursor,
    events: Vec<Arc<Event>>,
    state: State,
}

/// The one snapshot of a node.
#[derive(Debug)]
pub(crate) struct SnapshotFile {
    folder: PathBuf,
}

/// Takes a snapshot of what is applied now.
#[derive(Debug)]
pub(crate) struct SnapshotBuilder {
    pub(crate) applied: Arc<Applied>,
    pub(crate) file: Arc<SnapshotFile>,
}

impl SnapshotFile {
    /// The snapshot in `folder`, whether there is one or not.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// What the file holds; none if there is none.
    pub(crate) fn load(&self) -> io::Result<Option<Inner>> {
        match std::fs::read(self.folder.join(FILE)) {
            Ok(bytes) => decode(&bytes).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The file, for a peer.
    pub(crate) fn current(&self) -> io::Result<Option<SnapshotOf<TypeConfig, SnapshotBytes>>> {
        let Some(inner) = self.load()? else {
            return Ok(None);
        };
        let snapshot = std::fs::read(self.folder.join(FILE))?;
        Ok(Some(openraft::Snapshot {
            meta: meta(&inner),
            snapshot,
        }))
    }

    /// Replaces the file with bytes that came from a peer.
    pub(crate) fn install(&self, bytes: &[u8]) -> io::Result<Inner> {
        let inner = decode(bytes)?;
        self.replace(bytes)?;
        Ok(inner)
    }

    /// Writes beside, syncs, renames, syncs the folder: the file is whole or the old one.
    fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        let unfinished = self.folder.join(UNFINISHED);
        let mut file = File::create(&unfinished)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&unfinished, self.folder.join(FILE))?;
        sync_folder(&self.folder)
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn decode(bytes: &[u8]) -> io::Result<Inner> {
    let stored: Stored = record::decode(bytes).map_err(|error| {
        io::Error::new(io::ErrorKind::InvalidData, format!("snapshot: {error}"))
    })?;
    Ok(Inner {
        state: stored.state,
        events: stored.events.into(),
        trimmed: stored.trimmed,
        last_applied: stored.last_applied,
        membership: stored.membership,
        commands: 0,
        entries: 0,
    })
}

fn meta(inner: &Inner) -> SnapshotMetaOf<TypeConfig> {
    openraft::SnapshotMeta {
        last_log_id: inner.last_applied,
        last_membership: inner.membership.clone(),
    }
}

impl RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder {
    type SnapshotData = SnapshotBytes;

    async fn build_snapshot(&mut self) -> Result<SnapshotOf<TypeConfig, SnapshotBytes>, io::Error> {
        // The clone holds up commands for as long as copying memory takes; encoding and writing
        // happen beside them.
        let (applied, file) = (self.applied.clone(), self.file.clone());
        let build = move || {
            let inner = applied.read().clone();
            let meta = meta(&inner);
            let stored = Stored {
                last_applied: inner.last_applied,
                membership: inner.membership,
                trimmed: inner.trimmed,
                events: inner.events.into(),
                state: inner.state,
            };
            let bytes = record::encode(&stored).map_err(io::Error::other)?;
            file.replace(&bytes)?;
            Ok(openraft::Snapshot {
                meta,
                snapshot: bytes,
            })
        };
        tokio::task::spawn_blocking(build)
            .await
            .map_err(io::Error::other)?
    }
}
