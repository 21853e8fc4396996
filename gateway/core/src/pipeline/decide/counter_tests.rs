//! Counters that policies put on leases, from the policy to the answer and the ledger.

use leasehold_backend_api::LedgerQuery;
use leasehold_domain::CounterFull;
use leasehold_domain::ManualClock;
use leasehold_domain::Role;
use leasehold_domain::WallMillis;
use leasehold_policy_guests::Guest;
use serde_json::Value;
use serde_json::json;

use super::*;
use crate::failure::FailureDetail;
use crate::failure::FailureKind;
use crate::governance::document::DefaultDecision;
use crate::pipeline::ask;
use crate::pipeline::fixture::Gate;
use crate::pipeline::fixture::asked;
use crate::pipeline::fixture::caller;

/// A gateway with a namespace `demo` to which the stock quota is bound.
async fn gate(enforcement: &str, config: Value) -> Arc<Gate> {
    let clock = Arc::new(ManualClock::new(WallMillis(1_800_000_000_000)));
    let gate = Gate::open_at(clock).await;
    gate.namespace("demo", DefaultDecision::Allow).await;
    let bound = json!({ "policy": "quota", "version": "2.0.1", "enforcement": enforcement,
        "config": config });
    let binding = json!({ "namespaces": ["demo"], "policies": [bound] });
    gate.bind(binding).await.unwrap();
    Arc::new(gate)
}

/// The effect in the newest decision of the ledger, and how many denials it has.
async fn recorded(gate: &Gate) -> (Effect, usize) {
    gate.relay().await;
    let ledgers = gate.ledgers();
    let query = LedgerQuery {
        limit: 1_000,
        ..LedgerQuery::default()
    };
    let page = ledgers.query(query, Default::default());
    let rows = page.await.unwrap().rows;
    let decisions = rows.iter().filter_map(|row| {
        let event = leasehold_audit::canonical::parse(&row.row.body)
            .unwrap()
            .event;
        match event.kind {
            leasehold_domain::EventKind::Lock { cause, .. } => cause?.decision.clone(),
            leasehold_domain::EventKind::Denied(cause) => cause.decision.clone(),
            leasehold_domain::EventKind::Governance(_) => None,
        }
    });
    let effects: Vec<Effect> = decisions.map(|decision| decision.effect.clone()).collect();
    let is_denial = |effect: &&Effect| matches!(effect, Effect::Deny(_));
    let denials = effects.iter().filter(is_denial).count();
    (effects.last().unwrap().clone(), denials)
}

fn denied(failure: &Failure) -> (&str, &str) {
    assert_eq!(failure.kind, FailureKind::Denied, "{failure:?}");
    let FailureDetail::Denied {
        denial, decision, ..
    } = &failure.detail
    else {
        unreachable!("{failure:?}");
    };
    let effect = decision.as_ref().map(|decision| &decision.effect);
    assert_eq!(effect, Some(&Effect::Deny(denial.clone())));
    (denial.policy.as_deref().unwrap(), &denial.code)
}

#[tokio::test]
async fn sixty_four_clients_of_one_subject_get_what_the_quota_allows_and_no_refusal_below_it() {
    for (most, rounds) in [(64, 4), (5, 1)] {
        let gate = gate("mandatory", json!({ "max_per_subject": most })).await;
        let client = |client: usize| {
            let gate = gate.clone();
            tokio::spawn(async move {
                let lock = format!("demo/l/{client}");
                let mut granted = 0;
                for _ in 0..rounds {
                    let svc = caller("svc", &[]);
                    match gate.acquire(&svc, &lock, None).await {
                        Ok(held) if rounds > 1 => {
                            gate.release(&svc, &lock, held.grant.lease_id).await;
                            granted += 1;
                        }
                        Ok(_) => granted += 1,
                        Err(failure) => {
                            assert_eq!(denied(&failure), ("quota", "quota-subject"));
                        }
                    }
                }
                granted
            })
        };
        let clients: Vec<_> = (0..64).map(client).collect();
        let mut granted = 0;
        for client in clients {
            granted += client.await.unwrap();
        }
        assert_eq!(granted, most * rounds);
    }
}

