//! Opens a node: folder, lock, log, snapshot, openraft, tasks.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use leasehold_domain::Clock;
use openraft::BasicNode;
use openraft::Raft;
use openraft::SnapshotPolicy as RaftSnapshotPolicy;
use tokio::sync::mpsc;
use tokio::sync::watch;

use crate::OpenError;
use crate::RaftBackend;
use crate::RaftConfig;
use crate::archive::Archive;
use crate::batcher::Batcher;
use crate::batcher::Job;
use crate::batcher::Queue;
use crate::blobs::BlobFiles;
use crate::blobs::Blobs;
use crate::clock::Stamper;
use crate::entry::TypeConfig;
use crate::folder::FolderLock;
use crate::folder::Released;
use crate::group;
use crate::group::Steward;
use crate::identity::FOUNDER;
use crate::identity::Identity;
use crate::log::Keeping;
use crate::log::LogStore;
use crate::log::Owner;
use crate::log::Unowned;
use crate::machine::Machine;
use crate::network::Network;
use crate::outbox::Applied;
use crate::peer::Acknowledged;
use crate::peer::Calls;
use crate::peer::Memory;
use crate::peer::Peers;
use crate::peer::Security;
use crate::peer_server::Host;
use crate::peer_server::Listener;
use crate::reads::Reads;
use crate::seat::Seats;
use crate::snapshot::SnapshotFile;
use crate::tasks;

/// What the disk holds before openraft starts.
pub(crate) struct Stored {
    pub(crate) log: LogStore,
    pub(crate) applied: Arc<Applied>,
    pub(crate) file: Arc<SnapshotFile>,
    /// The files of the blobs, and what keeps others out of their directory.
    pub(crate) blobs: (BlobFiles, FolderLock),
    pub(crate) released: Released,
}

impl RaftBackend {
    /// Opens a node, and makes its folder if there is none. Answers when all that was committed is
    /// applied and the node leads its group.
    ///
    /// # Errors
    /// The folder is locked, foreign or corrupt, or cannot be read.
    pub async fn open(config: RaftConfig, clock: Arc<dyn Clock>) -> Result<Arc<Self>, OpenError> {
        let from_disk = config.clone();
        let stored = tokio::task::spawn_blocking(move || Stored::read(&from_disk));
        let stored = stored.await.map_err(io::Error::other)??;
        Self::start(config, clock, stored).await
    }

    pub(crate) async fn start(
        config: RaftConfig,
        clock: Arc<dyn Clock>,
        stored: Stored,
    ) -> Result<Arc<Self>, OpenError> {
        let (log, applied) = (stored.log, stored.applied);
        let (poison, appended) = (log.poison(), log.appended());
        let (identity, keeping, has) = (log.identity(), log.keeping(), log.acknowledged()?);
        let (Peering { peers, address }, listener) = Peering::open(&config, &identity).await?;
        let machine = Machine {
            applied: applied.clone(),
            snapshots: Arc::new(stored.file),
            levels: config.levels,
        };
        let (settings, network) = (Arc::new(settings(&config)?), Network(peers.clone()));
        let raft = Raft::new(identity.node(), settings, network, log, machine)
            .await
            .map_err(|error| OpenError::Raft(error.to_string()))?;
        let seats = Arc::new(Seats {
            raft: raft.clone(),
            applied: applied.clone(),
            stamper: Stamper::new(config.tick),
            clock,
            window: config.agree_within,
        });
        let reads = Arc::new(Reads {
            seats: seats.clone(),
            peers: calls(&peers),
            proof: Mutex::default(),
        });
        let founds = found(&raft, identity.node(), &address).await?;
        if peers.is_none() || founds {
            // A group of one leads itself; others must not be waited for before they can reach us.
            let led = reads.linearize().await;
            led.map_err(|error| OpenError::Raft(error.to_string()))?;
        }
        let blobs = Blobs::open(stored.blobs, &seats, &peers, &poison)?;
        let (queue, waiting) = Queue::new(config.queue_max);
        let steward = Steward::new(&seats, &queue, &blobs, address, config.levels);
        let node = Self {
            raft,
            applied,
            queue,
            seats,
            reads,
            peers,
            steward: Arc::new(steward),
            archive: Archive::default(),
            blobs,
            identity,
            peer_address: listener.as_ref().map(Listener::address),
            poison,
            guests: Arc::default(),
            closing: watch::Sender::new(false),
            ended: watch::Sender::new(false),
            unbound: listener.as_ref().map(Listener::unbound),
            released: stored.released,
        };
        node.propose_from(waiting, &config);
        node.keep_from(appended, &config);
        node.report_level(founds).await;
        node.fetch_blobs();
        if let Some(listener) = listener {
            node.ask_peers(has);
            node.answer_from(listener, keeping);
        }
        Ok(Arc::new(node))
    }

