//! A group of nodes in this process: real folders, real TCP, mutual TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use leasehold_backend_api::Backend;
use leasehold_backend_api::BackendError;
use leasehold_backend_api::Cluster;
use leasehold_backend_api::ClusterView;
use leasehold_backend_api::Steering;
use leasehold_backend_raft::OpenError;
use leasehold_backend_raft::PeerSecurity;
use leasehold_backend_raft::PeersConfig;
use leasehold_backend_raft::RaftBackend;
use leasehold_backend_raft::RaftConfig;
use leasehold_domain::Clock;
use tempfile::TempDir;

use super::certificates;

/// How long anything may take on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

/// One node of a group, running or not.
pub(super) struct Node {
    pub(super) config: RaftConfig,
    running: Option<Arc<RaftBackend>>,
}

/// Nodes that share an authority and a clock.
pub(super) struct Group {
    pub(super) nodes: Vec<Node>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) security: PeerSecurity,
    folder: TempDir,
}

impl Node {
    pub(super) fn running(&self) -> &Arc<RaftBackend> {
        self.running.as_ref().expect("the node runs")
    }

    pub(super) fn peers(&self) -> &PeersConfig {
        self.config.peers.as_ref().expect("it has peers")
    }

    /// Its number.
    pub(super) fn number(&self) -> u64 {
        self.running().cluster().node
    }

    /// Where its peers find it.
    pub(super) fn address(&self) -> String {
        self.peers().listen.to_string()
    }

    pub(super) async fn start(&mut self, clock: &Arc<dyn Clock>) -> Result<(), OpenError> {
        let node = RaftBackend::open(self.config.clone(), clock.clone()).await?;
        let peers = self.config.peers.as_mut().expect("it has peers");
        // Its peers know it at this port from now on.
        peers.listen = node.peer_address().expect("it listens");
        self.running = Some(node);
        Ok(())
    }

    pub(super) async fn stop(&mut self) {
        if let Some(node) = self.running.take() {
            node.close().await;
        }
    }
}

impl Group {
    /// A group of none yet.
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let security = certificates::write(folder.path());
        Self {
            nodes: Vec::new(),
            clock,
            security,
            folder,
        }
    }

    /// A group of three voters.
    pub(super) async fn of_three(clock: Arc<dyn Clock>) -> Self {
        let mut group = Self::new(clock);
        group.found().await;
        for _ in 0..2 {
            let address = group.add().await;
            group
                .steer(Steering::Join { address })
                .await
                .expect("joined");
        }
        group.take_part().await;
        group
    }

    /// The configuration of the next node.
    pub(super) fn config(&self, join: bool) -> RaftConfig {
        let folder = self
            .folder
            .path()
            .join(format!("node-{}", self.nodes.len()));
        RaftConfig {
            peers: Some(PeersConfig {
                listen: SocketAddr::from(([127, 0, 0, 1], 0)),
                advertise: None,
                security: self.security.clone(),
                join,
            }),
            agree_within: Duration::from_secs(20),
            ..RaftConfig::new(folder)
        }
    }

    /// Starts the first node.
    pub(super) async fn found(&mut self) {
        self.push(self.config(false)).await;
        self.steer(Steering::Init).await.expect("initialised");
    }

    /// Starts a node that waits to be taken in; where it waits.
    pub(super) async fn add(&mut self) -> String {
        self.push(self.config(true)).await;
        self.nodes.last().expect("a node").address()
    }

    pub(super) async fn push(&mut self, config: RaftConfig) {
        let mut node = Node {
            config,
            running: None,
        };
        node.start(&self.clock).await.expect("the node starts");
        self.nodes.push(node);
    }

    /// Asks the first node that runs.
    pub(super) async fn steer(&self, asked: Steering) -> Result<ClusterView, BackendError> {
        let mut running = self.nodes.iter().filter_map(|node| node.running.as_ref());
        running.next().expect("a node runs").steer(asked).await
    }

    /// Waits until all that run take part.
    pub(super) async fn take_part(&self) {
        for node in self.running() {
            let part = tokio::time::timeout(PATIENCE, node.take_part());
            part.await.expect("in time").expect("it takes part");
        }
    }

    /// All that run.
    pub(super) fn running(&self) -> impl Iterator<Item = &Arc<RaftBackend>> {
        self.nodes.iter().filter_map(|node| node.running.as_ref())
    }

    /// The place of the node that leads, as soon as one that runs does.
    pub(super) async fn leader(&self) -> usize {
        let search = async {
            loop {
                let leads = |node: &Node| {
                    let view = node.running.as_ref().map(|node| node.cluster());
                    view.is_some_and(|view| view.leader == Some(view.node))
                };
                if let Some(place) = self.nodes.iter().position(leads) {
                    return place;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, search)
            .await
            .expect("a leader")
    }

    /// The place of a node that follows.
    pub(super) async fn follower(&self) -> usize {
        let leader = self.leader().await;
        (0..self.nodes.len())
            .find(|place| *place != leader)
            .expect("another")
    }

    /// Stops one node.
    pub(super) async fn stop(&mut self, place: usize) {
        self.nodes[place].stop().await;
    }

    /// Starts it again.
    pub(super) async fn start(&mut self, place: usize) {
        let clock = self.clock.clone();
        let node = &mut self.nodes[place];
        node.start(&clock).await.expect("the node starts again");
    }
}
