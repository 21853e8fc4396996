//! The network: messages are late, overtake each other, are lost, or find no way.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
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
use openraft::raft::VoteRequest;
use openraft::raft::VoteResponse;
use openraft::type_config::TypeConfigExt;
use rand::RngExt;
use rand::rngs::StdRng;
use tokio::sync::oneshot;

use super::running::Running;
use super::runtime::SimTypes;
use crate::entry::Vote;
use crate::peer::CallError;
use crate::peer::Calls;
use crate::peer::Request;
use crate::peer::Response;
use crate::snapshot::SnapshotBytes;

/// An append waits for the follower's disk.
const APPEND_WITHIN: Duration = Duration::from_secs(2);
const SNAPSHOT_WITHIN: Duration = Duration::from_secs(10);

/// What connects the nodes.
#[derive(Debug, Clone)]
pub(crate) struct Net(Arc<Mutex<Ways>>);

#[derive(Debug)]
struct Ways {
    nodes: BTreeMap<u64, Arc<Running>>,
    /// From, to: what is sent on these ways is lost.
    cut: BTreeSet<(u64, u64)>,
    /// Of all other messages, so many of a thousand are lost.
    lost_permille: u32,
    /// The longest delay of a message.
    delay_us_max: u64,
    rng: StdRng,
}

impl Net {
    pub(crate) fn new(rng: StdRng) -> Self {
        Self(Arc::new(Mutex::new(Ways {
            nodes: BTreeMap::new(),
            cut: BTreeSet::new(),
            lost_permille: 0,
            delay_us_max: 2_000,
            rng,
        })))
    }

    /// A node listens.
    pub(crate) fn attach(&self, node: Arc<Running>) {
        self.0.lock().unwrap().nodes.insert(node.id, node);
    }

    /// A node is gone: calls to it are refused, as by a machine without the process.
    pub(crate) fn detach(&self, id: u64) {
        self.0.lock().unwrap().nodes.remove(&id);
    }

    /// Those ways are cut, and no others.
    pub(crate) fn cut(&self, ways: BTreeSet<(u64, u64)>) {
        self.0.lock().unwrap().cut = ways;
    }

    /// How many of a thousand messages are lost, and how late one may be.
    pub(crate) fn trouble(&self, lost_permille: u32, delay_us_max: u64) {
        let mut ways = self.0.lock().unwrap();
        (ways.lost_permille, ways.delay_us_max) = (lost_permille, delay_us_max);
    }

    /// How long a message takes; none if it is lost.
    fn way(&self, from: u64, to: u64) -> Option<Duration> {
        let mut ways = self.0.lock().unwrap();
        let lost = ways.rng.random_range(0..1_000) < ways.lost_permille;
        let delay_us_max = ways.delay_us_max;
        let delay = Duration::from_micros(ways.rng.random_range(20..delay_us_max));
        (!lost && !ways.cut.contains(&(from, to))).then_some(delay)
    }

    fn find(&self, id: u64) -> Option<Arc<Running>> {
        self.0.lock().unwrap().nodes.get(&id).cloned()
    }

    /// Has `to` do something for `from`, which waits for so long. What was begun goes on, whether
    /// or not anybody waits for it.
    async fn ask<T, F>(
        &self,
        from: u64,
        to: u64,
        within: Duration,
        work: impl FnOnce(Arc<Running>) -> F + Send,
    ) -> Result<T, CallError>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let (Some(sender), Some(_)) = (self.find(from), self.find(to)) else {
            return Err(CallError::Unsent("nobody is there".to_owned()));
        };
        let asked = async {
            let there = self.way(from, to)?;
            SimTypes::sleep(there).await;
            let node = self.find(to)?;
            let (answer, answered) = oneshot::channel();
            let (net, work) = (self.clone(), work(node.clone()));
            let _detached = SimTypes::spawn(async move {
                let done = work.await;
                // A node that crashed meanwhile says nothing, and one that did hears nothing.
                if let Some(back) = net.way(to, from).filter(|_| node.is_alive()) {
                    SimTypes::sleep(back).await;
                    if sender.is_alive() {
                        let _ = answer.send(done);
                    }
                }
            });
            answered.await.ok()
        };
        let asked = async {
            match asked.await {
                Some(answer) => answer,
                None => std::future::pending().await,
            }
        };
        let waited = SimTypes::timeout(within, asked).await;
        waited.map_err(|_| CallError::Lost(format!("node {to} has not answered")))
    }
}

