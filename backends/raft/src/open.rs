//! Opens a node: folder, lock, log, snapshot, openraft, tasks.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use fs4::fs_std::FileExt;
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
use crate::log::LogStore;
use crate::machine::Machine;
use crate::network::Alone;
use crate::outbox::Applied;
use crate::snapshot::SnapshotFile;
use crate::tasks;

/// What disk has to say before openraft starts.
struct Disk {
    lock: File,
    log: LogStore,
    applied: Arc<Applied>,
    file: Arc<SnapshotFile>,
}

impl RaftBackend {
    /// Opens a node, and makes its folder if there is none. Answers when all that was committed is
    /// applied and the node leads its group.
    ///
    /// # Errors
    /// The folder is locked, foreign or corrupt, or cannot be read.
    pub async fn open(config: RaftConfig, clock: Arc<dyn Clock>) -> Result<Arc<Self>, OpenError> {
        let from_disk = config.clone();
        let disk = tokio::task::spawn_blocking(move || read_disk(&from_disk));
        let Disk {
            lock,
            log,
            applied,
            file,
        } = disk.await.map_err(std::io::Error::other)??;
        let (poison, appended) = (log.poison(), log.appended());
        let machine = Machine {
            applied: applied.clone(),
            file,
        };
        let settings = Arc::new(settings(&config)?);
        let failed = |error: String| OpenError::Raft(error);
        let raft: Raft<TypeConfig, Machine> =
            Raft::new(config.node_id, settings, Alone, log, machine)
                .await
                .map_err(|error| failed(error.to_string()))?;
        lead(&raft, config.node_id).await?;

        let (closing, closed) = watch::channel(false);
        let base = applied.read().state.now();
        let stamper = Arc::new(Stamper::new(base, config.tick, &*clock));
        let (queue, waiting) = Queue::new(config.queue_max);
        let batcher = Batcher {
            raft: raft.clone(),
            stamper: stamper.clone(),
            clock: clock.clone(),
            commands_max: config.batch_commands_max,
        };
        tokio::spawn(batcher.run(waiting));
        let (reaped, asked) = (applied.clone(), queue.clone());
        tokio::spawn(tasks::reap(
            reaped,
            stamper.clone(),
            clock.clone(),
            asked,
            closed.clone(),
        ));
        let policy = tasks::SnapshotPolicy {
            appended,
            bytes: config.snapshot_bytes,
            commands: config.snapshot_commands,
        };
        tokio::spawn(tasks::take_snapshots(
            raft.clone(),
            applied.clone(),
            policy,
            closed,
        ));
        Ok(Arc::new(Self {
            raft,
            applied,
            queue,
            stamper,
            clock,
            poison,
            closing,
            _lock: lock,
        }))
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

fn read_disk(config: &RaftConfig) -> Result<Disk, OpenError> {
    std::fs::create_dir_all(&config.data_dir)?;
    let lock = lock(&config.data_dir)?;
    let owner = format!("node {} of {}", config.node_id, config.cluster_id);
    let log = LogStore::open(&config.data_dir.join("log"), &owner)?;
    let file = Arc::new(SnapshotFile::new(config.data_dir.clone()));
    let inner = match file.load() {
        Ok(inner) => inner.unwrap_or_default(),
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            return Err(OpenError::Corrupt(error.to_string()));
        }
        Err(error) => return Err(OpenError::Io(error)),
    };
    Ok(Disk {
        lock,
        log,
        applied: Arc::new(Applied::new(inner)),
        file,
    })
}

/// Held for as long as the file is open.
fn lock(folder: &Path) -> Result<File, OpenError> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(folder.join("lock"))?;
    match file.try_lock_exclusive() {
        Ok(true) => Ok(file),
        Ok(false) => Err(OpenError::Locked(folder.to_owned())),
        Err(error) => Err(OpenError::Io(error)),
    }
}

fn settings(config: &RaftConfig) -> Result<openraft::Config, OpenError> {
    let tick = u64::try_from(config.tick.as_millis()).unwrap_or(100);
    let settings = openraft::Config {
        cluster_name: config.cluster_id.clone(),
        heartbeat_interval: tick,
        election_timeout_min: tick * 3,
        election_timeout_max: tick * 6,
        snapshot_policy: RaftSnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: 0,
        purge_batch_size: 64,
        ..openraft::Config::default()
    };
    settings
        .validate()
        .map_err(|error| OpenError::Raft(error.to_string()))
}
