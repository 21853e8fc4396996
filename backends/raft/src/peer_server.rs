//! Answers the requests of peers.

mod connection;
mod listener;

use std::io;
use std::sync::Arc;

use leasehold_backend_api::Poison;
use leasehold_domain::FeatureLevel;
use openraft::Raft;
use openraft::Snapshot;
use openraft::async_runtime::WatchReceiver;
use openraft::raft::AppendEntriesRequest;
use tokio::sync::Mutex;
use tokio::sync::RwLock;
use tokio::sync::watch;

pub(crate) use self::listener::Listener;
use crate::archive::Archive;
use crate::batcher::Queue;
use crate::blobs::Blobs;
use crate::entry::Item;
use crate::entry::TypeConfig;
use crate::group::Steward;
use crate::identity::GroupId;
use crate::level;
use crate::log::Keeping;
use crate::machine::Machine;
use crate::peer::Chunk;
use crate::peer::Peers;
use crate::peer::Request;
use crate::peer::Response;
use crate::peer::settled;
use crate::reads::Reads;
use crate::snapshot;

/// The largest snapshot that is taken from a peer.
const SNAPSHOT_BYTES_MAX: u64 = 8 * 1_024 * 1_024 * 1_024;

/// What answers peers.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) raft: Raft<TypeConfig, Machine>,
    pub(crate) queue: Queue,
    pub(crate) reads: Arc<Reads<TypeConfig>>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) steward: Arc<Steward>,
    pub(crate) archive: Archive,
    pub(crate) blobs: Arc<Blobs>,
    /// Where the group's name is kept.
    pub(crate) keeping: Keeping,
    /// Held by each follower's batch that is under way.
    pub(crate) guests: Arc<RwLock<()>>,
    pub(crate) poison: Poison,
    /// Whether the node takes nothing any more.
    pub(crate) closing: watch::Receiver<bool>,
}

/// A snapshot as far as it has come. One connection, one leader, one snapshot at a time.
type Coming = Arc<Mutex<Vec<u8>>>;

/// Whether a request is answered only by a node that may take part in its group.
fn takes_part(request: &Request) -> bool {
    match request {
        Request::Append(_)
        | Request::Vote(_)
        | Request::PreVote(_)
        | Request::Snapshot(_)
        | Request::Transfer(_)
        // Counts for a majority.
        | Request::KeepBlob(_) => true,
        // These need a leader, or show what is certain.
        Request::Forward(_)
        | Request::ReadIndex
        | Request::Adopt { .. }
        | Request::Ledger(_)
        | Request::Steer(_)
        | Request::SupportedLevel
        | Request::ReadBlob { .. }
        | Request::MissingBlobs
        | Request::Recall => false,
    }
}

impl Host {
    async fn carry_out(
        &self,
        request: Request,
        (group, from): (GroupId, u64),
        coming: &Coming,
    ) -> Response {
        if let Request::Adopt {
            group: asked,
            level,
        } = request
        {
            return self.adopt(group, asked, level).await;
        }
        // A node that waits for its group takes part in nothing; in another one it never does.
        if self.peers.identity().group() != Some(group) {
            return Response::Failed("this node belongs to no group yet".to_owned());
        }
        let failed = |error: &dyn std::fmt::Display| Response::Failed(error.to_string());
        if takes_part(&request)
            && let Err(problem) = settled(self.peers.standing()).await
        {
            return Response::Failed(problem);
        }
        match request {
            Request::SupportedLevel => Response::SupportedLevel(self.steward.levels.max),
            Request::Recall => Response::Recalled(self.peers.memory().of(from)),
            Request::Append(append) => self.append(append).await,
            Request::Vote(vote) => match self.raft.vote(vote).await {
                Ok(response) => Response::Vote(response),
                Err(error) => failed(&error),
            },
            Request::PreVote(vote) => match self.raft.pre_vote(vote).await {
                Ok(response) => Response::Vote(response),
                Err(error) => failed(&error),
            },
            Request::Transfer(transfer) => match self.raft.handle_transfer_leader(transfer).await {
                Ok(taken) => Response::Transfer(taken.err().map(|error| error.to_string())),
                Err(error) => failed(&error),
            },
            Request::Snapshot(chunk) => match self.take(chunk, coming).await {
                Ok(response) => Response::Snapshot(response),
                Err(error) => failed(&error),
            },
            Request::Forward(_) | Request::ReadIndex | Request::Steer(_)
                if !self.is_member(from) =>
            {
                Response::NotLeader
            }
            Request::Forward(items) => self.propose(items).await,
            Request::ReadIndex => match self.reads.lead().await {
                Some((index, now)) => Response::ReadIndex { index, now },
                None => Response::NotLeader,
            },
            Request::KeepBlob(_) | Request::ReadBlob { .. } | Request::MissingBlobs => {
                self.blobs.answer(request, from).await
            }
            Request::Ledger(after) => match self.archive.rows(after).await {
                Ok(rows) => Response::Ledger(rows.into_iter().map(Into::into).collect()),
                Err(error) => failed(&error),
            },
            Request::Steer(asked) => match self.reads.lead().await {
                Some(_) => {
                    let steered = self.steward.steer(Some(&self.peers), asked).await;
                    Response::Steered(steered.map_err(Into::into))
                }
                None => Response::NotLeader,
            },
            Request::Adopt { .. } => failed(&"asked twice"),
        }
    }