/// How one node calls the others.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) net: Net,
    pub(crate) from: u64,
}

#[async_trait]
impl Calls for Line {
    async fn call(
        &self,
        node: Option<u64>,
        address: &str,
        request: &Request,
        within: Duration,
    ) -> Result<Response, CallError> {
        let to = node.ok_or_else(|| CallError::Unsent(address.to_owned()))?;
        let (request, from) = (request.clone(), self.from);
        let work = move |node: Arc<Running>| async move { node.answer(from, request).await };
        self.net.ask(from, to, within, work).await
    }
}

impl RaftNetworkFactory<SimTypes> for Line {
    type Network = Channel;

    async fn new_client(&mut self, to: u64, _: &BasicNode) -> Channel {
        Channel {
            line: self.clone(),
            to,
        }
    }
}

/// openraft's channel to one peer.
#[derive(Debug)]
pub(crate) struct Channel {
    line: Line,
    to: u64,
}

type Failure = RPCError<SimTypes>;

impl Channel {
    async fn ask<T, E, F>(
        &self,
        within: Duration,
        work: impl FnOnce(Arc<Running>) -> F + Send,
    ) -> Result<T, Failure>
    where
        T: Send + 'static,
        E: std::error::Error + Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let answered = self.line.net.ask(self.line.from, self.to, within, work);
        match answered.await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(RPCError::Unreachable(Unreachable::new(&error))),
            Err(error @ CallError::Unsent(_)) => {
                Err(RPCError::Unreachable(Unreachable::new(&error)))
            }
            Err(error @ CallError::Lost(_)) => Err(RPCError::Network(NetworkError::new(&error))),
        }
    }
}

impl RaftNetworkV2<SimTypes> for Channel {
    type SnapshotData = SnapshotBytes;

    async fn append_entries(
        &mut self,
        append: AppendEntriesRequest<SimTypes>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<SimTypes>, Failure> {
        let within = option.soft_ttl().max(APPEND_WITHIN);
        let work = |node: Arc<Running>| async move { node.raft.append_entries(append).await };
        self.ask(within, work).await
    }

    async fn vote(
        &mut self,
        vote: VoteRequest<SimTypes>,
        option: RPCOption,
    ) -> Result<VoteResponse<SimTypes>, Failure> {
        let work = |node: Arc<Running>| async move { node.raft.vote(vote).await };
        self.ask(option.soft_ttl(), work).await
    }

    async fn pre_vote(
        &mut self,
        vote: VoteRequest<SimTypes>,
        option: RPCOption,
    ) -> Result<VoteResponse<SimTypes>, Failure> {
        let work = |node: Arc<Running>| async move { node.raft.pre_vote(vote).await };
        self.ask(option.soft_ttl(), work).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: SnapshotOf<SimTypes, SnapshotBytes>,
        _: impl Future<Output = ReplicationClosed> + Send + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<SimTypes>, StreamingError<SimTypes>> {
        let work = |node: Arc<Running>| async move {
            node.raft.install_full_snapshot(vote, snapshot).await
        };
        let sent = self.ask(SNAPSHOT_WITHIN, work).await;
        sent.map_err(|error| match error {
            RPCError::Timeout(error) => StreamingError::Timeout(error),
            RPCError::Unreachable(error) => StreamingError::Unreachable(error),
            RPCError::Network(error) => StreamingError::Network(error),
        })
    }
}