#[tokio::test]
async fn a_refusal_is_in_the_ledger_once_and_a_repeated_acquire_is_not_refused() {
    let gate = gate("mandatory", json!({ "max_per_subject": 1 })).await;
    let svc = caller("svc", &[]);
    let held = gate.acquire(&svc, "demo/a", None).await.unwrap();
    let again = gate.acquire(&svc, "demo/a", None).await.unwrap();
    assert_eq!(again.grant.lease_id, held.grant.lease_id);
    let refused = gate.acquire(&svc, "demo/b", None).await.unwrap_err();
    assert_eq!(denied(&refused), ("quota", "quota-subject"));
    let (effect, denials) = recorded(&gate).await;
    let Effect::Deny(denial) = effect else {
        panic!("{effect:?}");
    };
    assert_eq!((denial.policy.as_deref(), denials), (Some("quota"), 1));
    // Another subject has a counter of its own, and a lease that is given back does not count.
    let other = caller("other", &[]);
    gate.acquire(&other, "demo/b", None).await.unwrap();
    let id = held.grant.lease_id;
    gate.renew(&svc, "demo/a", id, None).await.unwrap();
    gate.release(&svc, "demo/a", id).await;
    gate.acquire(&svc, "demo/c", None).await.unwrap();
}

#[tokio::test]
async fn a_waiter_whose_counter_is_full_when_its_turn_comes_is_told_of_a_denial() {
    let gate = gate("mandatory", json!({ "subjects": { "svc": 1 } })).await;
    let (svc, other) = (caller("svc", &[]), caller("other", &[]));
    let held = gate.acquire(&other, "demo/a", None).await.unwrap();
    let waiting = {
        let (gate, svc) = (gate.clone(), svc.clone());
        tokio::spawn(async move {
            let acquire = ask::Acquire {
                wait_ms: Some(60_000),
                ..asked("demo/a", 60_000)
            };
            gate.pipeline.acquire(&svc, acquire).await
        })
    };
    let store = gate.pipeline.inner.stores.home();
    let lock = "demo/a".parse().unwrap();
    while store.door.view(&lock).await.unwrap().queue.is_empty() {
        tokio::task::yield_now().await;
    }
    gate.acquire(&svc, "demo/b", None).await.unwrap();
    gate.release(&other, "demo/a", held.grant.lease_id).await;
    let refused = waiting.await.unwrap().unwrap_err();
    assert_eq!(denied(&refused), ("quota", "quota-subject"));
    let view = store.door.view(&lock).await.unwrap();
    assert!(view.holders.is_empty() && view.queue.is_empty(), "{view:?}");
    assert_eq!(recorded(&gate).await.1, 1);
}

#[tokio::test]
async fn a_break_glass_principal_exceeds_the_counter_of_an_overridable_policy_on_record() {
    let gate = gate("overridable", json!({ "max_per_subject": 1 })).await;
    let breaker = caller("svc", &[Role::BreakGlass]);
    gate.acquire(&breaker, "demo/a", Some("INC-1"))
        .await
        .unwrap();
    assert_eq!(recorded(&gate).await, (Effect::Allow, 0));
    let refused = gate.acquire(&breaker, "demo/b", None).await.unwrap_err();
    assert_eq!(denied(&refused), ("quota", "quota-subject"));
    gate.acquire(&breaker, "demo/b", Some("INC-1"))
        .await
        .unwrap();
    let reason = "INC-1".into();
    // The refusals are on record, too: that without a reason, and that which was overridden.
    assert_eq!(recorded(&gate).await, (Effect::Override { reason }, 2));
    let many = ask::AcquireMany {
        namespace: "demo".parse().unwrap(),
        acquires: ["demo/c", "demo/d"]
            .map(|lock| ask::Acquire {
                reason: Some("INC-1".into()),
                ..asked(lock, 60_000)
            })
            .into(),
    };
    let held = gate.pipeline.acquire_many(&breaker, many).await.unwrap();
    assert_eq!(held.len(), 2);
}

#[tokio::test]
async fn several_locks_are_counted_together() {
    let gate = gate("mandatory", json!({ "max_per_subject": 2 })).await;
    let svc = caller("svc", &[]);
    let take = async |locks: &[&str]| {
        let many = ask::AcquireMany {
            namespace: "demo".parse().unwrap(),
            acquires: locks.iter().map(|lock| asked(lock, 60_000)).collect(),
        };
        gate.pipeline.acquire_many(&svc, many).await
    };
    let refused = take(&["demo/a", "demo/b", "demo/c"]).await.unwrap_err();
    assert_eq!(denied(&refused), ("quota", "quota-subject"));
    assert_eq!(take(&["demo/a", "demo/b"]).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_counter_without_a_code_has_the_common_one() {
    let gate = gate("advisory", json!({})).await;
    let counting = Guest::counting(&[("all", 1, None)]);
    gate.upload(counting.wasm()).await;
    let bound = json!({ "policy": counting.name, "version": counting.version });
    let binding = json!({ "name": "counts", "namespaces": ["demo"], "policies": [bound] });
    gate.bind(binding).await.unwrap();
    let svc = caller("svc", &[]);
    gate.acquire(&svc, "demo/a", None).await.unwrap();
    let refused = gate.acquire(&svc, "demo/b", None).await.unwrap_err();
    assert_eq!(denied(&refused), ("by-hand", CounterFull::CODE));
}