    /// Takes entries. At one that its build cannot apply the node stops: it can never take part again.
    async fn append(&self, append: AppendEntriesRequest<TypeConfig>) -> Response {
        let levels = self.steward.levels;
        let mut entries = append.entries.iter();
        if let Err(unknown) = entries.try_for_each(|entry| level::admit_entry(levels, entry)) {
            self.poison.set(&unknown.to_string());
            return Response::Failed(unknown.to_string());
        }
        match self.raft.append_entries(append).await {
            Ok(response) => Response::Append(response),
            Err(error) => Response::Failed(error.to_string()),
        }
    }

    /// Proposes what a follower has sent.
    async fn propose(&self, items: Vec<Item>) -> Response {
        // Taken before the look: closing waits for those that are in.
        let _guest = self.guests.read().await;
        if *self.closing.borrow() {
            return Response::NotLeader;
        }
        let applied = &self.reads.seats.applied;
        let answers = self.queue.propose_forwarded(items, applied).await;
        let index = applied.index();
        Response::Forwarded { answers, index }
    }

    /// Whether the group, as this node knows it, has that member. One that has left is no longer
    /// served.
    fn is_member(&self, node: u64) -> bool {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        metrics
            .membership_config
            .membership()
            .get_node(&node)
            .is_some()
    }

    /// Takes this node into a group: for ever, so it is stored first.
    async fn adopt(&self, theirs: GroupId, group: GroupId, level: FeatureLevel) -> Response {
        if group != theirs {
            let detail = "a node can only take another into its own group";
            return Response::Failed(detail.to_owned());
        }
        let identity = self.peers.identity();
        if let Err(unknown) = self.steward.levels.admit(level) {
            return Response::Failed(unknown.to_string());
        }
        match identity.group() {
            Some(known) if known == group => Response::Adopted(identity.node()),
            Some(known) => Response::Failed(format!("this node belongs to group {known}")),
            None => match self.keeping.keep_group(group).await {
                Ok(()) => {
                    identity.belong(group);
                    tracing::info!(%group, "cluster.taken in");
                    Response::Adopted(identity.node())
                }
                Err(error) => Response::Failed(error.to_string()),
            },
        }
    }

    /// Takes a piece of a snapshot; the last one installs it. At one of a level that its build does not
    /// support the node stops, as it does at such an entry, and keeps what it has.
    async fn take(
        &self,
        chunk: Chunk,
        coming: &Coming,
    ) -> io::Result<Option<openraft::raft::SnapshotResponse<TypeConfig>>> {
        let mut so_far = coming.lock().await;
        if chunk.offset == 0 {
            so_far.clear();
        }
        let here = so_far.len() as u64;
        let after = here.saturating_add(chunk.bytes.len() as u64);
        if chunk.offset != here || after > chunk.total || chunk.total > SNAPSHOT_BYTES_MAX {
            so_far.clear();
            return Err(io::Error::other(
                "the snapshot's pieces do not fit together",
            ));
        }
        so_far.extend_from_slice(&chunk.bytes);
        if after < chunk.total {
            return Ok(None);
        }
        let bytes = std::mem::take(&mut *so_far);
        drop(so_far);
        let admitted = snapshot::admit(bytes, self.steward.levels).await;
        let bytes = admitted.inspect_err(|error| {
            if error.kind() == io::ErrorKind::Unsupported {
                self.poison.set(&error.to_string());
            }
        })?;
        let snapshot = Snapshot {
            meta: chunk.meta,
            snapshot: bytes,
        };
        let installed = self.raft.install_full_snapshot(chunk.vote, snapshot).await;
        installed.map(Some).map_err(io::Error::other)
    }
}
