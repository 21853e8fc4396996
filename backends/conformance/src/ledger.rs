//! What a store keeps of the ledger, so that another ledger is not taken for it.

use leasehold_backend_api::LedgerHead;
use leasehold_domain::Cursor;
use leasehold_domain::Digest;

use crate::Durable;
use crate::Harness;
use crate::asking::LONG;
use crate::asking::Store;

/// Makes a ledger's position for a store, which does not check the chain.
#[must_use]
pub fn head(cursor: u64) -> LedgerHead {
    LedgerHead {
        cursor: Cursor(cursor),
        chain: Digest::of(&cursor.to_be_bytes()),
    }
}

/// A store tells its position, and the ledger's at the last trim.
pub async fn a_store_knows_its_position_and_the_ledgers(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let backend = &store.running.backend;
    let begin = backend.history().await.expect("an answer");
    assert_eq!((begin.newest, begin.trimmed), (Cursor(0), Cursor(0)));
    assert_eq!(begin.ledger, None);
    for n in 0..10 {
        store.take("ann", &format!("l-{n}"), LONG).await;
    }
    backend.trim(head(6)).await.expect("a trim");
    backend.trim(head(3)).await.expect("a trim");
    let history = backend.history().await.expect("an answer");
    assert_eq!(history.id, begin.id);
    assert_eq!((history.newest, history.trimmed), (Cursor(10), Cursor(6)));
    assert_eq!(history.ledger, Some(head(6)));
    assert!(history.revision > begin.revision, "{history:?}");
}

/// A restart changes neither the store's identity nor what it keeps of the ledger.
pub async fn what_is_kept_of_the_ledger_survives_a_restart(harness: &impl Durable) {
    let store = Store::start(harness).await;
    for n in 0..10 {
        store.take("ann", &format!("l-{n}"), LONG).await;
    }
    let backend = &store.running.backend;
    backend.trim(head(6)).await.expect("a trim");
    // What is kept may be written along with the next write.
    store.take("ann", "next", LONG).await;
    let before = backend.history().await.expect("an answer");
    let store = store.restart().await;
    let after = store.running.backend.history().await.expect("an answer");
    assert_eq!((after.id, after.newest), (before.id, before.newest));
    assert!(after.revision >= before.revision, "{after:?}");
    if let Some(ledger) = after.ledger {
        assert_eq!(ledger, head(6));
        assert_eq!(after.trimmed, Cursor(6));
    }
}
