//! Who is in the group, and changes of it: learners first, then voters by joint consensus.

mod blobs;
mod raising;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use leasehold_backend_api::BackendError;
use leasehold_backend_api::ClusterView;
use leasehold_backend_api::ErrorKind;
use leasehold_backend_api::Levels;
use leasehold_backend_api::MemberView;
use leasehold_backend_api::Steering;
use openraft::BasicNode;
use openraft::ChangeMembers;
use openraft::Raft;
use openraft::async_runtime::WatchReceiver;
use openraft::errors::ChangeMembershipError;
use openraft::errors::ClientWriteError;
use openraft::errors::RaftError;

use crate::batcher::Queue;
use crate::blobs::Blobs;
use crate::entry::TypeConfig;
use crate::error;
use crate::identity::GroupId;
use crate::machine::Machine;
use crate::outbox::Applied;
use crate::peer::Peers;
use crate::peer::Request;
use crate::peer::Response;
use crate::seat::Seats;

/// How long a new member may take to catch up before whoever asked is told to ask again.
const CATCH_UP_WITHIN: Duration = Duration::from_secs(120);
/// How long a change may take, seen from a node that does not lead.
pub(crate) const STEER_WITHIN: Duration = Duration::from_secs(150);
/// How long the leader may take to hand over.
const HAND_OVER_WITHIN: Duration = Duration::from_secs(5);

/// The group as this node sees it.
pub(crate) fn view(
    raft: &Raft<TypeConfig, Machine>,
    applied: &Applied,
    group: Option<GroupId>,
) -> ClusterView {
    let inner = applied.read();
    let metrics = raft.metrics();
    let metrics = metrics.borrow_watched();
    let membership = &metrics.membership_config;
    let voters: BTreeSet<u64> = membership.voter_ids().collect();
    let replicated = |node: &u64| match &metrics.replication {
        Some(_) if *node == metrics.id => metrics.last_log_index,
        Some(replication) => replication.get(node)?.as_ref().map(|id| id.index),
        None => None,
    };
    ClusterView {
        group: group.map(|group| group.to_string()),
        node: metrics.id,
        leader: metrics.current_leader,
        term: metrics.current_term,
        applied: metrics.last_applied.map_or(0, |id| id.index),
        members: membership
            .nodes()
            .map(|(node, at)| MemberView {
                node: *node,
                address: at.addr.clone(),
                voter: voters.contains(node),
                replicated: replicated(node),
                supported_level: inner.supported_level(*node),
            })
            .collect(),
        level: inner.state.level(),
    }
}

/// Carries out changes on the leader.
#[derive(Debug)]
pub(crate) struct Steward {
    raft: Raft<TypeConfig, Machine>,
    /// Where this node's peers find it.
    address: String,
    /// One change at a time.
    changing: tokio::sync::Mutex<()>,
    applied: Arc<Applied>,
    queue: Queue,
    blobs: Arc<Blobs>,
    pub(crate) levels: Levels,
}

type Changed<T> = Result<T, BackendError>;

impl Steward {
    /// The steward of a node that peers find at `address`.
    pub(crate) fn new(
        seats: &Seats<TypeConfig>,
        queue: &Queue,
        blobs: &Arc<Blobs>,
        address: String,
        levels: Levels,
    ) -> Self {
        Self {
            raft: seats.raft.clone(),
            address,
            changing: tokio::sync::Mutex::default(),
            applied: seats.applied.clone(),
            queue: queue.clone(),
            blobs: blobs.clone(),
            levels,
        }
    }

    /// Carries out one change. The node must lead, and have committed its first entry.
    pub(crate) async fn steer(
        &self,
        peers: Option<&Peers>,
        asked: Steering,
    ) -> Changed<ClusterView> {
        let Ok(_one) = self.changing.try_lock() else {
            let detail = "another change of the group is under way";
            return Err(BackendError::without_effect(ErrorKind::Contended, detail));
        };
        let group = peers.and_then(|peers| peers.identity().group());
        match (asked, peers) {
            (Steering::RaiseLevel { to }, peers) => self.raise_level(peers, to).await?,
            (_, None) => {
                let detail = "this node has no peers' listener configured";
                return Err(invalid(detail.to_owned()));
            }
            (Steering::Init, Some(_)) => self.init().await?,
            (Steering::Join { address }, Some(peers)) => {
                let node = self.take_in(peers, group, &address, None).await?;
                self.change(ChangeMembers::AddVoterIds([node].into()))
                    .await?;
            }
            (Steering::Leave { node }, Some(peers)) => self.leave(peers, node).await?,
            (Steering::Replace { node, address }, Some(peers)) => {
                self.member(node)?;
                let new = self.take_in(peers, group, &address, Some(node)).await?;
                self.check_blobs_without(peers, node, Some(new)).await?;
                let both = vec![
                    ChangeMembers::AddVoterIds([new].into()),
                    ChangeMembers::RemoveVoters([node].into()),
                ];
                self.change(ChangeMembers::Batch(both)).await?;
            }
            (Steering::TransferLeader { to }, Some(_)) => {
                self.hand_over(to, HAND_OVER_WITHIN).await?;
            }
        }
        Ok(view(&self.raft, &self.applied, group))
    }

