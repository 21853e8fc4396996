//! openraft's network, on the peers' links.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use openraft::BasicNode;
use openraft::RaftNetworkFactory;
use openraft::RaftNetworkV2;
use openraft::alias::SnapshotOf;
use openraft::errors::NetworkError;
use openraft::errors::RPCError;
use openraft::errors::ReplicationClosed;
use openraft::errors::StreamingError;
use openraft::errors::Unreachable;
use openraft::network::RPCOption;
use openraft::raft::AppendEntriesRequest;
use openraft::raft::AppendEntriesResponse;
use openraft::raft::SnapshotResponse;
use openraft::raft::TransferLeaderRequest;
use openraft::raft::TransferLeaderResponse;
use openraft::raft::VoteRequest;
use openraft::raft::VoteResponse;

use crate::entry::Entry;
use crate::entry::LogId;
use crate::entry::TypeConfig;
use crate::entry::Vote;
use crate::form::Sent;
use crate::peer::CallError;
use crate::peer::Chunk;
use crate::peer::Peers;
use crate::peer::Request;
use crate::peer::Response;
use crate::peer::settled;
use crate::snapshot::SnapshotBytes;

/// Entries of one append, in bytes, about; the first one always goes.
const APPEND_BYTES_MAX: usize = 4 * 1_024 * 1_024;
/// An append waits for the follower's disk. Openraft's own limit (one heartbeat) is for a reply
/// that needs no disk; giving up so early would send the same entries again and again.
const APPEND_WITHIN: Duration = Duration::from_secs(2);
/// Bytes of one piece of a snapshot: heartbeats go between two pieces.
const CHUNK_BYTES: usize = 1_024 * 1_024;
/// For one piece.
const CHUNK_WITHIN: Duration = Duration::from_secs(10);
/// For the last piece, after which the snapshot is checked, written and synced.
const INSTALL_WITHIN: Duration = Duration::from_secs(120);

/// Makes channels to peers. A group of one has none.
#[derive(Debug)]
pub(crate) struct Network(pub(crate) Option<Arc<Peers>>);

/// The channel to one peer.
#[derive(Debug)]
pub(crate) struct Channel {
    peers: Option<Arc<Peers>>,
    node: u64,
    address: String,
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Channel;

    async fn new_client(&mut self, node: u64, at: &BasicNode) -> Channel {
        Channel {
            peers: self.0.clone(),
            node,
            address: at.addr.clone(),
        }
    }
}

type Failure = RPCError<TypeConfig>;

impl Channel {
    async fn call(&self, request: &Request, within: Duration) -> Result<Response, Failure> {
        let Some(peers) = &self.peers else {
            let alone = "this node has no peers' listener";
            return Err(RPCError::Unreachable(Unreachable::from_string(alone)));
        };
        let called = peers.call(Some(self.node), &self.address, request, within);
        called.await.map_err(|error| match error {
            CallError::Unsent(_) => RPCError::Unreachable(Unreachable::new(&error)),
            CallError::Lost(_) => RPCError::Network(NetworkError::new(&error)),
        })
    }
}

impl Channel {
    /// The peer has acknowledged an entry, or a vote.
    fn remember(&self, term: u64, last: Option<LogId>) {
        if let Some(peers) = &self.peers {
            peers.memory().note(self.node, term, last);
        }
    }

    /// Whether the peer has acknowledged what it now says that it does not have.
    fn contradicts(&self, term: u64, entry: Option<LogId>) -> bool {
        let peers = self.peers.as_ref();
        peers.is_some_and(|peers| peers.memory().contradicts(self.node, term, entry))
    }

    /// Waits until this node knows that it may ask for votes.
    async fn may_take_part(&self) -> Result<(), Failure> {
        let Some(peers) = &self.peers else {
            return Ok(());
        };
        let settled = settled(peers.standing()).await;
        settled.map_err(|problem| RPCError::Unreachable(Unreachable::from_string(problem)))
    }
}

fn unexpected(response: Response) -> Failure {
    let detail = match response {
        Response::Failed(detail) => detail,
        other => format!("an answer to something else: {other:?}"),
    };
    RPCError::Unreachable(Unreachable::from_string(detail))
}

/// How many of the entries one append takes.
fn first_part(entries: &[Entry]) -> usize {
    let mut bytes = 0;
    let fit = entries.iter().take_while(|entry| {
        bytes += leasehold_stored::size(&entry.form());
        bytes <= APPEND_BYTES_MAX
    });
    fit.count().max(1).min(entries.len())
}