    /// Starts a task that must run until the node closes.
    fn keep_running(&self, task: &'static str, run: impl Future<Output = ()> + Send + 'static) {
        let closing = self.closing.subscribe();
        self.poison.spawn_until(closing, task, run);
    }

    /// Starts what proposes: the batcher, and the reaper.
    fn propose_from(&self, waiting: mpsc::Receiver<Job>, config: &RaftConfig) {
        let batcher = Batcher {
            seats: self.seats.clone(),
            reads: self.reads.clone(),
            peers: calls(&self.peers),
            poison: self.poison.clone(),
            closing: self.closing.subscribe(),
            commands_max: config.batch_commands_max.min(BATCH_COMMANDS_MAX),
        };
        self.keep_running("batcher", batcher.run(waiting));
        let reaper = tasks::Reaper {
            seats: self.seats.clone(),
            queue: self.queue.clone(),
        };
        let reaping = reaper.run(self.closing.subscribe());
        self.keep_running("reaper", reaping);
    }

    /// Starts the keeper of snapshots.
    fn keep_from(&self, appended: Arc<AtomicU64>, config: &RaftConfig) {
        let keeper = tasks::Keeper {
            raft: self.raft.clone(),
            applied: self.applied.clone(),
            poison: self.poison.clone(),
            appended,
            snapshot_bytes: config.snapshot_bytes,
            snapshot_commands: config.snapshot_commands,
        };
        let keeping = keeper.run(self.closing.subscribe());
        self.keep_running("keeper", keeping);
    }

    /// Starts what fetches blobs that this node does not have.
    fn fetch_blobs(&self) {
        let fetching = self.blobs.clone().keep_fetched(self.closing.subscribe());
        self.keep_running("blobs", fetching);
    }

    /// Starts the report of this node's supported level. The founder of a group raises its level before
    /// anything else is written.
    async fn report_level(&self, founds: bool) {
        let reporter = tasks::LevelReporter {
            node: self.identity.node(),
            supported_level: self.steward.levels.max,
            founds,
            applied: self.applied.clone(),
            queue: self.queue.clone(),
        };
        if founds && let Err(error) = reporter.found().await {
            tracing::debug!(%error, "level.found failed; it is retried");
        }
        let reporting = reporter.run(self.closing.subscribe());
        self.poison.spawn("level", reporting);
    }

    /// Asks the members that the folder knows whether it is an older copy.
    fn ask_peers(&self, has: Acknowledged) {
        let Some(peers) = self.peers.clone() else {
            return;
        };
        let members = group::view(&self.raft, &self.applied, None).members;
        let members = members.into_iter().map(|m| (m.node, m.address)).collect();
        let remembering = tasks::remember(peers.clone(), self.closing.subscribe());
        self.keep_running("remember", remembering);
        let asking = async move { peers.ask_standing(members, has).await };
        self.poison.spawn("ask", asking);
    }

    /// Starts answering peers.
    fn answer_from(&self, listener: Listener, keeping: Keeping) {
        let Some(peers) = &self.peers else { return };
        let host = Host {
            raft: self.raft.clone(),
            queue: self.queue.clone(),
            reads: self.reads.clone(),
            peers: peers.clone(),
            steward: self.steward.clone(),
            archive: self.archive.clone(),
            blobs: self.blobs.clone(),
            keeping,
            poison: self.poison.clone(),
            guests: self.guests.clone(),
            closing: self.closing.subscribe(),
        };
        let answering = listener.run(Arc::new(host), self.ended.subscribe());
        self.poison.spawn("peers", answering);
        let closing = self.closing.subscribe();
        let refreshing = tasks::refresh(self.reads.clone(), closing);
        self.keep_running("refresh", refreshing);
    }
}

/// How batches and reads ask the leader.
fn calls(peers: &Option<Arc<Peers>>) -> Option<Arc<dyn Calls>> {
    peers.clone().map(|peers| peers as Arc<dyn Calls>)
}

/// How a node reaches its peers.
struct Peering {
    /// None for a node that is alone.
    peers: Option<Arc<Peers>>,
    /// Where peers find this node; empty if they do not.
    address: String,
}

