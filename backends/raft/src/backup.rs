//! A picture of the store, for a backup: of a running node, or of a stopped node's folder.

use std::io;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use leasehold_backend_api::BackendError;
use leasehold_backend_api::Backup;
use leasehold_backend_api::BlobSource;
use leasehold_backend_api::ErrorKind;
use leasehold_backend_api::Picture;
use leasehold_backend_api::StoreHistory;
use leasehold_domain::Digest;
use leasehold_domain::Event;
use openraft::EntryPayload;
use openraft::storage::RaftLogReader;
use openraft::storage::RaftLogStorage;

use crate::OpenError;
use crate::RaftBackend;
use crate::RaftConfig;
use crate::blobs::BlobFiles;
use crate::open::Stored;
use crate::outbox::Inner;
use crate::snapshot;

impl Inner {
    fn picture(&self) -> Picture {
        Picture {
            newest: self.state.newest(),
            revision: self.last_applied.map_or(0, |id| id.index),
            state: snapshot::encode_state(&self.state),
            blobs: self.blobs.iter().copied().collect(),
        }
    }
}

#[async_trait]
impl Backup for RaftBackend {
    async fn picture(&self) -> Result<Picture, BackendError> {
        self.linearize().await?;
        let applied = self.applied.clone();
        // Commands wait while the state is encoded, as they do for a snapshot.
        let taken = tokio::task::spawn_blocking(move || applied.read().picture()).await;
        let picture = taken.map_err(|error| {
            BackendError::without_effect(ErrorKind::Corrupt, format!("picture: {error}"))
        })?;
        // What this member does not have it must get before the backup begins.
        for digest in self.blobs.missing_of(&picture.blobs) {
            self.blob(&digest).await?;
        }
        Ok(picture)
    }
}

#[async_trait]
impl BlobSource for RaftBackend {
    async fn blob(&self, digest: &Digest) -> Result<Option<Arc<[u8]>>, BackendError> {
        or_lost(digest, self.blobs.get(*digest).await)
    }
}

/// Goes without a blob that no member has.
fn or_lost(
    digest: &Digest,
    read: Result<Arc<[u8]>, BackendError>,
) -> Result<Option<Arc<[u8]>>, BackendError> {
    match read {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind == ErrorKind::Corrupt => {
            tracing::error!(%digest, %error, "backup.blob is lost; the backup goes without it");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The blobs in a stopped node's folder.
#[derive(Debug)]
pub struct StoppedBlobs {
    files: BlobFiles,
    /// Whether other members may have what this one has not.
    has_others: bool,
}

impl StoppedBlobs {
    /// Gives the directory of a store that is to be made those of the blobs `digests` that are here.
    /// Blocks.
    ///
    /// # Errors
    /// They cannot be read or written.
    pub fn link_into(&self, data_dir: &Path, digests: &[Digest]) -> io::Result<()> {
        self.files.link_into(data_dir, digests)
    }
}

#[async_trait]
impl BlobSource for StoppedBlobs {
    async fn blob(&self, digest: &Digest) -> Result<Option<Arc<[u8]>>, BackendError> {
        let failed = |detail: String| BackendError::without_effect(ErrorKind::Unavailable, detail);
        // The node is stopped, so blocking this thread delays no request.
        let read = self.files.read(digest);
        let path = self.files.path(digest);
        match read.map_err(|error| failed(format!("{}: {error}", path.display())))? {
            Some(bytes) => Ok(Some(bytes.into())),
            None if self.has_others => Err(failed(format!(
                "{} is missing or damaged; another member may have it: take the backup there, or \
                 from a gateway that runs",
                path.display()
            ))),
            None => {
                let path = path.display();
                tracing::error!(%path, "backup.blob is lost; the backup goes without it");
                Ok(None)
            }
        }
    }
}

/// What a stopped node's folder holds.
#[derive(Debug)]
pub struct StoppedStore {
    /// Where it stands in its history; `None` for a node that waits for its group.
    pub history: Option<StoreHistory>,
    /// The store as this node has it: the log's end is in it, whether or not it was answered.
    pub picture: Picture,
    /// The blobs of the picture, as far as this node has them; `None` for a store that has nothing.
    pub blobs: Option<Arc<StoppedBlobs>>,
    /// Events that the node's ledger may not have yet, oldest first.
    pub events: Vec<Arc<Event>>,
    /// How many voted in its group. If there were others, they may have more than this node has.
    pub voters: usize,
}

impl StoppedStore {
    /// Returns a store that has nothing.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            history: None,
            picture: Inner::default().picture(),
            blobs: None,
            events: Vec::new(),
            voters: 1,
        }
    }

    /// Reads the folder of a node that does not run. Blocks, and keeps others out meanwhile.
    ///
    /// # Errors
    /// The folder is in use, foreign or corrupt, holds nothing, or cannot be read.
    pub fn read(config: &RaftConfig) -> Result<Self, OpenError> {
        if !config.data_dir.join("log").is_dir() {
            let detail = format!("{}: no node's folder", config.data_dir.display());
            return Err(io::Error::new(io::ErrorKind::NotFound, detail).into());
        }
        let mut stored = Stored::read(&RaftConfig {
            may_create: false,
            ..config.clone()
        })?;
        let mut inner = stored.applied.read().clone();
        let from = inner.last_applied.map_or(0, |id| id.index + 1);
        let entries = futures_util::FutureExt::now_or_never(async {
            let mut reader = stored.log.get_log_reader().await;
            reader.try_get_log_entries(from..).await
        });
        // The reader never waits: it reads memory and files.
        let entries = entries.ok_or_else(|| io::Error::other("the log is busy"))??;
        for entry in entries {
            inner.last_applied = Some(entry.log_id);
            match entry.payload {
                EntryPayload::Blank => {}
                EntryPayload::Normal(payload) => {
                    let index = entry.log_id.index;
                    let carried_out = inner.carry_out(index, &payload.0, config.levels);
                    carried_out.map_err(|unknown| OpenError::Level(unknown.to_string()))?;
                }
                EntryPayload::Membership(members) => {
                    inner.change_members(entry.log_id, members);
                }
            }
        }
        let ledger = stored.log.trimmed().get().ledger;
        let group = stored.log.identity().group();
        let picture = inner.picture();
        let history = group.map(|group| StoreHistory {
            id: group.store(),
            newest: picture.newest,
            trimmed: inner.trimmed,
            revision: picture.revision,
            ledger,
            begins_after: None,
        });
        let voters = inner.membership.voter_ids().count();
        let blobs = StoppedBlobs {
            files: stored.blobs.0,
            has_others: voters > 1,
        };
        Ok(Self {
            history,
            picture,
            blobs: Some(Arc::new(blobs)),
            voters,
            events: inner.events.into(),
        })
    }
}
