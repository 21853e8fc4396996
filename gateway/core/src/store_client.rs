//! The client of one store: the only holder of its backend on the way of a request. It measures
//! each write, and leaves behind what safe mode judges by.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::BoxStream;
use leasehold_backend_api::Backend;
use leasehold_backend_api::BackendError;
use leasehold_backend_api::Batch;
use leasehold_backend_api::ErrorKind;
use leasehold_backend_api::Freshness;
use leasehold_backend_api::Health;
use leasehold_backend_api::ImportLimit;
use leasehold_domain::Action;
use leasehold_domain::Change;
use leasehold_domain::Clock;
use leasehold_domain::Command;
use leasehold_domain::Cursor;
use leasehold_domain::Event;
use leasehold_domain::HolderView;
use leasehold_domain::InvalidName;
use leasehold_domain::LeaseHandle;
use leasehold_domain::ListQuery;
use leasehold_domain::LockRef;
use leasehold_domain::LockView;
use leasehold_domain::NamespaceName;
use leasehold_domain::Note;
use leasehold_domain::Operation;
use leasehold_domain::Outcome;
use leasehold_domain::Page;
use leasehold_domain::Principal;
use leasehold_domain::RequestId;
use leasehold_domain::StoreName;
use leasehold_domain::Subject;
use leasehold_domain::Usage;

use crate::failure::Failure;
use crate::safety::SafeMode;
use crate::safety::Safety;
use crate::telemetry::Metrics;
use crate::telemetry::StoreMetrics;

/// One step of a record's way from one store to another.
#[derive(Debug, Clone)]
pub(crate) enum Relocation {
    /// Read it.
    Export,
    /// Put it in its place.
    Import {
        /// The number of the move.
        era: u64,
        /// What was read.
        record: Arc<[u8]>,
    },
    /// Forget it.
    Evict {
        /// The number of the move.
        era: u64,
    },
}

/// The client of one store.
#[derive(Debug)]
pub struct StoreClient {
    backend: Arc<dyn Backend>,
    clock: Arc<dyn Clock>,
    metrics: StoreMetrics,
    safe_mode: Arc<SafeMode>,
}

impl StoreClient {
    pub(crate) fn new(
        name: &StoreName,
        backend: Arc<dyn Backend>,
        clock: Arc<dyn Clock>,
        metrics: &Metrics,
        safety: &Safety,
    ) -> Self {
        let counted = metrics.of_safe_mode(name);
        Self {
            safe_mode: Arc::new(SafeMode::new(name, safety, counted)),
            metrics: metrics.of_store(name),
            backend,
            clock,
        }
    }

    /// Whether this store grants, and what happens while it does not.
    pub fn safe_mode(&self) -> &Arc<SafeMode> {
        &self.safe_mode
    }

    /// How large a record may be that comes from another store; none if only memory limits it.
    pub(crate) fn import_limit(&self) -> Option<ImportLimit> {
        self.backend.import_limit()
    }

    /// Carries out steps of a namespace's move. No policy judges them: they grant nobody anything.
    pub(crate) async fn relocate(
        &self,
        steps: impl IntoIterator<Item = (LockRef, Relocation)>,
    ) -> Result<Vec<Outcome>, Failure> {
        let command = |(lock, step): (LockRef, Relocation)| Command {
            lock,
            action: match step {
                Relocation::Export => Action::Export,
                Relocation::Import { era, record } => Action::Import { era, record },
                Relocation::Evict { era } => Action::Evict { era },
            },
            cause: None,
            expect: None,
        };
        let batch = Batch {
            commands: steps.into_iter().map(command).collect(),
            ..Batch::default()
        };
        Ok(self.backend.execute(batch).await?)
    }

    /// Carries out a batch. Only for commands that were permitted, and for what the gateway itself
    /// records.
    pub(crate) async fn execute(
        &self,
        operation: Operation,
        batch: Batch,
    ) -> Result<Vec<Outcome>, Failure> {
        let evidence = self.safe_mode.evidence();
        let began = self.clock.monotonic();
        evidence.begun(began);
        let result = self.backend.execute(batch).await;
        let ended = self.clock.monotonic();
        match &result {
            Ok(_) => evidence.good(ended, operation),
            Err(error) => evidence.failed(error),
        }
        self.metrics.executed(operation, ended - began);
        Ok(result?)
    }

