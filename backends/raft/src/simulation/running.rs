//! A node of the simulated group while it runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use leasehold_backend_api::BackendError;
use leasehold_domain::LockRef;
use leasehold_domain::LockView;
use openraft::BasicNode;
use openraft::Raft;
use tokio::sync::watch;

use super::runtime::SimTypes;
use crate::batcher::Hurry;
use crate::batcher::Queue;
use crate::entry::Answer;
use crate::entry::Item;
use crate::machine::Machine;
use crate::outbox::Applied;
use crate::peer::Request;
use crate::peer::Response;
use crate::reads::Reads;
use crate::seat::Seat;

/// The members of the group.
pub(crate) const NODES: u64 = 3;

/// A node between a start and a crash.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) id: u64,
    pub(crate) raft: Raft<SimTypes, Machine>,
    pub(crate) applied: Arc<Applied>,
    pub(super) queue: Queue,
    pub(super) reads: Arc<Reads<SimTypes>>,
    pub(super) alive: Arc<AtomicBool>,
    pub(super) closing: watch::Sender<bool>,
}

impl Running {
    /// Makes the group of all nodes.
    pub(crate) async fn found(&self) {
        let members = (1..=NODES).map(|id| (id, BasicNode::new(format!("node-{id}"))));
        let members: BTreeMap<_, _> = members.collect();
        self.raft.initialize(members).await.unwrap();
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.alive.load(Ordering::SeqCst)
    }

    pub(crate) fn term(&self) -> u64 {
        use openraft::async_runtime::WatchReceiver;
        self.raft.metrics().borrow_watched().current_term
    }

    pub(crate) fn leads(&self) -> bool {
        matches!(self.reads.seats.find(), Seat::Leads(_))
    }

    /// What a gateway asks of its own node.
    pub(crate) async fn execute(&self, item: Item) -> Result<Answer, BackendError> {
        let hurry = Hurry::of(&item, &self.applied);
        self.queue.propose(item, hurry).await
    }

    /// A linearizable read.
    pub(crate) async fn read(&self, lock: &LockRef) -> Result<LockView, BackendError> {
        let now = self.reads.linearize().await?;
        Ok(self.applied.read().state.view(lock, now))
    }

    /// What another node asks, but for openraft's own requests.
    pub(crate) async fn answer(&self, _from: u64, request: Request) -> Response {
        match request {
            Request::Forward(items) => {
                let answers = self.queue.propose_forwarded(items, &self.applied).await;
                let index = self.applied.index();
                Response::Forwarded { answers, index }
            }
            Request::ReadIndex => match self.reads.lead().await {
                Some((index, now)) => Response::ReadIndex { index, now },
                None => Response::NotLeader,
            },
            other => Response::Failed(format!("not simulated: {other:?}")),
        }
    }
}
