//! What a namespace's caps refuse, what they let pass, and what is recorded of it.

use std::collections::BTreeSet;

use leasehold_backend_api::LedgerQuery;
use leasehold_domain::ManualClock;
use leasehold_domain::Precondition;
use leasehold_domain::WallMillis;
use leasehold_domain::limits::ADMIN_DENIALS_PER_WINDOW_MAX;

use super::*;
use crate::failure::FailureDetail;
use crate::failure::FailureKind;
use crate::governance::document::DefaultDecision;
use crate::governance::document::NamespaceCaps;
use crate::governance::document::NamespaceDraft;
use crate::governance::document::Visibility;
use crate::pipeline::Held;
use crate::pipeline::ask;
use crate::pipeline::fixture::Gate;
use crate::pipeline::fixture::asked;
use crate::pipeline::fixture::caller;

/// A gateway with a namespace `demo` that has these caps.
async fn gate(caps: NamespaceCaps) -> (Arc<Gate>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(WallMillis(1_800_000_000_000)));
    let gate = Gate::open_at(clock.clone()).await;
    gate.namespace("demo", DefaultDecision::Allow).await;
    cap(&gate, Some(caps)).await;
    (Arc::new(gate), clock)
}

/// Replaces the namespace, with these caps or without a word of them. Returns the caps that it has.
async fn cap(gate: &Gate, caps: Option<NamespaceCaps>) -> NamespaceCaps {
    let draft = NamespaceDraft {
        name: "demo".parse().unwrap(),
        team: None,
        visibility: Visibility::default(),
        description: "replaced".to_owned(),
        default_decision: DefaultDecision::Allow,
        caps,
        store: None,
    };
    let op = caller("op", &[]);
    let governance = &gate.pipeline.inner.governance;
    let put = governance.put_namespace(&op, &draft, Precondition::Any);
    put.await.unwrap().document.caps
}

fn locks(most: u64) -> NamespaceCaps {
    NamespaceCaps {
        locks: Some(most),
        ..NamespaceCaps::default()
    }
}

fn waits(lock: &str) -> ask::Acquire {
    ask::Acquire {
        wait_ms: Some(60_000),
        ..asked(lock, 60_000)
    }
}

fn full(answered: Result<Held, Failure>) -> CapReached {
    let failure = answered.expect_err("it is refused");
    assert_eq!(failure.kind, FailureKind::NamespaceFull, "{failure:?}");
    assert!(failure.is_retryable() && failure.retry_after_ms.is_some());
    match failure.detail {
        FailureDetail::Cap(reached) => reached,
        other => panic!("{other:?}"),
    }
}

/// What the ledger has of refusals by caps, by what they say.
async fn recorded(gate: &Gate, namespace: Option<&str>) -> Vec<String> {
    gate.relay().await;
    let query = LedgerQuery {
        verdict: Some("cap".to_owned()),
        namespace: namespace.map(ToOwned::to_owned),
        limit: 1_000,
        ..LedgerQuery::default()
    };
    let page = gate.pipeline.inner.stores.home().ledger.query(query).await;
    let rows = page.unwrap().rows.into_iter();
    rows.map(|row| row.body.to_string()).collect()
}

#[tokio::test]
async fn a_lock_beyond_the_cap_is_refused_and_recorded() {
    let (gate, _) = gate(locks(1)).await;
    let ann = caller("ann", &[]);
    let held = gate.acquire(&ann, "demo/a", None).await.unwrap();
    let reached = full(gate.acquire(&caller("bob", &[]), "demo/b", None).await);
    let (cap, most, present) = (Cap::Locks, 1, 1);
    assert_eq!(reached, CapReached { cap, most, present });
    let rows = recorded(&gate, Some("demo")).await;
    assert_eq!(rows.len(), 1);
    for word in ["demo/b", "\"bob\"", "1 locks", "at most 1"] {
        assert!(rows[0].contains(word), "{word}: {}", rows[0]);
    }
    // The lock that is held, a repetition, and all that keeps or ends a lease pass.
    let other = gate.acquire(&caller("bob", &[]), "demo/a", None).await;
    assert_eq!(other.unwrap_err().kind, FailureKind::Held);
    let again = gate.acquire(&ann, "demo/a", None).await.unwrap();
    assert_eq!(again.grant.lease_id, held.grant.lease_id);
    let lease_id = held.grant.lease_id;
    gate.renew(&ann, "demo/a", lease_id, None).await.unwrap();
    gate.release(&ann, "demo/a", lease_id).await;
    gate.acquire(&caller("bob", &[]), "demo/b", None)
        .await
        .unwrap();
    assert_eq!(recorded(&gate, None).await.len(), 1);
}

#[tokio::test]
async fn of_several_locks_none_is_taken_beyond_the_cap() {
    let (gate, _) = gate(locks(2)).await;
    let ann = caller("ann", &[]);
    let several = |names: &[&str]| ask::AcquireMany {
        namespace: "demo".parse().unwrap(),
        acquires: names.iter().map(|name| asked(name, 60_000)).collect(),
    };
    let three = several(&["demo/a", "demo/b", "demo/c"]);
    let refused = gate.pipeline.acquire_many(&ann, three).await;
    let refused = refused.map(|mut held| held.remove(0));
    assert_eq!(full(refused).cap, Cap::Locks);
    assert!(recorded(&gate, None).await[0].contains("demo/c"));
    let two = several(&["demo/a", "demo/b"]);
    let held = gate.pipeline.acquire_many(&ann, two).await.unwrap();
    assert_eq!(held.len(), 2);
}

