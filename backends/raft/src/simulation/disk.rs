//! A node's disk: what was synced survives a crash, what was not is lost.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::ops::Bound;
use std::ops::RangeBounds;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use leasehold_backend_api::Levels;
use leasehold_machine::PlantedBug;
use openraft::RaftLogReader;
use openraft::storage::IOFlushed;
use openraft::storage::LogState;
use openraft::storage::RaftLogStorage;
use openraft::type_config::TypeConfigExt;
use rand::RngExt;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::mpsc;
use tokio::sync::oneshot;

use super::runtime::SimTypes;
use crate::entry::Entry;
use crate::entry::LogId;
use crate::entry::Vote;
use crate::outbox::Applied;
use crate::outbox::Inner;
use crate::snapshot;
use crate::snapshot::Snapshot;
use crate::snapshot::SnapshotBytes;
use crate::snapshot::Snapshots;

/// One sync takes up to this, in microseconds.
const SYNC_US_MAX: u64 = 4_000;
/// A disk that lies writes after this.
const LATE: Duration = Duration::from_millis(400);

/// A log, or a part of it.
#[derive(Debug, Clone, Default)]
struct Log {
    entries: BTreeMap<u64, Entry>,
    vote: Option<Vote>,
    purged: Option<LogId>,
}

/// One change of it.
#[derive(Debug, Clone)]
enum Change {
    Put(Entry),
    Vote(Vote),
    Truncate { from: u64 },
    Purge(LogId),
}

impl Log {
    fn change(&mut self, change: Change) {
        match change {
            Change::Put(entry) => {
                self.entries.insert(entry.log_id.index, entry);
            }
            Change::Vote(vote) => self.vote = Some(vote),
            Change::Truncate { from } => {
                self.entries.split_off(&from);
            }
            Change::Purge(id) => {
                self.purged = Some(id);
                self.entries = self.entries.split_off(&(id.index + 1));
            }
        }
    }
}

/// What a node finds when it starts.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    log: Mutex<Log>,
    snapshot: Mutex<Option<SnapshotBytes>>,
}

impl Disk {
    /// What the snapshot holds.
    pub(crate) fn inner(&self) -> Inner {
        let bytes = self.snapshot.lock().unwrap();
        let inner = bytes
            .as_ref()
            .map(|bytes| snapshot::decode(bytes, Levels::of_build()).unwrap());
        inner.unwrap_or_default()
    }
}

/// Snapshots on that disk. A file is replaced as a whole.
#[derive(Debug)]
pub(crate) struct Shelf {
    pub(crate) disk: Arc<Disk>,
    pub(crate) alive: Arc<AtomicBool>,
}

impl Shelf {
    fn keep(&self, bytes: &SnapshotBytes) -> io::Result<()> {
        if !self.alive.load(Ordering::SeqCst) {
            return Err(io::Error::other("crashed"));
        }
        *self.disk.snapshot.lock().unwrap() = Some(bytes.clone());
        Ok(())
    }
}

#[async_trait]
impl Snapshots for Shelf {
    async fn take(&self, applied: Arc<Applied>) -> io::Result<Snapshot> {
        let (meta, bytes) = snapshot::encode(&applied);
        self.keep(&bytes)?;
        Ok(Snapshot {
            meta,
            snapshot: bytes,
        })
    }

    async fn install(&self, bytes: SnapshotBytes) -> io::Result<Inner> {
        let inner = snapshot::decode(&bytes, Levels::of_build())?;
        self.keep(&bytes)?;
        Ok(inner)
    }

    async fn current(&self) -> io::Result<Option<Snapshot>> {
        let bytes = self.disk.snapshot.lock().unwrap().clone();
        let Some(bytes) = bytes else { return Ok(None) };
        let meta = snapshot::meta(&snapshot::decode(&bytes, Levels::of_build())?);
        Ok(Some(Snapshot {
            meta,
            snapshot: bytes,
        }))
    }
}

enum Told {
    Raft(IOFlushed<SimTypes>),
    Caller(oneshot::Sender<()>),
}

struct Job {
    changes: Vec<Change>,
    told: Told,
}

/// A running node's log: it reads what it has written, and a crash shows what it has synced.
#[derive(Clone)]
pub(crate) struct SimLog {
    written: Arc<Mutex<Log>>,
    jobs: mpsc::UnboundedSender<Job>,
}