impl Peering {
    /// Reads the certificates and binds the listener, if there are to be peers.
    async fn open(
        config: &RaftConfig,
        identity: &Arc<Identity>,
    ) -> Result<(Self, Option<Listener>), OpenError> {
        let Some(asked) = &config.peers else {
            let alone = Self {
                peers: None,
                address: String::new(),
            };
            return Ok((alone, None));
        };
        let security = Security::load(&asked.security)?;
        let listener = Listener::bind(asked.listen, &security).await?;
        let advertised = asked.advertise.clone();
        let memory = Memory::open(&config.data_dir).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => OpenError::Corrupt(error.to_string()),
            _ => OpenError::Io(error),
        })?;
        let peering = Self {
            address: advertised.unwrap_or_else(|| listener.address().to_string()),
            peers: Some(Arc::new(Peers::new(identity.clone(), security, memory))),
        };
        Ok((peering, Some(listener)))
    }
}

/// Entries that a member of a group keeps although its snapshot has them.
const ENTRIES_KEPT: u64 = 1_000;
/// Commands in one entry at most: each makes at most one token for a lock, and so does a tick.
const BATCH_COMMANDS_MAX: usize = 1_000;

impl Stored {
    pub(crate) fn read(config: &RaftConfig) -> Result<Self, OpenError> {
        Self::read_by(config, LogStore::open)
    }

    /// The same, with another way to open the log.
    pub(crate) fn read_by(
        config: &RaftConfig,
        open_log: impl FnOnce(&std::path::Path, &Owner, FolderLock) -> Result<LogStore, OpenError>,
    ) -> Result<Self, OpenError> {
        let unowned = Unowned::of(config);
        let log_dir = config.data_dir.join("log");
        if let Unowned::Refused(folder) = &unowned
            && !log_dir.is_dir()
        {
            // Nothing is left in a place that may be wrong, or where a disk is not mounted.
            return Err(OpenError::Absent(folder.clone()));
        }
        std::fs::create_dir_all(&config.data_dir)?;
        let (lock, released) = FolderLock::take(&config.data_dir)?;
        let owner = Owner {
            cluster_id: config.cluster_id.clone(),
            unowned,
            levels: config.levels,
        };
        let log = open_log(&log_dir, &owner, lock.clone())?;
        let blobs = BlobFiles::open(&config.data_dir)?;
        let opened = SnapshotFile::open(config.data_dir.clone(), lock.clone(), config.levels);
        let (file, inner) = opened.map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => OpenError::Corrupt(error.to_string()),
            io::ErrorKind::Unsupported => OpenError::Level(error.to_string()),
            _ => OpenError::Io(error),
        })?;
        // The log goes on where a snapshot ends, or overlaps it.
        if log.purged() > inner.last_applied {
            let detail = format!(
                "the log begins after entry {:?}, but the snapshot ends with {:?}",
                log.purged().map(|id| id.index),
                inner.last_applied.map(|id| id.index),
            );
            return Err(OpenError::Corrupt(detail));
        }
        Ok(Self {
            applied: Arc::new(Applied::new(inner, log.trimmed())),
            log,
            file: Arc::new(file),
            blobs: (blobs, lock),
            released,
        })
    }
}

/// At its first start a founder is a group of its own. Returns whether it was made one now.
async fn found(
    raft: &Raft<TypeConfig, Machine>,
    node: u64,
    address: &str,
) -> Result<bool, OpenError> {
    let failed = |error: String| OpenError::Raft(error);
    let known = raft.is_initialized().await;
    if known.map_err(|error| failed(error.to_string()))? || node != FOUNDER {
        return Ok(false);
    }
    let members = BTreeMap::from([(FOUNDER, BasicNode::new(address))]);
    let made = raft.initialize(members).await;
    made.map_err(|error| failed(error.to_string()))?;
    Ok(true)
}

pub(crate) fn settings(config: &RaftConfig) -> Result<openraft::Config, OpenError> {
    let tick = u64::try_from(config.tick.as_millis()).unwrap_or(100);
    let settings = openraft::Config {
        cluster_name: config.cluster_id.clone(),
        heartbeat_interval: tick,
        election_timeout_min: tick * 3,
        election_timeout_max: tick * 6,
        // By bytes and commands of our own: one entry holds many commands.
        snapshot_policy: RaftSnapshotPolicy::Never,
        // A follower that is a little behind needs no whole snapshot.
        max_in_snapshot_log_to_keep: match config.peers {
            Some(_) => ENTRIES_KEPT,
            None => 0,
        },
        purge_batch_size: 64,
        // A node that was cut off disturbs nobody when it comes back.
        enable_pre_vote: Some(true),
        // A restarted leader has forgotten what it had applied, so others must elect it again.
        enable_leader_restore: Some(false),
        // It has its own deadlines for each piece.
        install_snapshot_timeout: 120_000,
        ..openraft::Config::default()
    };
    settings
        .validate()
        .map_err(|error| OpenError::Raft(error.to_string()))
}
