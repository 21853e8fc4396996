//! The embedded ledger: `SQLite`, one writing thread, readers on their own connections.

mod holders;
mod job;
mod maintenance;
mod namespaces;
mod proofs;
mod query;
mod reader;
mod recover;
mod reopen;
mod rule;
mod schema;
mod state;
mod store;
mod tree;
mod verify;
mod writer;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;

use async_trait::async_trait;
use leasehold_backend_api::BackendError;
use leasehold_backend_api::Holders;
use leasehold_backend_api::Ledger;
use leasehold_backend_api::LedgerHead;
use leasehold_backend_api::LedgerPage;
use leasehold_backend_api::LedgerQuery;
use leasehold_backend_api::TreeHead;
use leasehold_backend_api::TreeQuestion;
use leasehold_domain::Cursor;
use leasehold_domain::Digest;
use leasehold_domain::Event;
use leasehold_domain::FeatureLevel;
use leasehold_domain::LockRef;
use leasehold_domain::NamespaceName;
use leasehold_domain::StoreId;
use leasehold_domain::WallMillis;
use tokio::sync::oneshot;

use crate::OpenError;
use crate::error::closed;
use job::Job;
use reader::Readers;
use reopen::Source;
use state::Shared;

/// How a ledger is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerOptions {
    /// The backend's name, written into every event. A ledger is of one backend.
    pub backend: String,
    /// Most events in a segment, 1 to 65,536. Fixed when the ledger is made; later openings keep
    /// it.
    pub segment_events: u32,
    /// A segment takes no more events once their canonical bytes are so many; at least 1. So it is
    /// what bounds the time to open a ledger. Fixed when the ledger is made, as well.
    pub segment_bytes: u32,
    /// The feature level of the store: the file is migrated to what it allows, and no further. A file
    /// that was migrated further stays as it is.
    pub level: FeatureLevel,
}

impl Default for LedgerOptions {
    fn default() -> Self {
        Self {
            backend: "default".to_owned(),
            segment_events: 65_536,
            segment_bytes: 64 * 1_024 * 1_024,
            level: FeatureLevel::FIRST,
        }
    }
}

/// A ledger in one `SQLite` file. Dropping it finishes the write under way and ends its threads.
#[derive(Debug)]
pub struct SqliteLedger {
    shared: Arc<Shared>,
    readers: Arc<Readers>,
    path: PathBuf,
    jobs: mpsc::Sender<Job>,
    writer: Option<JoinHandle<()>>,
}

impl SqliteLedger {
    /// Opens the ledger at `path`, and makes it if there is none. Reads the open segment to
    /// rebuild its index, and checks it against the hash chain. Blocks; one process at a time.
    ///
    /// # Errors
    /// If the file is no ledger, another backend's, of a newer schema, or does not fit its chain.
    pub fn open(path: &Path, options: LedgerOptions) -> Result<Self, OpenError> {
        Self::start(path, &options, true)
    }

    /// Opens; a test may keep full segments from being closed, as a crash does.
    fn start(path: &Path, options: &LedgerOptions, close: bool) -> Result<Self, OpenError> {
        let connection = store::open(path, options)?;
        let recovered = recover::recover(&connection, options)?;
        let of = store::read_store(&connection)?;
        let shared = Arc::new(Shared::new(options.backend.clone(), recovered.state, of));
        let (jobs, queue) = mpsc::channel();
        let upkeep = maintenance::start(store::connect(path, 256)?, jobs.clone(), close)?;
        for full in recovered.full {
            upkeep.close(full);
        }
        let source = Source::new(path, options);
        let writer = writer::start(connection, source, shared.clone(), queue, upkeep)?;
        let readers = Arc::new(Readers::new(path));
        Ok(Self {
            shared,
            readers,
            path: path.to_owned(),
            jobs,
            writer: Some(writer),
        })
    }

    /// How many bytes the index of the open segment, and of full ones not yet written, takes.
    #[must_use]
    pub fn index_bytes(&self) -> usize {
        self.shared.state().index_bytes()
    }

    /// How many events the open segment has: those that opening the ledger reads again.
    #[must_use]
    pub fn open_events(&self) -> usize {
        self.shared.state().hot.len()
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared, &Readers) -> Result<T, BackendError> + Send + 'static,
    ) -> Result<T, BackendError> {
        let (shared, readers) = (self.shared.clone(), self.readers.clone());
        tokio::task::spawn_blocking(move || work(&shared, &readers))
            .await
            .map_err(|_| closed())?
    }
}