    fn members(&self) -> Vec<MemberView> {
        view(&self.raft, &self.applied, None).members
    }

    fn member(&self, node: u64) -> Changed<MemberView> {
        let found = self
            .members()
            .into_iter()
            .find(|member| member.node == node);
        found.ok_or_else(|| invalid(format!("node {node} is no member")))
    }

    async fn init(&self) -> Changed<()> {
        let me = *self.raft.node_id();
        if self.member(me)?.address == self.address {
            return Ok(());
        }
        if self.members().len() > 1 {
            // Others would look for it at its old address: it must be replaced instead.
            return Err(invalid("the group has other members already".to_owned()));
        }
        let here = BTreeMap::from([(me, BasicNode::new(&self.address))]);
        self.change(ChangeMembers::SetNodes(here)).await
    }

    /// Makes the node that waits at `address` a learner, and waits until it has caught up.
    async fn take_in(
        &self,
        peers: &Peers,
        group: Option<GroupId>,
        address: &str,
        instead_of: Option<u64>,
    ) -> Changed<u64> {
        let me = self.member(*self.raft.node_id())?;
        let Some(group) = group.filter(|_| !me.address.is_empty()) else {
            return Err(invalid(
                "the group has no address yet: init it first".to_owned(),
            ));
        };
        let adopt = Request::Adopt {
            group,
            level: self.applied.read().state.level(),
        };
        let asked = peers.call(None, address, &adopt, HAND_OVER_WITHIN);
        let node = match asked.await {
            Ok(Response::Adopted(node)) => node,
            Ok(Response::Failed(reason)) => return Err(invalid(reason)),
            Ok(_) => return Err(invalid("it does not answer as a waiting node".to_owned())),
            Err(error) => {
                let detail = format!("{address}: {error}");
                return Err(BackendError::without_effect(ErrorKind::Unavailable, detail));
            }
        };
        let holds_it = |member: &&MemberView| {
            member.address == address && member.node != node && Some(member.node) != instead_of
        };
        if let Some(member) = self.members().iter().find(holds_it) {
            let detail = format!("member {} is known at {address}: replace it", member.node);
            return Err(invalid(detail));
        }
        let at = BasicNode::new(address);
        let caught_up = async {
            let added = self.raft.add_learner(node, at, true).await;
            added.map_err(refused)?;
            self.wait_for_blobs(peers, node, address).await;
            Ok(node)
        };
        match tokio::time::timeout(CATCH_UP_WITHIN, caught_up).await {
            Ok(node) => node,
            Err(_) => {
                let detail = format!("node {node} follows, but has not caught up yet: ask again");
                Err(BackendError::unknown(ErrorKind::Deadline, detail))
            }
        }
    }

    async fn leave(&self, peers: &Peers, node: u64) -> Changed<()> {
        match self.member(node)?.voter {
            true => {
                self.check_blobs_without(peers, node, None).await?;
                self.change(ChangeMembers::RemoveVoters([node].into()))
                    .await
            }
            false => self.change(ChangeMembers::RemoveNodes([node].into())).await,
        }
    }

    async fn change(&self, change: ChangeMembers<u64, BasicNode>) -> Changed<()> {
        let changed = self.raft.change_membership(change, false).await;
        changed.map(|_| ()).map_err(refused)
    }

    /// Lets another voter lead; answers when one does.
    pub(crate) async fn hand_over(&self, to: Option<u64>, within: Duration) -> Changed<()> {
        let me = *self.raft.node_id();
        let others = self.members().into_iter();
        let others = others.filter(|member| member.voter && member.node != me);
        let next = match to {
            Some(to) if to == me => return Ok(()),
            Some(to) => others.into_iter().find(|member| member.node == to),
            None => others.max_by_key(|member| member.replicated),
        };
        let next = next
            .ok_or_else(|| invalid("no such other voter".to_owned()))?
            .node;
        let asked = self.raft.trigger().transfer_leader(next).await;
        asked.map_err(|fatal| error::stopped(&fatal))?;
        let wait = self.raft.wait(Some(within));
        let led = wait.metrics(
            |metrics| metrics.current_leader.is_some_and(|leader| leader != me),
            "another leader",
        );
        led.await.map(|_| ()).map_err(|_| {
            let detail = format!("node {next} does not lead yet");
            BackendError::unknown(ErrorKind::Deadline, detail)
        })
    }
}

fn invalid(detail: String) -> BackendError {
    BackendError::without_effect(ErrorKind::Invalid, detail)
}

/// Why a change was refused.
fn refused(error: RaftError<TypeConfig, ClientWriteError<TypeConfig>>) -> BackendError {
    match error {
        RaftError::Fatal(fatal) => error::stopped(&fatal),
        RaftError::APIError(ClientWriteError::ChangeMembershipError(
            ChangeMembershipError::InProgress(_) | ChangeMembershipError::UncommittedLeaderLog(_),
        )) => {
            let detail = "another change of the group is under way";
            BackendError::without_effect(ErrorKind::Contended, detail)
        }
        RaftError::APIError(error) => error::write_error(&error),
    }
}