impl RaftNetworkV2<TypeConfig> for Channel {
    type SnapshotData = SnapshotBytes;

    async fn append_entries(
        &mut self,
        mut append: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, Failure> {
        let all = append.entries.len();
        if all > 1 {
            append.entries.truncate(first_part(&append.entries));
        }
        let part =
            (append.entries.len() < all).then(|| append.entries.last().map(|entry| entry.log_id));
        let within = option.soft_ttl().max(APPEND_WITHIN);
        let (term, before) = (append.vote.leader_id.term, append.prev_log_id);
        let last = append.entries.last().map(|entry| entry.log_id).or(before);
        match self.call(&Request::Append(append), within).await? {
            Response::Append(AppendEntriesResponse::Success) => {
                self.remember(term, last);
                Ok(match part {
                    Some(last) => AppendEntriesResponse::PartialSuccess(last),
                    None => AppendEntriesResponse::Success,
                })
            }
            Response::Append(AppendEntriesResponse::PartialSuccess(last)) => {
                self.remember(term, last);
                Ok(AppendEntriesResponse::PartialSuccess(last))
            }
            // Openraft takes it for granted that this cannot be.
            Response::Append(AppendEntriesResponse::Conflict) if self.contradicts(term, before) => {
                let problem = format!(
                    "member {} has lost entries that it had acknowledged: replace it",
                    self.node
                );
                Err(RPCError::Unreachable(Unreachable::from_string(problem)))
            }
            Response::Append(response) => Ok(response),
            other => Err(unexpected(other)),
        }
    }

    async fn vote(
        &mut self,
        vote: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, Failure> {
        self.may_take_part().await?;
        let term = vote.vote.leader_id.term;
        match self.call(&Request::Vote(vote), option.soft_ttl()).await? {
            Response::Vote(response) => {
                if response.vote_granted {
                    self.remember(term, None);
                }
                Ok(response)
            }
            other => Err(unexpected(other)),
        }
    }

    async fn pre_vote(
        &mut self,
        vote: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, Failure> {
        self.may_take_part().await?;
        match self
            .call(&Request::PreVote(vote), option.soft_ttl())
            .await?
        {
            Response::Vote(response) => Ok(response),
            other => Err(unexpected(other)),
        }
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: SnapshotOf<TypeConfig, SnapshotBytes>,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        tokio::select! {
            closed = cancel => Err(StreamingError::Closed(closed)),
            sent = self.send_snapshot(vote, snapshot) => sent.map_err(|error| match error {
                RPCError::Timeout(error) => StreamingError::Timeout(error),
                RPCError::Unreachable(error) => StreamingError::Unreachable(error),
                RPCError::Network(error) => StreamingError::Network(error),
            }),
        }
    }

    async fn transfer_leader(
        &mut self,
        transfer: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, Failure> {
        // The follower may have to sync its log first.
        let within = option.soft_ttl().max(APPEND_WITHIN);
        match self.call(&Request::Transfer(transfer), within).await? {
            Response::Transfer(None) => Ok(Ok(())),
            Response::Transfer(Some(reason)) => {
                Err(RPCError::Unreachable(Unreachable::from_string(reason)))
            }
            other => Err(unexpected(other)),
        }
    }
}

impl Channel {
    async fn send_snapshot(
        &self,
        vote: Vote,
        snapshot: SnapshotOf<TypeConfig, SnapshotBytes>,
    ) -> Result<SnapshotResponse<TypeConfig>, Failure> {
        let bytes = snapshot.snapshot;
        let mut offset = 0;
        loop {
            let to = bytes.len().min(offset + CHUNK_BYTES);
            let chunk = Chunk {
                vote,
                meta: snapshot.meta.clone(),
                total: bytes.len() as u64,
                offset: offset as u64,
                bytes: bytes[offset..to].to_vec(),
            };
            let within = match to == bytes.len() {
                true => INSTALL_WITHIN,
                false => CHUNK_WITHIN,
            };
            match self.call(&Request::Snapshot(chunk), within).await? {
                Response::Snapshot(None) if to < bytes.len() => offset = to,
                Response::Snapshot(Some(response)) => return Ok(response),
                other => return Err(unexpected(other)),
            }
        }
    }
}
