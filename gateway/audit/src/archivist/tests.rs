//! An archive in memory that two gateways extend.

use std::sync::Mutex;

use async_trait::async_trait;
use leasehold_backend_api::ErrorKind;
use leasehold_backend_api::LedgerPeers;
use leasehold_domain as domain;
use leasehold_domain::Digest;
use leasehold_domain::Event;
use leasehold_domain::EventKind;
use leasehold_domain::FeatureLevel;
use leasehold_domain::Transition;

use super::*;
use crate::LedgerOptions;
use crate::SqliteLedger;

/// Compares and adds under one mutex; fails as often as told.
#[derive(Debug, Default)]
struct Shelf {
    rows: Mutex<Vec<LedgerRow>>,
    failures: Mutex<u32>,
}

impl Shelf {
    fn end(rows: &[LedgerRow]) -> LedgerHead {
        rows.last().map_or(START, |row| LedgerHead {
            cursor: row.cursor,
            chain: row.chain,
        })
    }

    fn fail(&self) -> Result<(), BackendError> {
        let mut failures = self.failures.lock().unwrap();
        if *failures == 0 {
            return Ok(());
        }
        *failures -= 1;
        Err(BackendError::unknown(ErrorKind::Unavailable, "as told"))
    }
}

const START: LedgerHead = LedgerHead {
    cursor: Cursor(0),
    chain: Digest([0; 32]),
};

#[async_trait]
impl LedgerPeers for Shelf {
    async fn rows(&self, after: Cursor) -> Result<Vec<LedgerRow>, BackendError> {
        let rows = self.rows.lock().unwrap();
        Ok(rows.iter().filter(|r| r.cursor > after).cloned().collect())
    }
}

#[async_trait]
impl LedgerArchive for Shelf {
    async fn archived(&self) -> Result<LedgerHead, BackendError> {
        self.fail()?;
        Ok(Self::end(&self.rows.lock().unwrap()))
    }

    async fn extend(
        &self,
        after: LedgerHead,
        new: Vec<LedgerRow>,
    ) -> Result<LedgerHead, BackendError> {
        let end = {
            let mut rows = self.rows.lock().unwrap();
            if Self::end(&rows) == after {
                rows.extend(new);
            }
            Self::end(&rows)
        };
        // Lost on the way back: it took effect all the same.
        self.fail()?;
        Ok(end)
    }
}

fn event(cursor: u64, remaining_ms: u64) -> Arc<Event> {
    Arc::new(Event {
        level: FeatureLevel::FIRST,
        cursor: Cursor(cursor),
        now: domain::Millis(cursor),
        wall: domain::WallMillis(cursor),
        kind: EventKind::Lock {
            lock: "demo/a".parse().unwrap(),
            cause: None,
            transitions: vec![Transition::CoolingDown { remaining_ms }],
        },
    })
}

/// A gateway: a ledger, how far it is, and its archivist.
struct Gateway {
    ledger: Arc<SqliteLedger>,
    carried: Arc<CarrierStatus>,
    archived: watch::Receiver<Cursor>,
    stop: watch::Sender<bool>,
    archivist: tokio::task::JoinHandle<Result<(), ArchiveError>>,
    _folder: tempfile::TempDir,
}

impl Gateway {
    fn start(shelf: &Arc<Shelf>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        let ledger = Arc::new(SqliteLedger::open(&path, LedgerOptions::default()).unwrap());
        let carried = Arc::new(CarrierStatus::default());
        let (sender, archived) = watch::channel(Cursor(0));
        let (stop, stopped) = watch::channel(false);
        let options = ArchivistOptions {
            every: Duration::from_millis(1),
            rest: Duration::from_millis(5),
            backoff_max: Duration::from_millis(100),
            ..ArchivistOptions::default()
        };
        let archivist = tokio::spawn(archive(
            ledger.clone(),
            shelf.clone(),
            options,
            carried.clone(),
            sender,
            stopped,
        ));
        Self {
            ledger,
            carried,
            archived,
            stop,
            archivist,
            _folder: folder,
        }
    }

    async fn append(&self, from: u64, to: u64) {
        let events = (from + 1..=to).map(|cursor| event(cursor, 1)).collect();
        let head = self.ledger.append(events).await.unwrap();
        self.carried.head(head.cursor);
    }

    async fn archived(&mut self, cursor: u64) {
        let reached = self.archived.wait_for(|archived| archived.0 >= cursor);
        let reached = tokio::time::timeout(Duration::from_secs(20), reached).await;
        assert!(reached.is_ok_and(|reached| reached.is_ok()), "{cursor}");
    }

    async fn end(self) -> Result<(), ArchiveError> {
        self.stop.send_replace(true);
        self.archivist.await.unwrap()
    }
}

#[tokio::test]
async fn two_gateways_keep_one_archive_without_gaps() {
    let shelf = Arc::new(Shelf::default());
    *shelf.failures.lock().unwrap() = 3;
    let (mut one, mut two) = (Gateway::start(&shelf), Gateway::start(&shelf));
    for round in 0..30 {
        let (from, to) = (round * 50, round * 50 + 50);
        one.append(from, to).await;
        two.append(from, to).await;
        one.archived(to).await;
        two.archived(to).await;
    }
    assert_eq!(*shelf.failures.lock().unwrap(), 0);
    let rows = shelf.rows.lock().unwrap().clone();
    assert_eq!(rows.len(), 1_500);
    assert!(rows.iter().zip(1..).all(|(row, n)| row.cursor.0 == n));
    assert_eq!(Shelf::end(&rows), one.ledger.head());
    // When one ends the other goes on.
    let ledger = one.ledger.clone();
    one.end().await.unwrap();
    assert_eq!(ledger.head().cursor, Cursor(1_500));
    two.append(1_500, 1_600).await;
    two.archived(1_600).await;
    two.end().await.unwrap();
}

#[tokio::test]
async fn what_the_ledger_has_at_the_shutdown_is_archived() {
    let shelf = Arc::new(Shelf::default());
    let gateway = Gateway::start(&shelf);
    gateway.append(0, 2_500).await;
    gateway.end().await.unwrap();
    assert_eq!(shelf.rows.lock().unwrap().len(), 2_500);
}

#[tokio::test]
async fn an_archive_that_differs_is_not_extended() {
    let shelf = Arc::new(Shelf::default());
    let first = Gateway::start(&shelf);
    first.append(0, 10).await;
    first.end().await.unwrap();
    let other = Gateway::start(&shelf);
    let mut events: Vec<_> = (1..=10).map(|cursor| event(cursor, 1)).collect();
    events[4] = event(5, 2);
    events.push(event(11, 1));
    let head = other.ledger.append(events).await.unwrap();
    other.carried.head(head.cursor);
    let ended = other.archivist.await.unwrap();
    assert!(matches!(ended, Err(ArchiveError::Differs(10))), "{ended:?}");
    assert_eq!(shelf.rows.lock().unwrap().len(), 10);
}