impl Debug for SimLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimLog").finish_non_exhaustive()
    }
}

impl SimLog {
    /// Opens what the disk holds. Nothing is synced any more once `alive` is false.
    pub(crate) fn open(disk: Arc<Disk>, alive: Arc<AtomicBool>, seed: u64) -> Self {
        let written = disk.log.lock().unwrap().clone();
        let (jobs, waiting) = mpsc::unbounded_channel();
        let rng = StdRng::seed_from_u64(seed);
        let _detached = SimTypes::spawn(sync(disk, alive, waiting, rng));
        Self {
            written: Arc::new(Mutex::new(written)),
            jobs,
        }
    }

    fn submit(&self, changes: Vec<Change>, told: Told) {
        let mut written = self.written.lock().unwrap();
        for change in &changes {
            written.change(change.clone());
        }
        // The disk's task ends only with the node.
        let _ = self.jobs.send(Job { changes, told });
    }

    async fn change(&self, change: Change) -> io::Result<()> {
        let (told, done) = oneshot::channel();
        self.submit(vec![change], Told::Caller(told));
        done.await.map_err(io::Error::other)
    }
}

/// The writer: all that waits becomes durable with one sync, in order, and is answered then.
async fn sync(
    disk: Arc<Disk>,
    alive: Arc<AtomicBool>,
    mut waiting: mpsc::UnboundedReceiver<Job>,
    mut rng: StdRng,
) {
    while let Some(first) = waiting.recv().await {
        let mut jobs = vec![first];
        while let Ok(job) = waiting.try_recv() {
            jobs.push(job);
        }
        let (mut changes, mut told) = (Vec::new(), Vec::new());
        for job in jobs {
            changes.extend(job.changes);
            told.push(job.told);
        }
        SimTypes::sleep(Duration::from_micros(rng.random_range(50..SYNC_US_MAX))).await;
        if PlantedBug::SkipFsync.is_planted() {
            answer(std::mem::take(&mut told));
            SimTypes::sleep(LATE).await;
        }
        if !alive.load(Ordering::SeqCst) {
            // A crash while it was being written: a part of it may be there all the same.
            changes.truncate(rng.random_range(0..=changes.len()));
        }
        let mut log = disk.log.lock().unwrap();
        changes.into_iter().for_each(|change| log.change(change));
        drop(log);
        if !alive.load(Ordering::SeqCst) {
            return;
        }
        answer(told);
    }
}

fn answer(told: Vec<Told>) {
    for told in told {
        match told {
            Told::Raft(flushed) => flushed.io_completed(Ok(())),
            Told::Caller(caller) => {
                let _ = caller.send(());
            }
        }
    }
}

impl RaftLogReader<SimTypes> for SimLog {
    async fn try_get_log_entries<R>(&mut self, range: R) -> Result<Vec<Entry>, io::Error>
    where
        R: RangeBounds<u64> + Clone + Debug + Send,
    {
        let bounds = (range.start_bound().cloned(), range.end_bound().cloned());
        let empty = match bounds {
            (Bound::Included(from), Bound::Excluded(to)) => from >= to,
            _ => false,
        };
        if empty {
            return Ok(Vec::new());
        }
        let written = self.written.lock().unwrap();
        Ok(written
            .entries
            .range(bounds)
            .map(|(_, e)| e.clone())
            .collect())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.written.lock().unwrap().vote)
    }
}

impl RaftLogStorage<SimTypes> for SimLog {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<SimTypes>, io::Error> {
        let written = self.written.lock().unwrap();
        let last = written.entries.values().next_back();
        Ok(LogState {
            last_purged_log_id: written.purged,
            last_log_id: last.map(|entry| entry.log_id).max(written.purged),
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        self.change(Change::Vote(*vote)).await
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: IOFlushed<SimTypes>,
    ) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        let changes = entries.into_iter().map(Change::Put).collect();
        self.submit(changes, Told::Raft(callback));
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        let from = last.map_or(0, |id| id.index + 1);
        self.change(Change::Truncate { from }).await
    }

    async fn purge(&mut self, up_to: LogId) -> Result<(), io::Error> {
        self.change(Change::Purge(up_to)).await
    }
}
