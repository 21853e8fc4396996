//! A stream of events that cannot be read.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

use async_trait::async_trait;
use futures_util::stream;
use futures_util::stream::BoxStream;
use leasehold_backend_api::BackendError;
use leasehold_backend_api::Batch;
use leasehold_backend_api::ErrorKind;
use leasehold_backend_api::Freshness;
use leasehold_backend_api::Health;
use leasehold_backend_api::LedgerHead;
use leasehold_backend_api::StoreHistory;
use leasehold_backend_memory::MemoryBackend;
use leasehold_domain as domain;
use leasehold_domain::LeaseId;
use leasehold_domain::SystemClock;

use super::*;
use crate::tasks::supervise;

/// A store whose stream of events fails, or panics once.
#[derive(Debug)]
struct Corrupt {
    store: Arc<MemoryBackend>,
    opened: AtomicUsize,
    panics: bool,
}

#[async_trait]
impl Backend for Corrupt {
    async fn execute(&self, batch: Batch) -> Result<Vec<domain::Outcome>, BackendError> {
        self.store.execute(batch).await
    }

    async fn read(
        &self,
        lock: &domain::LockRef,
        freshness: Freshness,
    ) -> Result<domain::LockView, BackendError> {
        self.store.read(lock, freshness).await
    }

    async fn list(
        &self,
        query: domain::ListQuery,
    ) -> Result<domain::Page<domain::LockView>, BackendError> {
        self.store.list(query).await
    }

    async fn usage(
        &self,
        namespace: &domain::NamespaceName,
        subject: &domain::Subject,
        team: Option<&domain::TeamName>,
    ) -> Result<domain::Usage, BackendError> {
        self.store.usage(namespace, subject, team).await
    }

    async fn holds(
        &self,
        lock: &domain::LockRef,
        subject: &domain::Subject,
        request_id: &domain::RequestId,
    ) -> Result<bool, BackendError> {
        self.store.holds(lock, subject, request_id).await
    }

    fn events(&self, after: Cursor) -> BoxStream<'static, Result<Arc<Event>, BackendError>> {
        let opened = self.opened.fetch_add(1, SeqCst);
        assert!(!self.panics || opened > 0, "as told");
        match self.panics {
            true => self.store.events(after),
            false => {
                let error = BackendError::without_effect(ErrorKind::Corrupt, "as told");
                stream::iter([Err(error)]).boxed()
            }
        }
    }

    async fn trim(&self, up_to: LedgerHead) -> Result<(), BackendError> {
        self.store.trim(up_to).await
    }

    async fn history(&self) -> Result<StoreHistory, BackendError> {
        self.store.history().await
    }

    async fn health(&self) -> Health {
        self.store.health().await
    }

    async fn close(&self) {}
}

fn backend(panics: bool) -> Arc<Corrupt> {
    Arc::new(Corrupt {
        store: MemoryBackend::new(Arc::new(SystemClock::new())),
        opened: AtomicUsize::new(0),
        panics,
    })
}

fn waiter() -> LeaseHandle {
    LeaseId::from_bytes([7; 16]).handle()
}

#[tokio::test]
async fn a_stream_that_stays_corrupt_is_opened_less_and_less_often() {
    let (backend, waits) = (backend(false), Arc::new(Waits::default()));
    let mut ear = waits.listen(waiter());
    let metrics = Arc::new(Metrics::new());
    let following = tokio::spawn(waits.follow(backend.clone(), Cursor(0), metrics));
    assert_eq!(ear.hear().await, Signal::Missed);
    tokio::time::sleep(Duration::from_millis(1_600)).await;
    let opened = backend.opened.load(SeqCst);
    following.abort();
    // After 0, 100, 300, 700 and 1,500 ms.
    assert!((2..=5).contains(&opened), "opened {opened} times");
}

#[tokio::test]
async fn a_follower_that_panics_is_started_again_and_nobody_waits_in_vain() {
    let (backend, waits) = (backend(true), Arc::new(Waits::default()));
    let mut ear = waits.listen(waiter());
    let metrics = Arc::new(Metrics::new());
    let tasks = metrics.tasks().clone();
    let task = waits.clone().task(backend.clone(), Cursor(0), metrics);
    let _following = supervise("test-waits", &tasks, task);
    let told = tokio::time::timeout(Duration::from_secs(30), ear.hear()).await;
    assert_eq!(told, Ok(Signal::Missed));
    let opened = async {
        while backend.opened.load(SeqCst) < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let opened = tokio::time::timeout(Duration::from_secs(30), opened).await;
    opened.expect("it follows again");
}