#[tokio::test]
async fn a_waiter_beyond_the_cap_is_refused() {
    let caps = NamespaceCaps {
        waiters: Some(1),
        ..NamespaceCaps::default()
    };
    let (gate, _) = gate(caps).await;
    let (ann, bob, cyd) = (caller("ann", &[]), caller("bob", &[]), caller("cyd", &[]));
    let held = gate.acquire(&ann, "demo/a", None).await.unwrap();
    let waiting = {
        let gate = gate.clone();
        tokio::spawn(async move { gate.pipeline.acquire(&bob, waits("demo/a")).await })
    };
    let lock: LockRef = "demo/a".parse().unwrap();
    let door = gate.pipeline.inner.stores.home().door.clone();
    while door.view(&lock).await.unwrap().queue.is_empty() {
        tokio::task::yield_now().await;
    }
    let refused = gate.pipeline.acquire(&cyd, waits("demo/a")).await;
    let (cap, most, present) = (Cap::Waiters, 1, 1);
    assert_eq!(full(refused), CapReached { cap, most, present });
    gate.pipeline
        .acquire(&cyd, waits("demo/free"))
        .await
        .unwrap();
    gate.release(&ann, "demo/a", held.grant.lease_id).await;
    waiting.await.unwrap().expect("the waiter has it");
}

#[tokio::test]
async fn beyond_the_caps_bytes_nothing_new_begins() {
    let (gate, _) = gate(NamespaceCaps::default()).await;
    let ann = caller("ann", &[]);
    let held = gate.acquire(&ann, "demo/a", None).await.unwrap();
    gate.relay().await;
    let store = gate.pipeline.inner.stores.home();
    let bytes = store.ledger.namespace_bytes(&"demo".parse().unwrap());
    assert!(bytes > 300, "{bytes}");
    let caps = |ledger_bytes| NamespaceCaps {
        ledger_bytes: Some(ledger_bytes),
        ..NamespaceCaps::default()
    };
    cap(&gate, Some(caps(bytes + 1))).await;
    let cyd = caller("cyd", &[]);
    let below = gate.acquire(&cyd, "demo/b", None).await.unwrap();
    gate.release(&cyd, "demo/b", below.grant.lease_id).await;
    cap(&gate, Some(caps(bytes))).await;
    let refused = full(gate.acquire(&caller("bob", &[]), "demo/c", None).await);
    assert_eq!((refused.cap, refused.most), (Cap::LedgerBytes, bytes));
    assert!(refused.present >= bytes);
    let again = gate.acquire(&ann, "demo/a", None).await.unwrap();
    assert_eq!(again.grant.lease_id, held.grant.lease_id);
    let lease_id = held.grant.lease_id;
    gate.renew(&ann, "demo/a", lease_id, None).await.unwrap();
    gate.release(&ann, "demo/a", lease_id).await;
    // Refusals are recorded, and take none of the namespace's bytes.
    gate.relay().await;
    let before = store.ledger.namespace_bytes(&"demo".parse().unwrap());
    full(gate.acquire(&caller("bob", &[]), "demo/c", None).await);
    assert_eq!(recorded(&gate, Some("demo")).await.len(), 2);
    let after = store.ledger.namespace_bytes(&"demo".parse().unwrap());
    assert_eq!(after, before);
}

#[tokio::test]
async fn refusals_of_a_full_namespace_do_not_fill_the_ledger() {
    let (gate, clock) = gate(locks(1)).await;
    let ann = caller("ann", &[]);
    gate.acquire(&ann, "demo/a", None).await.unwrap();
    let many = u64::from(ADMIN_DENIALS_PER_WINDOW_MAX) * 20;
    for n in 0..many {
        // Whoever asks: all of them meet the same cap.
        let who = caller(&format!("s-{n}"), &[]);
        full(gate.acquire(&who, &format!("demo/b-{n}"), None).await);
    }
    let rows = recorded(&gate, Some("demo")).await;
    assert_eq!(rows.len(), ADMIN_DENIALS_PER_WINDOW_MAX as usize);
    clock.advance(60_000);
    full(gate.acquire(&caller("bob", &[]), "demo/c", None).await);
    let rows: BTreeSet<String> = recorded(&gate, Some("demo")).await.into_iter().collect();
    assert_eq!(rows.len(), ADMIN_DENIALS_PER_WINDOW_MAX as usize + 2);
    let counted = many - u64::from(ADMIN_DENIALS_PER_WINDOW_MAX);
    let counted = format!("{counted} more within the same minute");
    assert!(rows.iter().any(|row| row.contains(&counted)), "{rows:?}");
}

#[tokio::test]
async fn a_replacement_that_says_nothing_of_caps_keeps_them() {
    let (gate, _) = gate(locks(1)).await;
    assert_eq!(cap(&gate, None).await, locks(1));
    assert_eq!(cap(&gate, Some(locks(2))).await, locks(2));
    let none = NamespaceCaps::default();
    assert_eq!(cap(&gate, Some(none)).await, none);
    assert_eq!(cap(&gate, None).await, none);
}

#[test]
fn a_cap_of_the_namespace_goes_before_the_default() {
    let own = NamespaceCaps {
        locks: Some(5),
        ..NamespaceCaps::default()
    };
    let default = NamespaceCaps {
        locks: Some(1),
        waiters: Some(2),
        ledger_bytes: None,
    };
    let expected = NamespaceCaps {
        locks: Some(5),
        waiters: Some(2),
        ledger_bytes: None,
    };
    assert_eq!(own.or(&default), expected);
}
