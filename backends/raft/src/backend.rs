//! `Backend` on a replicated log.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use leasehold_backend_api::Backend;
use leasehold_backend_api::BackendError;
use leasehold_backend_api::Batch;
use leasehold_backend_api::Cluster;
use leasehold_backend_api::ClusterView;
use leasehold_backend_api::ErrorKind;
use leasehold_backend_api::Freshness;
use leasehold_backend_api::Health;
use leasehold_backend_api::LedgerHead;
use leasehold_backend_api::Poison;
use leasehold_backend_api::Steering;
use leasehold_backend_api::StoreHistory;
use leasehold_domain::Cursor;
use leasehold_domain::Event;
use leasehold_domain::ListQuery;
use leasehold_domain::LockRef;
use leasehold_domain::LockView;
use leasehold_domain::Millis;
use leasehold_domain::NamespaceName;
use leasehold_domain::Outcome;
use leasehold_domain::Page;
use leasehold_domain::RequestId;
use leasehold_domain::Subject;
use leasehold_domain::TeamName;
use leasehold_domain::Usage;
use openraft::Raft;
use openraft::async_runtime::WatchReceiver;
use tokio::sync::RwLock;
use tokio::sync::watch;

use crate::archive::Archive;
use crate::batcher::Hurry;
use crate::batcher::Queue;
use crate::blobs::Blobs;
use crate::entry::Answer;
use crate::entry::Item;
use crate::entry::TypeConfig;
use crate::error;
use crate::folder::Released;
use crate::group;
use crate::group::STEER_WITHIN;
use crate::group::Steward;
use crate::identity::Identity;
use crate::machine::Machine;
use crate::outbox::Applied;
use crate::peer::CallError;
use crate::peer::Peers;
use crate::peer::Request;
use crate::peer::Response;
use crate::peer::settled;
use crate::reads::Reads;
use crate::seat::Seat;
use crate::seat::Seats;

/// How long closing waits for the last write of a snapshot.
const RELEASE_MAX: Duration = Duration::from_secs(30);

/// How long closing waits for requests under way. A node alone needs one sync of its disk.
const DRAIN_MAX: Duration = Duration::from_secs(10);
/// How long closing waits for another node to lead.
const HAND_OVER_MAX: Duration = Duration::from_secs(3);

/// A durable store of locks and documents: one node of a Raft group.
pub struct RaftBackend {
    pub(crate) raft: Raft<TypeConfig, Machine>,
    pub(crate) applied: Arc<Applied>,
    pub(crate) queue: Queue,
    pub(crate) seats: Arc<Seats<TypeConfig>>,
    pub(crate) reads: Arc<Reads<TypeConfig>>,
    pub(crate) peers: Option<Arc<Peers>>,
    pub(crate) steward: Arc<Steward>,
    pub(crate) archive: Archive,
    pub(crate) blobs: Arc<Blobs>,
    pub(crate) identity: Arc<Identity>,
    /// Where this node listens to its peers.
    pub(crate) peer_address: Option<SocketAddr>,
    pub(crate) poison: Poison,
    /// Held by each follower's batch that is under way.
    pub(crate) guests: Arc<RwLock<()>>,
    pub(crate) closing: watch::Sender<bool>,
    /// Whether peers are answered no more.
    pub(crate) ended: watch::Sender<bool>,
    /// Resolves when the peers' listener is closed; none for a group of one.
    pub(crate) unbound: Option<Released>,
    /// Resolves when all parts of the node have let go of its folder.
    pub(crate) released: Released,
}

impl fmt::Debug for RaftBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RaftBackend")
            .field("poison", &self.poison.reason())
            .finish_non_exhaustive()
    }
}

impl RaftBackend {
    /// Where this node listens to its peers; none for a group of one.
    #[must_use]
    pub fn peer_address(&self) -> Option<SocketAddr> {
        self.peer_address
    }

