//! On which day each key was last used.

use leasehold_backend_api::Backend;
use leasehold_domain::ManualClock;
use leasehold_domain::WallMillis;

use super::*;
use crate::governance::document::KEY_USES;
use crate::governance::document::KEYS;

const DAY_MS: u64 = 86_400_000;
/// An hour before the end of 2025-11-23.
const EVENING: WallMillis = WallMillis(1_763_942_400_000 - 3_600_000);

async fn open(store: &Arc<Counting>, wall: WallMillis) -> (Gateway, Arc<ManualClock>) {
    let limits = EngineLimits {
        instances: 2,
        ..EngineLimits::default()
    };
    let engine = PolicyEngine::new(limits).unwrap();
    let clock = Arc::new(ManualClock::new(wall));
    let gateway = Gateway::open_at(store, engine, clock.clone()).await;
    (gateway, clock)
}

async fn put(gateway: &Gateway, key: &NewKey) {
    let ops = operator();
    let made = gateway.governance.put_key(&ops, &key.document);
    made.await.unwrap();
}

async fn last_use(gateway: &Gateway, key: &NewKey) -> Option<String> {
    let mut uses = gateway.governance.key_uses().await.unwrap();
    uses.remove(key.document.id.as_str())
}

async fn events(store: &Counting) -> u64 {
    store.store.health().await.newest.0
}

#[tokio::test]
async fn the_day_of_a_keys_last_use_is_written_once_without_an_event() {
    let store = store();
    let (gateway, clock) = open(&store, EVENING).await;
    let (used, unused) = (key(), key());
    put(&gateway, &used).await;
    put(&gateway, &unused).await;
    gateway.recognises(&used.reveal()).await.unwrap();
    let wrong = format!("lh_{}_{}", unused.document.id, "0".repeat(64));
    assert!(gateway.recognises(&wrong).await.is_err());
    // Before anything is written, this gateway shows what it has seen.
    let day = Some("2025-11-23".to_owned());
    assert_eq!(last_use(&gateway, &used).await, day);

    let before = events(&store).await;
    gateway.governance.record_key_uses().await.unwrap();
    let revision = store.store.revision().await.unwrap();
    for _ in 0..3 {
        gateway.recognises(&used.reveal()).await.unwrap();
        gateway.governance.record_key_uses().await.unwrap();
    }
    assert_eq!(store.store.revision().await.unwrap(), revision);
    assert_eq!(events(&store).await, before);

    // A gateway that starts later shows it, and writes only what is later.
    let (later, its_clock) = open(&store, EVENING).await;
    assert_eq!(last_use(&later, &used).await, day);
    assert_eq!(last_use(&later, &unused).await, None);
    later.recognises(&used.reveal()).await.unwrap();
    later.governance.record_key_uses().await.unwrap();
    assert_eq!(store.store.revision().await.unwrap(), revision);
    its_clock.advance(3_600_000);
    later.recognises(&used.reveal()).await.unwrap();
    later.governance.record_key_uses().await.unwrap();
    assert!(store.store.revision().await.unwrap() > revision);
    let next = Some("2025-11-24".to_owned());
    assert_eq!(last_use(&gateway, &used).await, next);

    // A change of the key forgets no use, and a clock that goes back takes none away.
    clock.advance(2 * DAY_MS);
    gateway.recognises(&used.reveal()).await.unwrap();
    let (ops, id) = (operator(), &used.document.id);
    let revoking = gateway.governance.revoke_key(&ops, id, false);
    revoking.await.unwrap();
    clock.set_wall(EVENING);
    gateway.governance.record_key_uses().await.unwrap();
    let last = Some("2025-11-25".to_owned());
    assert_eq!(last_use(&later, &used).await, last);
}

#[tokio::test]
async fn of_two_gateways_the_later_day_is_kept() {
    let store = store();
    let (here, _) = open(&store, EVENING).await;
    let (there, _) = open(&store, WallMillis(EVENING.0 + DAY_MS)).await;
    let keys: Vec<_> = (0..KEYS_OF_TWO_WRITES).map(|_| key()).collect();
    for key in &keys {
        put(&here, key).await;
        there.recognises(&key.reveal()).await.unwrap();
    }
    here.recognises(&keys[0].reveal()).await.unwrap();
    // Neither hears of the other by itself: the second write of a document is refused at first.
    here.governance.record_key_uses().await.unwrap();
    there.governance.record_key_uses().await.unwrap();
    let next = Some("2025-11-24".to_owned());
    for key in &keys {
        assert_eq!(last_use(&here, key).await, next);
    }
    here.recognises(&keys[1].reveal()).await.unwrap();
    here.governance.record_key_uses().await.unwrap();
    assert_eq!(last_use(&there, &keys[1]).await, next);
}

/// So many are recorded in two writes.
const KEYS_OF_TWO_WRITES: usize = leasehold_domain::limits::KEY_USES_PER_WRITE_MAX + 1;

#[tokio::test]
async fn the_record_of_a_deleted_key_is_deleted() {
    let store = store();
    let (gateway, _) = open(&store, EVENING).await;
    let (gone, kept) = (key(), key());
    for key in [&gone, &kept] {
        put(&gateway, key).await;
    }
    gateway.recognises(&gone.reveal()).await.unwrap();
    gateway.governance.record_key_uses().await.unwrap();
    let deleted = crate::governance::edit(
        &operator(),
        KEYS,
        &gone.document.id,
        None::<&()>,
        Precondition::Any,
        "deleted".to_owned(),
    );
    gateway
        .governance
        .commit(vec![deleted.unwrap()])
        .await
        .unwrap();
    gateway.recognises(&kept.reveal()).await.unwrap();
    gateway.governance.record_key_uses().await.unwrap();
    let left = store.list(KEY_USES).await.unwrap();
    let left: Vec<_> = left.iter().map(|row| &*row.id).collect();
    assert_eq!(left, [kept.document.id.as_str()]);
}

#[tokio::test]
async fn a_use_that_cannot_be_written_is_written_later() {
    let store = store();
    let (gateway, _) = open(&store, EVENING).await;
    let key = key();
    put(&gateway, &key).await;
    gateway.recognises(&key.reveal()).await.unwrap();
    store.faults.refuses_writes.store(true, Ordering::SeqCst);
    assert!(gateway.governance.record_key_uses().await.is_err());
    store.faults.refuses_writes.store(false, Ordering::SeqCst);
    gateway.governance.record_key_uses().await.unwrap();
    assert_eq!(store.list(KEY_USES).await.unwrap().len(), 1);
}