    /// Asks the store whether it agrees, without a write.
    pub(crate) async fn probe_by_read(&self) -> Result<(), BackendError> {
        let lock = probed()?;
        let read = self.backend.read(&lock, Freshness::Linearizable).await;
        read.map(|_| ())
    }

    /// Asks the store whether it agrees, the way that commands go. Nothing is changed by it.
    pub(crate) async fn probe_by_write(&self) -> Result<(), BackendError> {
        let nothing = Command {
            lock: probed()?,
            action: Action::Tick,
            cause: None,
            expect: None,
        };
        self.backend.execute(Batch::one(nothing)).await.map(|_| ())
    }

    /// Makes durable what the ledger shall tell of the store itself.
    pub(crate) async fn record(&self, changes: Vec<Change>) -> Result<(), BackendError> {
        let note = |change| Note::Governance(Box::new(change));
        let batch = Batch {
            notes: changes.into_iter().map(note).collect(),
            ..Batch::default()
        };
        self.backend.execute(batch).await.map(|_| ())
    }

    /// Time since some fixed instant of this process.
    pub(crate) fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }

    /// One lock, linearizably.
    pub(crate) async fn view(&self, lock: &LockRef) -> Result<LockView, Failure> {
        Ok(self.backend.read(lock, Freshness::Linearizable).await?)
    }

    /// One lock, as fresh as asked.
    pub(crate) async fn read(
        &self,
        lock: &LockRef,
        freshness: Freshness,
    ) -> Result<LockView, Failure> {
        Ok(self.backend.read(lock, freshness).await?)
    }

    /// The holder of a lease; `None` if it is not held. When and under which policies it was granted
    /// never changes, so an old view is good enough for those if it has the lease.
    pub(crate) async fn holder(
        &self,
        lock: &LockRef,
        lease: LeaseHandle,
    ) -> Result<Option<HolderView>, Failure> {
        let old = Freshness::Stale {
            max_age_ms: u64::MAX,
        };
        for freshness in [old, Freshness::Linearizable] {
            let mut holders = self.read(lock, freshness).await?.holders.into_iter();
            if let Some(holder) = holders.find(|holder| holder.handle == lease) {
                return Ok(Some(holder));
            }
        }
        Ok(None)
    }

    /// Locks of a namespace.
    pub(crate) async fn list(&self, query: ListQuery) -> Result<Page<LockView>, Failure> {
        Ok(self.backend.list(query).await?)
    }

    /// What a principal and its team hold.
    pub(crate) async fn usage(
        &self,
        namespace: &NamespaceName,
        principal: &Principal,
    ) -> Result<Usage, Failure> {
        let team = principal.team.as_ref();
        Ok(self
            .backend
            .usage(namespace, &principal.subject, team)
            .await?)
    }

    /// Whether a subject holds a lease of a lock that it asked for by this request.
    pub(crate) async fn holds(
        &self,
        lock: &LockRef,
        subject: &Subject,
        request_id: &RequestId,
    ) -> Result<bool, Failure> {
        Ok(self.backend.holds(lock, subject, request_id).await?)
    }

    /// What happens, from a cursor on.
    pub(crate) fn events(
        &self,
        after: Cursor,
    ) -> BoxStream<'static, Result<Arc<Event>, BackendError>> {
        self.backend.events(after)
    }

    /// How the backend is.
    pub async fn health(&self) -> Health {
        self.backend.health().await
    }
}

/// The lock by which probes ask. It need not exist, and if it does, nothing happens to it.
fn probed() -> Result<LockRef, BackendError> {
    let impossible =
        |error: InvalidName| BackendError::without_effect(ErrorKind::Invalid, error.to_string());
    "leasehold/probe".parse().map_err(impossible)
}