    /// Answers once the node takes part in its group: the group has a leader, and this node has
    /// applied all that was answered before. A node that waits to be taken in waits here.
    ///
    /// # Errors
    /// The store has closed, or was poisoned.
    pub async fn take_part(&self) -> Result<(), BackendError> {
        loop {
            match self.linearize().await {
                Ok(_) => return Ok(()),
                Err(error) if error.kind == ErrorKind::Closed => return Err(error),
                Err(error) => tracing::info!(%error, "cluster.waits for its group"),
            }
            self.poison.check()?;
        }
    }

    /// Resolves with the reason when the node finds that its folder is an older copy, so that it will
    /// never take part in its group. Otherwise it never resolves.
    pub async fn outdated(&self) -> String {
        if let Some(peers) = &self.peers
            && let Err(problem) = settled(peers.standing()).await
        {
            return problem;
        }
        std::future::pending().await
    }

    /// Cuts the node off from its peers as a broken network would, or heals the cut: for drills.
    pub fn set_isolated(&self, isolated: bool) {
        if let Some(peers) = &self.peers {
            peers.set_silent(isolated);
        }
    }

    /// Answers when all that was taken is answered.
    async fn drain(&self) {
        if self.seats.is_alone() {
            // Its commit also keeps up to where events were trimmed.
            let _ = self.queue.propose(Item::Tick, Hurry::Now).await;
        }
        self.queue.drain().await;
        drop(self.guests.write().await);
    }

    /// Lets another node lead before this one closes, so that nobody has to miss it.
    async fn hand_over(&self) {
        let leads = matches!(self.seats.find(), Seat::Leads(_));
        if leads
            && !self.seats.is_alone()
            && let Err(error) = self.steward.hand_over(None, HAND_OVER_MAX).await
        {
            tracing::warn!(%error, "raft.hand_over failed");
        }
    }

    /// Proposes one item, unless the store is closing or poisoned.
    pub(crate) async fn propose(&self, item: Item) -> Result<Answer, BackendError> {
        if *self.closing.borrow() || self.poison.is_set() {
            return Err(error::closed());
        }
        let hurry = Hurry::of(&item, &self.applied);
        self.queue.propose(item, hurry).await
    }

    /// Makes sure that this node has applied all that was answered before, and answers the
    /// leader's time.
    pub(crate) async fn linearize(&self) -> Result<Millis, BackendError> {
        if *self.closing.borrow() {
            return Err(error::closed());
        }
        self.reads.linearize().await
    }
}

#[async_trait]
impl Backend for RaftBackend {
    async fn execute(&self, batch: Batch) -> Result<Vec<Outcome>, BackendError> {
        let Batch {
            commands,
            atomicity,
            notes,
        } = batch;
        match self
            .propose(Item::Batch {
                commands,
                atomicity,
                notes,
            })
            .await?
        {
            Answer::Outcomes(outcomes) => Ok(outcomes),
            _ => Err(error::misfit()),
        }
    }

    async fn read(&self, lock: &LockRef, freshness: Freshness) -> Result<LockView, BackendError> {
        let (now, stale_ms) = match freshness {
            Freshness::Linearizable => (self.linearize().await?, 0),
            Freshness::Stale { max_age_ms } => self.reads.stale(max_age_ms).await?,
        };
        let view = self.applied.read().state.view(lock, now);
        Ok(LockView { stale_ms, ..view })
    }

    async fn list(&self, query: ListQuery) -> Result<Page<LockView>, BackendError> {
        let now = self.linearize().await?;
        Ok(self.applied.read().state.list(&query, now))
    }

    async fn usage(
        &self,
        namespace: &NamespaceName,
        subject: &Subject,
        team: Option<&TeamName>,
    ) -> Result<Usage, BackendError> {
        self.linearize().await?;
        Ok(self.applied.read().state.usage(namespace, subject, team))
    }

    async fn holds(
        &self,
        lock: &LockRef,
        subject: &Subject,
        request_id: &RequestId,
    ) -> Result<bool, BackendError> {
        self.linearize().await?;
        Ok(self.applied.read().state.holds(lock, subject, request_id))
    }

