use std::sync::Mutex;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use futures_util::stream;
use leasehold_backend_api::Batch;
use leasehold_backend_api::ErrorKind;
use leasehold_backend_api::Freshness;
use leasehold_backend_api::Health;
use leasehold_backend_api::StoreHistory;
use leasehold_backend_api::Writes;
use leasehold_domain as domain;
use leasehold_domain::EventKind;
use leasehold_domain::FeatureLevel;
use leasehold_domain::Transition;

use super::*;
use crate::LedgerOptions;
use crate::SqliteLedger;

/// A backend that has nothing but events, and fails as often as told.
#[derive(Debug)]
pub(crate) struct Journal {
    events: Mutex<Vec<Arc<Event>>>,
    newest: watch::Sender<u64>,
    pub(crate) trimmed: AtomicU64,
    pub(crate) ledger: Mutex<Option<LedgerHead>>,
    failures: AtomicU32,
    kind: ErrorKind,
}

impl Journal {
    pub(crate) fn new(failures: u32, kind: ErrorKind) -> Arc<Self> {
        Arc::new(Self {
            events: Mutex::default(),
            newest: watch::Sender::new(0),
            trimmed: AtomicU64::new(0),
            ledger: Mutex::default(),
            failures: AtomicU32::new(failures),
            kind,
        })
    }

    /// Another store's events.
    pub(crate) fn strange(count: u64) -> Arc<Self> {
        let journal = Self::new(0, ErrorKind::Unavailable);
        journal.add_of(count, "demo/b");
        journal
    }

    pub(crate) fn add(&self, count: u64) {
        self.add_of(count, "demo/a");
    }

    fn add_of(&self, count: u64, lock: &str) {
        let mut events = self.events.lock().unwrap();
        for _ in 0..count {
            let cursor = events.len() as u64 + 1;
            events.push(Arc::new(Event {
                level: FeatureLevel::FIRST,
                cursor: Cursor(cursor),
                now: domain::Millis(cursor),
                wall: domain::WallMillis(cursor),
                kind: EventKind::Lock {
                    lock: lock.parse().unwrap(),
                    cause: None,
                    transitions: vec![Transition::CoolingDown { remaining_ms: 1 }],
                },
            }));
        }
        self.newest.send_replace(events.len() as u64);
    }

    fn next(&self, after: u64) -> Option<Result<Arc<Event>, BackendError>> {
        let failures = &self.failures;
        let fails = failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        if fails.is_ok() {
            return Some(Err(BackendError::without_effect(self.kind, "as told")));
        }
        let events = self.events.lock().unwrap();
        events
            .get(usize::try_from(after).unwrap())
            .map(|event| Ok(event.clone()))
    }
}

/// What the carrier holds of it.
#[derive(Debug)]
pub(crate) struct Source(pub(crate) Arc<Journal>);

#[async_trait]
impl Backend for Source {
    async fn execute(&self, _: Batch) -> Result<Vec<domain::Outcome>, BackendError> {
        unreachable!("the carrier sends no commands")
    }

    async fn read(
        &self,
        _: &domain::LockRef,
        _: Freshness,
    ) -> Result<domain::LockView, BackendError> {
        unreachable!("the carrier reads no locks")
    }

    async fn list(
        &self,
        _: domain::ListQuery,
    ) -> Result<domain::Page<domain::LockView>, BackendError> {
        unreachable!("the carrier lists no locks")
    }

    async fn usage(
        &self,
        _: &domain::NamespaceName,
        _: &domain::Subject,
        _: Option<&domain::TeamName>,
    ) -> Result<domain::Usage, BackendError> {
        unreachable!("the carrier counts no leases")
    }

    async fn holds(
        &self,
        _: &domain::LockRef,
        _: &domain::Subject,
        _: &domain::RequestId,
    ) -> Result<bool, BackendError> {
        unreachable!("the carrier looks for no lease")
    }

    fn events(&self, after: Cursor) -> BoxStream<'static, Result<Arc<Event>, BackendError>> {
        let newest = self.0.newest.subscribe();
        stream::unfold(
            (self.0.clone(), newest, after.0),
            |(journal, mut newest, after)| async move {
                newest.wait_for(|newest| *newest > after).await.ok()?;
                let event = journal.next(after)?;
                let after = after + u64::from(event.is_ok());
                Some((event, (journal, newest, after)))
            },
        )
        .boxed()
    }

    async fn trim(&self, up_to: LedgerHead) -> Result<(), BackendError> {
        self.0.trimmed.store(up_to.cursor.0, Ordering::SeqCst);
        *self.0.ledger.lock().unwrap() = Some(up_to);
        Ok(())
    }

    async fn history(&self) -> Result<StoreHistory, BackendError> {
        Ok(StoreHistory {
            id: domain::StoreId::from_bytes([1; 16]),
            newest: Cursor(*self.0.newest.borrow()),
            trimmed: Cursor(self.0.trimmed.load(Ordering::SeqCst)),
            revision: *self.0.newest.borrow(),
            ledger: *self.0.ledger.lock().unwrap(),
            begins_after: None,
        })
    }

    async fn health(&self) -> Health {
        Health {
            ready: true,
            detail: String::new(),
            newest: Cursor(*self.0.newest.borrow()),
            trimmed: Cursor(self.0.trimmed.load(Ordering::SeqCst)),
            counts: domain::Counts::default(),
            writes: Writes::default(),
        }
    }

    async fn close(&self) {}
}

