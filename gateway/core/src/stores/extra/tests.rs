//! A store that cannot be opened at once.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

use leasehold_backend_memory::MemoryBackend;
use leasehold_domain::SystemClock;

use super::*;
use crate::bookkeeping::OtherLedgers;
use crate::safety::tests::safety;
use crate::stores::Remembered;
use crate::stores::open_ledger;

/// Longer than this test takes.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_store_that_is_not_there_is_tried_again_and_keeps_nobody_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let name: StoreName = "eu".parse().unwrap();
    let tries = Arc::new(AtomicUsize::new(0));
    let backend = MemoryBackend::new(clock.clone());
    let ledger = Arc::new(open_ledger(folder.path()).await.unwrap());
    let remembered = Arc::new(Remembered::open(folder.path()).unwrap());
    let open: Open = {
        let (name, tries) = (name.clone(), tries.clone());
        Box::new(move || {
            let parts = Parts {
                name: name.clone(),
                backend: backend.clone(),
                documents: backend.clone(),
                ledger: ledger.clone(),
                members: crate::stores::StoreMembers::default(),
                others: OtherLedgers::None,
                remembered: remembered.clone(),
                claims: crate::stores::Claims::default(),
                keep_events: 0,
            };
            let failed = tries.fetch_add(1, SeqCst) < 2;
            let opened = match failed {
                true => Err("no such host".to_owned().into()),
                false => Ok(parts),
            };
            Box::pin(async { opened })
        })
    };
    let metrics = Arc::new(Metrics::new());
    let store = Extra::begin(name, (clock, metrics, safety()), open);
    store.tried(PATIENCE).await;
    assert_eq!(store.slot.state().unwrap_err().problem, "no such host");
    let opened = async {
        while store.slot.state().is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, opened).await.unwrap();
    assert_eq!(tries.load(SeqCst), 3);
    assert_eq!(store.slot.state().unwrap().name.as_str(), "eu");
    store.close().await;
}