    fn events(&self, after: Cursor) -> BoxStream<'static, Result<Arc<Event>, BackendError>> {
        self.applied.events(after)
    }

    async fn trim(&self, up_to: LedgerHead) -> Result<(), BackendError> {
        self.applied.trim(up_to);
        Ok(())
    }

    async fn history(&self) -> Result<StoreHistory, BackendError> {
        self.linearize().await?;
        let group = self.identity.group().ok_or_else(|| {
            let detail = "this node does not belong to a group yet";
            BackendError::without_effect(ErrorKind::Unavailable, detail)
        })?;
        Ok(self.applied.history(group.store()))
    }

    async fn health(&self) -> Health {
        let closing = *self.closing.borrow();
        let seat = self.seats.find();
        let voters = self
            .raft
            .metrics()
            .borrow_watched()
            .membership_config
            .voter_ids()
            .count();
        let inner = self.applied.read();
        self.poison.health(Health {
            ready: !closing && seat != Seat::Empty,
            detail: match seat {
                _ if closing => "closing".to_owned(),
                Seat::Leads(_) if voters == 1 => "leads a group of one".to_owned(),
                Seat::Leads(_) => format!("leads a group of {voters}"),
                Seat::Follows { node, .. } => format!("follows node {node}"),
                Seat::Empty => "no leader is known".to_owned(),
            },
            newest: inner.state.newest(),
            trimmed: inner.trimmed,
            counts: inner.state.counts(),
            writes: inner.writes,
        })
    }

    async fn stopped(&self) -> String {
        self.poison.stopped().await
    }

    async fn close(&self) {
        self.closing.send_replace(true);
        // A poisoned log takes no entry, so there is nothing to drain, and this node can neither
        // lead nor name a successor: stopping at once lets the others elect a leader.
        if !self.poison.is_set() {
            if tokio::time::timeout(DRAIN_MAX, self.drain()).await.is_err() {
                tracing::warn!(
                    "raft.close: the group does not agree; requests under way are given up"
                );
            }
            self.hand_over().await;
        }
        if let Err(error) = self.raft.shutdown().await {
            tracing::error!(%error, "raft.shutdown failed");
        }
        self.ended.send_replace(true);
        self.blobs.close();
        let releasing = async {
            self.released.wait().await;
            if let Some(unbound) = &self.unbound {
                unbound.wait().await;
            }
        };
        if tokio::time::timeout(RELEASE_MAX, releasing).await.is_err() {
            tracing::error!("raft.close: the folder or the peers' address is still in use");
        }
    }
}

#[async_trait]
impl Cluster for RaftBackend {
    fn cluster(&self) -> ClusterView {
        let group = self
            .peers
            .as_ref()
            .and_then(|peers| peers.identity().group());
        group::view(&self.raft, &self.applied, group)
    }

    async fn steer(&self, asked: Steering) -> Result<ClusterView, BackendError> {
        let mut patience = self.seats.patience();
        loop {
            // Also: a leader that has just been elected has committed its first entry.
            self.linearize().await?;
            match (self.seats.find(), &self.peers) {
                (Seat::Leads(_), peers) => {
                    return self.steward.steer(peers.as_deref(), asked).await;
                }
                (Seat::Follows { node, address }, Some(peers)) => {
                    let request = Request::Steer(asked.clone());
                    let answer = peers.call(Some(node), &address, &request, STEER_WITHIN);
                    match answer.await {
                        Ok(Response::Steered(steered)) => return steered.map_err(Into::into),
                        Ok(_) | Err(CallError::Unsent(_)) => {}
                        Err(CallError::Lost(detail)) => {
                            let error = BackendError::unknown(ErrorKind::Unavailable, detail);
                            return Err(error);
                        }
                    }
                }
                (Seat::Empty | Seat::Follows { .. }, _) => {}
            }
            if !patience.again().await {
                return Err(self.seats.nobody_leads());
            }
        }
    }
}

#[cfg(test)]
mod tests;