impl Drop for SqliteLedger {
    fn drop(&mut self) {
        // If nobody listens, or the thread panicked, there is nothing left to end.
        self.jobs.send(Job::Stop).ok();
        if let Some(writer) = self.writer.take() {
            writer.join().ok();
        }
    }
}

#[async_trait]
impl Ledger for SqliteLedger {
    fn head(&self) -> LedgerHead {
        self.shared.state().head
    }

    async fn append(&self, events: Vec<Arc<Event>>) -> Result<LedgerHead, BackendError> {
        let (answer, answered) = oneshot::channel();
        self.jobs
            .send(Job::Append(events, answer))
            .map_err(|_| closed())?;
        answered.await.map_err(|_| {
            BackendError::unknown(leasehold_backend_api::ErrorKind::Closed, "the writer ended")
        })?
    }

    fn namespace_bytes(&self, namespace: &NamespaceName) -> u64 {
        self.shared.state().bytes.of(namespace)
    }

    fn store(&self) -> Option<StoreId> {
        self.shared.store()
    }

    async fn set_store(&self, id: StoreId) -> Result<(), BackendError> {
        let path = self.path.clone();
        let written = tokio::task::spawn_blocking(move || store::write_store(&path, id));
        written
            .await
            .map_err(|_| closed())?
            .map_err(|error| crate::error::unknown(&error))?;
        self.shared.set_store(id);
        Ok(())
    }

    fn chain_after(&self, before: &Digest, event: &Event) -> Digest {
        let mut body = Vec::new();
        crate::canonical::write(&self.shared.backend, event, &mut body);
        crate::chain::after(before, &body)
    }

    async fn chain_at(&self, cursor: Cursor) -> Result<Option<Digest>, BackendError> {
        let (start, head) = {
            let state = self.shared.state();
            (state.start, state.head)
        };
        if cursor == head.cursor {
            return Ok(Some(head.chain));
        }
        if cursor <= start.cursor || cursor > head.cursor {
            return Ok((cursor == start.cursor).then_some(start.chain));
        }
        self.read(move |_, readers| {
            readers.with(|connection| reader::Lookup::new(connection)?.row(cursor.0))
        })
        .await
        .map(|row| Some(row.chain))
    }

    async fn begin_after(&self, position: LedgerHead) -> Result<(), BackendError> {
        let occupied = || {
            let detail = "a ledger with events cannot begin elsewhere";
            BackendError::without_effect(leasehold_backend_api::ErrorKind::Invalid, detail)
        };
        if !self.shared.state().is_empty() {
            return Err(occupied());
        }
        let path = self.path.clone();
        let written = tokio::task::spawn_blocking(move || store::write_start(&path, position));
        written
            .await
            .map_err(|_| closed())?
            .map_err(|error| crate::error::unknown(&error))?;
        match self.shared.state().begin_after(position) {
            true => Ok(()),
            false => Err(occupied()),
        }
    }

    async fn query(&self, query: LedgerQuery) -> Result<LedgerPage, BackendError> {
        self.read(move |shared, readers| query::query(shared, readers, &query))
            .await
    }

    async fn holders(&self, lock: &LockRef, at: WallMillis) -> Result<Holders, BackendError> {
        let lock = lock.clone();
        self.read(move |shared, readers| holders::holders(shared, readers, &lock, at))
            .await
    }

    async fn raise_level(&self, level: FeatureLevel) -> Result<(), BackendError> {
        let (answer, answered) = oneshot::channel();
        let raise = Job::Raise(level, answer);
        self.jobs.send(raise).map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }

    fn tree(&self) -> TreeHead {
        let state = self.shared.state();
        TreeHead {
            size: state.tree.size(),
            root: state.tree.root(),
            before: state.start.cursor,
        }
    }

    async fn tree_hashes(&self, question: TreeQuestion) -> Result<Vec<Digest>, BackendError> {
        self.read(move |shared, readers| proofs::hashes(shared, readers, &question))
            .await
    }

    async fn verify(&self) -> Result<Option<Cursor>, BackendError> {
        self.read(verify::verify).await
    }
}
