//! A store whose ledger takes nothing.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use async_trait::async_trait;
use leasehold_backend_api::Backend;
use leasehold_backend_api::BackendError;
use leasehold_backend_api::Batch;
use leasehold_backend_api::ErrorKind;
use leasehold_backend_api::Holders;
use leasehold_backend_api::Ledger;
use leasehold_backend_api::LedgerHead;
use leasehold_backend_api::LedgerPage;
use leasehold_backend_api::LedgerQuery;
use leasehold_backend_api::TreeHead;
use leasehold_backend_api::TreeQuestion;
use leasehold_backend_memory::MemoryBackend;
use leasehold_domain::Change;
use leasehold_domain::Clock;
use leasehold_domain::Cursor;
use leasehold_domain::Digest;
use leasehold_domain::Event;
use leasehold_domain::LockRef;
use leasehold_domain::Note;
use leasehold_domain::StoreId;
use leasehold_domain::StoreName;
use leasehold_domain::SystemClock;
use leasehold_domain::WallMillis;

use super::*;
use crate::bookkeeping::OtherLedgers;
use crate::caller::Caller;
use crate::safety::Safety;
use crate::safety::tests::safety;
use crate::stores::Parts;
use crate::stores::Remembered;
use crate::stores::open_ledger;
use crate::telemetry::Metrics;

/// Longer than this test takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A ledger on a disk that may be full.
#[derive(Debug)]
struct Full {
    ledger: leasehold_audit::SqliteLedger,
    is_full: AtomicBool,
}

#[async_trait]
impl Ledger for Full {
    fn head(&self) -> LedgerHead {
        self.ledger.head()
    }

    async fn append(&self, events: Vec<Arc<Event>>) -> Result<LedgerHead, BackendError> {
        match self.is_full.load(SeqCst) {
            true => Err(BackendError::without_effect(
                ErrorKind::Unavailable,
                "/secret/disk full",
            )),
            false => self.ledger.append(events).await,
        }
    }

    fn store(&self) -> Option<StoreId> {
        self.ledger.store()
    }

    async fn set_store(&self, id: StoreId) -> Result<(), BackendError> {
        self.ledger.set_store(id).await
    }

    fn chain_after(&self, before: &Digest, event: &Event) -> Digest {
        self.ledger.chain_after(before, event)
    }

    async fn chain_at(&self, cursor: Cursor) -> Result<Option<Digest>, BackendError> {
        self.ledger.chain_at(cursor).await
    }

    async fn begin_after(&self, position: LedgerHead) -> Result<(), BackendError> {
        self.ledger.begin_after(position).await
    }

    async fn query(&self, query: LedgerQuery) -> Result<LedgerPage, BackendError> {
        self.ledger.query(query).await
    }

    async fn holders(&self, lock: &LockRef, at: WallMillis) -> Result<Holders, BackendError> {
        self.ledger.holders(lock, at).await
    }

    fn tree(&self) -> TreeHead {
        self.ledger.tree()
    }

    async fn tree_hashes(&self, question: TreeQuestion) -> Result<Vec<Digest>, BackendError> {
        self.ledger.tree_hashes(question).await
    }

    async fn verify(&self) -> Result<Option<Cursor>, BackendError> {
        self.ledger.verify().await
    }
}

async fn add(backend: &MemoryBackend, events: usize) {
    let caller = Caller::gateway("test").unwrap();
    let note = |_| {
        Note::Governance(Box::new(Change {
            request_id: caller.request_id.clone(),
            principal: caller.principal.clone(),
            collection: "test".into(),
            id: "x".into(),
            digest: None,
            summary: "".into(),
        }))
    };
    let batch = Batch {
        notes: (0..events).map(note).collect(),
        ..Batch::default()
    };
    backend.execute(batch).await.unwrap();
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let so = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, so).await;
    in_time.unwrap_or_else(|_| panic!("{what}"));
}

#[tokio::test]
async fn a_ledger_that_takes_nothing_stops_grants_before_memory_is_full() {
    let folder = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let backend = MemoryBackend::new(clock.clone());
    let ledger = Arc::new(Full {
        ledger: open_ledger(folder.path()).await.unwrap(),
        is_full: AtomicBool::new(false),
    });
    let parts = Parts {
        members: crate::stores::StoreMembers::default(),
        name: StoreName::home(),
        backend: backend.clone(),
        documents: backend.clone(),
        ledger: ledger.clone(),
        others: OtherLedgers::None,
        remembered: Arc::new(Remembered::open(folder.path()).unwrap()),
        claims: crate::stores::Claims::default(),
        keep_events: 0,
    };
    let safety = Safety {
        unwritten_events_max: 20,
        ..safety()
    };
    let running = parts.run(clock, &Arc::new(Metrics::new()), &safety).await;
    let store = running.open.clone();
    add(&backend, 5).await;
    until("it is written", || ledger.head().cursor == Cursor(5)).await;

    ledger.is_full.store(true, SeqCst);
    add(&backend, 15).await;
    until("the problem is shown", || store.ledger_problem().is_some()).await;
    let problem = store.ledger_problem().unwrap();
    assert!(problem.contains("15 events"), "{problem}");
    assert!(!problem.contains("secret"), "{problem}");
    assert!(store.admit(Operation::Acquire).is_ok());

    add(&backend, 10).await;
    until("grants stop", || store.admit(Operation::Acquire).is_err()).await;
    let refused = store.admit(Operation::Transfer).unwrap_err();
    assert_eq!(refused.kind, FailureKind::Unavailable);
    assert_eq!(refused.effect, leasehold_backend_api::Effect::None);
    assert!(refused.retry_after_ms.is_some());
    assert!(store.admit(Operation::Renew).is_ok());
    add(&backend, 20).await;
    until("renewals stop", || store.admit(Operation::Renew).is_err()).await;
    assert!(store.admit(Operation::Release).is_ok());

    ledger.is_full.store(false, SeqCst);
    until("grants go on", || store.admit(Operation::Acquire).is_ok()).await;
    until("all is written", || store.carrier.unwritten_events() == 0).await;
    assert_eq!(store.ledger_problem(), None);
    assert_eq!(ledger.verify().await.unwrap(), None);
    running.close().await;
}
