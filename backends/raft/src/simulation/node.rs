//! A node of the simulated group: our state machine, batcher, reads and reaper, on a simulated disk
//! and network.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use leasehold_backend_api::BackendError;
use leasehold_backend_api::Poison;
use leasehold_domain::LockRef;
use leasehold_domain::LockView;
use openraft::BasicNode;
use openraft::Raft;
use openraft::type_config::TypeConfigExt;
use tokio::sync::watch;

use super::disk::Disk;
use super::disk::Shelf;
use super::disk::SimLog;
use super::network::Line;
use super::network::Net;
use super::runtime::SimClock;
use super::runtime::SimTypes;
use crate::RaftConfig;
use crate::batcher::Batcher;
use crate::batcher::Hurry;
use crate::batcher::Queue;
use crate::clock::Stamper;
use crate::entry::Answer;
use crate::entry::Item;
use crate::machine::Machine;
use crate::open;
use crate::outbox::Applied;
use crate::peer::Calls;
use crate::peer::Request;
use crate::peer::Response;
use crate::reads::Reads;
use crate::seat::Seat;
use crate::seat::Seats;
use crate::tasks::Reaper;

/// The members of the group.
pub(crate) const NODES: u64 = 3;
/// Entries that a node keeps although its snapshot has them: few, so that snapshots travel.
const ENTRIES_KEPT: u64 = 8;

/// One node, running or not.
#[derive(Debug)]
pub(crate) struct Node {
    id: u64,
    disk: Arc<Disk>,
    running: Mutex<Option<Arc<Running>>>,
    /// How often it was started.
    starts: AtomicU64,
}

/// A node between a start and a crash.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) id: u64,
    pub(crate) raft: Raft<SimTypes, Machine>,
    pub(crate) applied: Arc<Applied>,
    queue: Queue,
    reads: Arc<Reads<SimTypes>>,
    alive: Arc<AtomicBool>,
    closing: watch::Sender<bool>,
}

impl Node {
    pub(crate) fn new(id: u64) -> Self {
        Self {
            id,
            disk: Arc::default(),
            running: Mutex::default(),
            starts: AtomicU64::new(0),
        }
    }

    pub(crate) fn running(&self) -> Option<Arc<Running>> {
        self.running.lock().unwrap().clone()
    }

    /// Starts it on what its disk holds.
    pub(crate) async fn start(&self, net: &Net, seed: u64) {
        let starts = self.starts.fetch_add(1, Ordering::SeqCst);
        let seed = seed ^ (self.id << 32) ^ (starts << 40);
        let alive = Arc::new(AtomicBool::new(true));
        let log = SimLog::open(self.disk.clone(), alive.clone(), seed);
        let applied = Arc::new(Applied::new(self.disk.inner(), Arc::default()));
        let line = Line {
            net: net.clone(),
            from: self.id,
        };
        let machine = Machine {
            applied: applied.clone(),
            snapshots: Arc::new(Shelf {
                disk: self.disk.clone(),
                alive: alive.clone(),
            }),
        };
        let config = RaftConfig::new("simulated".into());
        let mut settings = open::settings(&config).unwrap();
        settings.max_in_snapshot_log_to_keep = ENTRIES_KEPT;
        settings.purge_batch_size = 1;
        let raft = Raft::new(self.id, Arc::new(settings), line.clone(), log, machine);
        let raft = raft.await.unwrap();
        let seats = Arc::new(Seats {
            raft: raft.clone(),
            applied: applied.clone(),
            stamper: Stamper::new(config.tick),
            clock: Arc::new(SimClock {
                origin: Duration::from_millis(seed % 1_000_000),
            }),
            window: config.agree_within,
        });
        let peers: Option<Arc<dyn Calls>> = Some(Arc::new(line));
        let reads = Arc::new(Reads {
            seats: seats.clone(),
            peers: peers.clone(),
            proof: Mutex::default(),
        });
        let (queue, waiting) = Queue::new(config.queue_max);
        let closing = watch::Sender::new(false);
        let batcher = Batcher {
            seats: seats.clone(),
            reads: reads.clone(),
            peers,
            poison: Poison::default(),
            closing: closing.subscribe(),
            commands_max: config.batch_commands_max,
        };
        let _detached = SimTypes::spawn(batcher.run(waiting));
        let reaper = Reaper {
            seats,
            queue: queue.clone(),
        };
        let _detached = SimTypes::spawn(reaper.run(closing.subscribe()));
        let running = Arc::new(Running {
            id: self.id,
            raft,
            applied,
            queue,
            reads,
            alive,
            closing,
        });
        net.attach(running.clone());
        *self.running.lock().unwrap() = Some(running);
    }

    /// Ends it where it is: nothing of it reaches its disk or the network any more.
    pub(crate) fn crash(&self, net: &Net) {
        let Some(running) = self.running.lock().unwrap().take() else {
            return;
        };
        running.alive.store(false, Ordering::SeqCst);
        net.detach(self.id);
        // Only frees the simulator of its tasks.
        running.closing.send_replace(true);
        let _detached = SimTypes::spawn(async move { running.raft.shutdown().await });
    }
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
