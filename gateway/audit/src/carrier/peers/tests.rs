//! A late joiner's ledger, from a peer that is honest, and from one that is not.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use leasehold_backend_api::Backend;
use leasehold_backend_api::BackendError;
use leasehold_backend_api::ErrorKind;
use leasehold_backend_api::Ledger;
use leasehold_backend_api::LedgerPeers;
use leasehold_backend_api::LedgerQuery;
use leasehold_backend_api::LedgerRow;
use leasehold_domain::Cursor;
use tokio::sync::watch;

use super::super::CarrierStatus;
use super::super::CarryError;
use super::super::Elsewhere;
use super::super::carry;
use super::super::tests::Journal;
use super::super::tests::Source;
use super::super::tests::ledger;
use super::super::tests::options;
use crate::SqliteLedger;

const EVENTS: u64 = 60;

/// What a dishonest peer does to a row.
type Tamper = fn(&mut LedgerRow);

/// Another node's ledger, as it answers: a few rows at a time.
#[derive(Debug)]
struct Peer {
    ledger: Arc<SqliteLedger>,
    /// At which event it lies, and how.
    lie: Option<(u64, Tamper)>,
}

#[async_trait]
impl LedgerPeers for Peer {
    async fn rows(&self, after: Cursor) -> Result<Vec<LedgerRow>, BackendError> {
        let query = LedgerQuery {
            after: Some(after),
            limit: 7,
            ..LedgerQuery::default()
        };
        let mut rows = self.ledger.query(query).await?.rows;
        if let Some((at, tamper)) = self.lie {
            rows.iter_mut()
                .filter(|row| row.cursor.0 == at)
                .for_each(tamper);
        }
        Ok(rows)
    }
}

/// A ledger that has all events.
async fn full(folder: &tempfile::TempDir, journal: &Arc<Journal>) -> Arc<SqliteLedger> {
    let full = ledger(folder);
    let (stop, stopped) = watch::channel(false);
    stop.send_replace(true);
    let backend: Arc<dyn Backend> = Arc::new(Source(journal.clone()));
    let carried = carry(
        backend,
        full.clone(),
        Elsewhere::default(),
        options(),
        Arc::default(),
        stopped,
    );
    carried.await.unwrap();
    full
}

/// Joins late: the backend has forgotten all but the last ten events. The ledger is in `folder`.
async fn join(
    folder: &tempfile::TempDir,
    lie: Option<(u64, Tamper)>,
) -> (Arc<SqliteLedger>, Result<(), CarryError>) {
    let theirs = tempfile::tempdir().unwrap();
    let journal = Journal::new(0, ErrorKind::Unavailable);
    journal.add(EVENTS);
    let theirs = full(&theirs, &journal).await;
    journal.trimmed.store(EVENTS - 10, Ordering::SeqCst);
    let (ours, peer) = (
        ledger(folder),
        Peer {
            ledger: theirs.clone(),
            lie,
        },
    );
    let (stop, stopped) = watch::channel(false);
    let backend: Arc<dyn Backend> = Arc::new(Source(journal.clone()));
    let status = Arc::new(CarrierStatus::default());
    let carrier = tokio::spawn(carry(
        backend,
        ours.clone(),
        Elsewhere {
            peers: Some(Arc::new(peer)),
            archived: None,
        },
        options(),
        status.clone(),
        stopped,
    ));
    let patience = Duration::from_secs(60);
    if lie.is_none() {
        assert!(status.reached(Cursor(EVENTS), patience).await);
        stop.send_replace(true);
        assert_eq!(ours.head(), theirs.head());
    }
    let ended = tokio::time::timeout(patience, carrier).await.unwrap();
    (ours, ended.unwrap())
}

#[tokio::test]
async fn what_the_store_has_forgotten_comes_from_a_peer() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, ended) = join(&folder, None).await;
    ended.unwrap();
    assert_eq!(ours.head().cursor, Cursor(EVENTS));
    assert_eq!(ours.verify().await.unwrap(), None);
}

#[tokio::test]
async fn a_tampered_row_is_refused_and_nothing_of_its_part_is_kept() {
    let other_bytes: Tamper =
        |row| row.body = row.body.replace("\"now_ms\":9,", "\"now_ms\":8,").into();
    let other_chain: Tamper = |row| row.chain.0[3] ^= 1;
    let other_place: Tamper = |row| row.cursor.0 += 1;
    let no_event: Tamper = |row| row.body = "{}".into();
    for lie in [other_bytes, other_chain, other_place, no_event] {
        let folder = tempfile::tempdir().unwrap();
        let (ours, ended) = join(&folder, Some((9, lie))).await;
        let error = ended.unwrap_err();
        let CarryError::Ledger(inner) = &error else {
            panic!("{error:?}");
        };
        assert_eq!(inner.kind, ErrorKind::Corrupt, "{error:?}");
        assert!(inner.detail.contains("event 9"), "{error:?}");
        // The part before it was honest; of this one nothing is kept, not even its honest rows.
        assert_eq!(ours.head().cursor, Cursor(7));
    }
}