pub(crate) fn options() -> CarrierOptions {
    CarrierOptions {
        batch_events: 7,
        keep_events: 0,
        backoff_max: Duration::from_millis(100),
        ..CarrierOptions::default()
    }
}

pub(crate) fn ledger(folder: &tempfile::TempDir) -> Arc<SqliteLedger> {
    let path = folder.path().join("ledger");
    Arc::new(SqliteLedger::open(&path, LedgerOptions::default()).unwrap())
}

#[tokio::test]
async fn all_events_are_carried_in_spite_of_errors_and_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::new(4, ErrorKind::Unavailable);
    for round in 1..=3 {
        let ledger = ledger(&folder);
        let status = Arc::new(CarrierStatus::default());
        let (stop, stopped) = watch::channel(false);
        let backend: Arc<dyn Backend> = Arc::new(Source(journal.clone()));
        let carrier = tokio::spawn(carry(
            backend,
            ledger.clone(),
            Elsewhere::default(),
            options(),
            status.clone(),
            stopped,
        ));
        journal.add(50);
        // What is there when the shutdown begins is carried, too.
        stop.send_replace(true);
        carrier.await.unwrap().unwrap();
        assert_eq!(ledger.head().cursor, Cursor(50 * round));
        assert_eq!(status.lag_events(), 0);
        assert_eq!(status.last_error(), None);
        assert_eq!(journal.trimmed.load(Ordering::SeqCst), 50 * round);
        assert_eq!(ledger.verify().await.unwrap(), None);
    }
    assert_eq!(journal.failures.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn events_are_carried_while_it_runs_and_trimmed_but_for_the_newest() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::new(0, ErrorKind::Unavailable);
    let ledger = ledger(&folder);
    let status = Arc::new(CarrierStatus::default());
    let (stop, stopped) = watch::channel(false);
    let backend: Arc<dyn Backend> = Arc::new(Source(journal.clone()));
    let carrier = tokio::spawn(carry(
        backend,
        ledger.clone(),
        Elsewhere::default(),
        CarrierOptions {
            keep_events: 30,
            ..options()
        },
        status.clone(),
        stopped,
    ));
    for round in 1..=5 {
        journal.add(20);
        let carried = async {
            while status.ledger_head() < Cursor(20 * round) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), carried)
            .await
            .unwrap();
    }
    drop(stop);
    carrier.await.unwrap().unwrap();
    assert_eq!(journal.trimmed.load(Ordering::SeqCst), 70);
}

#[tokio::test]
async fn an_error_that_will_not_pass_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::new(1, ErrorKind::Trimmed);
    journal.add(1);
    let (_stop, stopped) = watch::channel(false);
    let status = Arc::new(CarrierStatus::default());
    let backend: Arc<dyn Backend> = Arc::new(Source(journal.clone()));
    let carried = carry(
        backend,
        ledger(&folder),
        Elsewhere::default(),
        options(),
        status.clone(),
        stopped,
    )
    .await;
    assert!(matches!(carried, Err(CarryError::Backend(error)) if error.kind == ErrorKind::Trimmed));
    assert_eq!(
        status.last_error().as_deref(),
        Some("reading events: Trimmed: as told")
    );
    assert_eq!(status.lag_events(), 1);
}

#[tokio::test]
async fn nothing_is_trimmed_that_the_archive_lacks_and_the_rest_without_new_events() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::new(0, ErrorKind::Unavailable);
    let status = Arc::new(CarrierStatus::default());
    let (archive, archived) = watch::channel(Cursor(0));
    let (_stop, stopped) = watch::channel(false);
    let backend: Arc<dyn Backend> = Arc::new(Source(journal.clone()));
    let elsewhere = Elsewhere {
        archived: Some(archived),
        ..Elsewhere::default()
    };
    let options = CarrierOptions {
        trim_every: Duration::from_millis(5),
        ..options()
    };
    journal.add(20);
    tokio::spawn(carry(
        backend,
        ledger(&folder),
        elsewhere,
        options,
        status.clone(),
        stopped,
    ));
    assert!(status.reached(Cursor(20), Duration::from_secs(20)).await);
    for up_to in [7, 20] {
        archive.send_replace(Cursor(up_to));
        let trimmed = async {
            while journal.trimmed.load(Ordering::SeqCst) < up_to {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let trimmed = tokio::time::timeout(Duration::from_secs(20), trimmed).await;
        trimmed.expect("it trims");
        assert_eq!(journal.trimmed.load(Ordering::SeqCst), up_to);
    }
}
