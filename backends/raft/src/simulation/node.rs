//! A node of the simulated group: our state machine, batcher, reads and reaper, on a simulated disk
//! and network.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use leasehold_backend_api::Levels;
use leasehold_backend_api::Poison;
use openraft::Raft;
use openraft::type_config::TypeConfigExt;
use tokio::sync::watch;

use super::disk::Disk;
use super::disk::Shelf;
use super::disk::SimLog;
use super::network::Line;
use super::network::Net;
use super::running::Running;
use super::runtime::SimClock;
use super::runtime::SimTypes;
use crate::RaftConfig;
use crate::batcher::Batcher;
use crate::batcher::Queue;
use crate::clock::Stamper;
use crate::machine::Machine;
use crate::open;
use crate::outbox::Applied;
use crate::peer::Calls;
use crate::reads::Reads;
use crate::seat::Seats;
use crate::tasks::Reaper;

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
            levels: Levels::of_build(),
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
