//! Opens a node: folder, lock, log, snapshot, openraft, tasks.

use std::io;
use std::sync::Arc;

use leasehold_domain::Clock;
use openraft::BasicNode;
use openraft::Raft;
use openraft::SnapshotPolicy as RaftSnapshotPolicy;
use openraft::raft::ReadPolicy;
use tokio::sync::watch;

use crate::OpenError;
use crate::RaftBackend;
use crate::RaftConfig;
use crate::batcher::Batcher;
use crate::batcher::Queue;
use crate::clock::Stamper;
use crate::entry::TypeConfig;
use crate::folder::FolderLock;
use crate::folder::Released;
use crate::log::LogStore;
use crate::machine::Machine;
use crate::network::Alone;
use crate::outbox::Applied;
use crate::snapshot::SnapshotFile;
use crate::tasks;

/// What the disk holds before openraft starts.
pub(crate) struct Stored {
    pub(crate) log: LogStore,
    pub(crate) applied: Arc<Applied>,
    pub(crate) file: Arc<SnapshotFile>,
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
        let Stored {
            log,
            applied,
            file,
            released,
        } = stored;
        let (poison, appended) = (log.poison(), log.appended());
        let machine = Machine {
            applied: applied.clone(),
            file,
        };
        let settings = Arc::new(settings(&config)?);
        let raft: Raft<TypeConfig, Machine> =
            Raft::new(config.node_id, settings, Alone, log, machine)
                .await
                .map_err(|error| OpenError::Raft(error.to_string()))?;
        lead(&raft, config.node_id).await?;

        let base = applied.read().state.now();
        let stamper = Arc::new(Stamper::new(base, config.tick, &*clock));
        let (queue, waiting) = Queue::new(config.queue_max);
        let (closing, closed) = watch::channel(false);
        let batcher = Batcher {
            raft: raft.clone(),
            stamper: stamper.clone(),
            clock: clock.clone(),
            poison: poison.clone(),
            commands_max: config.batch_commands_max.min(BATCH_COMMANDS_MAX),
        };
        tokio::spawn(batcher.run(waiting));
        let reaper = tasks::Reaper {
            applied: applied.clone(),
            stamper: stamper.clone(),
            clock: clock.clone(),
            queue: queue.clone(),
        };
        tokio::spawn(reaper.run(closed.clone()));
        let keeper = tasks::Keeper {
            raft: raft.clone(),
            applied: applied.clone(),
            poison: poison.clone(),
            appended,
            snapshot_bytes: config.snapshot_bytes,
            snapshot_commands: config.snapshot_commands,
        };
        tokio::spawn(keeper.run(closed));
        Ok(Arc::new(Self {
            raft,
            applied,
            queue,
            stamper,
            clock,
            poison,
            closing,
            released,
        }))
    }
}

/// Commands in one entry at most: each makes at most one token for a lock, and so does a tick.
const BATCH_COMMANDS_MAX: usize = 1_000;

impl Stored {
    pub(crate) fn read(config: &RaftConfig) -> Result<Self, OpenError> {
        Self::read_by(config, LogStore::open)
    }

    /// The same, with another way to open the log.
    pub(crate) fn read_by(
        config: &RaftConfig,
        open_log: impl FnOnce(&std::path::Path, &str, FolderLock) -> Result<LogStore, OpenError>,
    ) -> Result<Self, OpenError> {
        std::fs::create_dir_all(&config.data_dir)?;
        let (lock, released) = FolderLock::take(&config.data_dir)?;
        let owner = format!("node {} of {}", config.node_id, config.cluster_id);
        let log = open_log(&config.data_dir.join("log"), &owner, lock.clone())?;
        let opened = SnapshotFile::open(config.data_dir.clone(), lock);
        let (file, inner) = opened.map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => OpenError::Corrupt(error.to_string()),
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
            released,
        })
    }
}

/// A group of one leads itself, at its first start and after each other.
async fn lead(raft: &Raft<TypeConfig, Machine>, node_id: u64) -> Result<(), OpenError> {
    let failed = |error: String| OpenError::Raft(error);
    let known = raft
        .is_initialized()
        .await
        .map_err(|error| failed(error.to_string()))?;
    if !known {
        let members = std::collections::BTreeMap::from([(node_id, BasicNode::default())]);
        raft.initialize(members)
            .await
            .map_err(|error| failed(error.to_string()))?;
    }
    // Answers once this node leads and has applied all that was committed before.
    let mut pause = std::time::Duration::from_millis(5);
    for _ in 0..200 {
        match raft.ensure_linearizable(ReadPolicy::ReadIndex).await {
            Ok(_) => return Ok(()),
            Err(openraft::errors::RaftError::Fatal(fatal)) => {
                return Err(failed(fatal.to_string()));
            }
            Err(openraft::errors::RaftError::APIError(_)) => tokio::time::sleep(pause).await,
        }
        pause = (pause * 2).min(std::time::Duration::from_millis(100));
    }
    Err(failed(
        "the node does not become leader of its group".to_owned(),
    ))
}

fn settings(config: &RaftConfig) -> Result<openraft::Config, OpenError> {
    let tick = u64::try_from(config.tick.as_millis()).unwrap_or(100);
    let settings = openraft::Config {
        cluster_name: config.cluster_id.clone(),
        heartbeat_interval: tick,
        election_timeout_min: tick * 3,
        election_timeout_max: tick * 6,
        // By bytes and commands of our own: one entry holds many commands.
        snapshot_policy: RaftSnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: 0,
        purge_batch_size: 64,
        ..openraft::Config::default()
    };
    settings
        .validate()
        .map_err(|error| OpenError::Raft(error.to_string()))
}
