//! What policies may do to requests: what their verdicts are tied to, how long a lease may be
//! renewed unjudged, and what a failure tells whom.

use std::collections::BTreeSet;

use crate::config::Policy;
use crate::failure::FailureKind;
use leasehold_domain::ManualClock;
use leasehold_domain::Role;
use leasehold_policy_guests::Guest;
use leasehold_policy_guests::TEXT;
use leasehold_policy_guests::deny;
use serde_json::Value;
use serde_json::json;

use super::*;
use crate::failure::FailureDetail;
use crate::failure::Fault;
use crate::governance::document::DefaultDecision;
use crate::pipeline::ask;
use crate::pipeline::fixture::Gate;
use crate::pipeline::fixture::caller;

const DAY_MS: u64 = 86_400_000;

/// A gateway with a namespace `demo`, and the clock that it goes by.
async fn gate(default: DefaultDecision) -> (Arc<Gate>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(WallMillis(1_800_000_000_000)));
    let gate = Gate::open_at(clock.clone()).await;
    gate.namespace("demo", default).await;
    (Arc::new(gate), clock)
}

/// One policy, bound to namespace `demo`.
fn one(policy: &str, members: Value) -> Value {
    let mut bound = json!({ "policy": policy, "version": "1.0.0" });
    for (name, value) in members.as_object().unwrap() {
        bound[name] = value.clone();
    }
    json!({ "namespaces": ["demo"], "policies": [bound] })
}

/// Sixteen clients of one subject take and give back locks of their own, twenty-five times each.
/// Returns the kinds of the refusals.
async fn sixteen_clients(gate: &Arc<Gate>, lock: fn(usize, usize) -> String) -> BTreeSet<String> {
    let client = |client: usize| {
        let gate = gate.clone();
        tokio::spawn(async move {
            let mut refused = BTreeSet::new();
            for round in 0..25 {
                let (asker, lock) = (caller("svc", &[]), lock(client, round));
                match gate.acquire(&asker, &lock, None).await {
                    Ok(held) => gate.release(&asker, &lock, held.grant.lease_id).await,
                    Err(failure) => drop(refused.insert(format!("{:?}", failure.kind))),
                }
            }
            refused
        })
    };
    let clients: Vec<_> = (0..16).map(client).collect();
    let mut refused = BTreeSet::new();
    for client in clients {
        refused.extend(client.await.unwrap());
    }
    refused
}

fn own(client: usize, round: usize) -> String {
    format!("demo/l/{client}-{round}")
}

#[tokio::test]
async fn an_advisory_policy_that_reads_usage_ties_no_request_to_it() {
    let (gate, _) = gate(DefaultDecision::Allow).await;
    let config = json!({ "max_per_subject": 1 });
    let advice = json!({ "enforcement": "advisory", "config": config });
    gate.bind(one("quota", advice)).await.unwrap();
    assert_eq!(sixteen_clients(&gate, own).await, BTreeSet::new());
}

#[tokio::test]
async fn an_advisory_policy_that_reads_the_lock_ties_no_request_to_it() {
    let gate = gate_that_shows_locks(json!({ "enforcement": "advisory" })).await;
    let contended = |_, _| "demo/one".to_owned();
    let refused = sixteen_clients(&gate, contended).await;
    assert!(refused.iter().all(|kind| kind == "Held"), "{refused:?}");
}

/// A gate whose one policy is shown the lock, and allows all.
async fn gate_that_shows_locks(binding: Value) -> Arc<Gate> {
    let (gate, _) = gate(DefaultDecision::Allow).await;
    let looks = Guest {
        name: "looks".to_owned(),
        version: "1.0.0".to_owned(),
        needs_lock: true,
        ..Guest::default()
    };
    gate.upload(looks.wasm()).await;
    gate.bind(one("looks", binding)).await.unwrap();
    gate
}

/// Policies are not shown under which versions a lease is held, so the event does not repeat it.
#[tokio::test]
async fn a_policy_that_reads_the_lock_is_not_shown_the_policies_of_its_leases() {
    let gate = gate_that_shows_locks(json!({})).await;
    let svc = caller("svc", &[]);
    gate.acquire(&svc, "demo/a", None).await.unwrap();
    let again = gate.acquire(&svc, "demo/a", None).await.unwrap();
    assert!(again.grant.repeated);
    let decision = again.decision.unwrap();
    let shown = decision.facts.lock.as_deref().unwrap();
    assert_eq!(shown.holders[0].policies, None);
    let store = gate.pipeline.inner.stores.home();
    let view = store.door.view(&"demo/a".parse().unwrap()).await.unwrap();
    let policies = view.holders[0].policies.as_deref().unwrap();
    assert!(policies.has("looks", "1.0.0"), "{policies:?}");
}

#[tokio::test]
async fn a_quota_absorbs_sixteen_clients_of_one_subject() {
    let (gate, _) = gate(DefaultDecision::Allow).await;
    let config = json!({ "config": { "max_per_subject": 16 } });
    gate.bind(one("quota", config)).await.unwrap();
    assert_eq!(sixteen_clients(&gate, own).await, BTreeSet::new());
}

#[tokio::test]
async fn a_quota_is_never_passed_by_sixteen_clients() {
    let (gate, _) = gate(DefaultDecision::Allow).await;
    let config = json!({ "config": { "max_per_subject": 5 } });
    gate.bind(one("quota", config)).await.unwrap();
    let take = |client: usize| {
        let gate = gate.clone();
        let take = async move {
            gate.acquire(&caller("svc", &[]), &own(client, 0), None)
                .await
        };
        tokio::spawn(take)
    };
    let takers: Vec<_> = (0..16).map(take).collect();
    let mut granted = 0;
    for taker in takers {
        match taker.await.unwrap() {
            Ok(_) => granted += 1,
            Err(failure) => assert_eq!(failure.kind, FailureKind::Denied, "{failure:?}"),
        }
    }
    assert_eq!(granted, 5);
}

#[tokio::test]
async fn a_mandatory_policy_that_reads_the_lock_absorbs_sixteen_clients() {
    let gate = gate_that_shows_locks(json!({})).await;
    let contended = |_, _| "demo/one".to_owned();
    let refused = sixteen_clients(&gate, contended).await;
    assert!(refused.iter().all(|kind| kind == "Held"), "{refused:?}");
}

#[tokio::test]
async fn where_only_acquires_are_judged_a_lease_is_renewed_and_transferred_for_a_day() {
    let (gate, clock) = gate(DefaultDecision::Deny).await;
    let unjudged = gate.acquire(&caller("svc", &[]), "demo/a", None).await;
    assert_eq!(unjudged.unwrap_err().kind, FailureKind::NoPolicyBound);
    gate.bind(one("quota", json!({}))).await.unwrap();

    let svc = caller("svc", &[]);
    let lease = gate.acquire_for(&svc, "demo/a", DAY_MS).await.unwrap();
    let id = lease.grant.lease_id;
    gate.renew(&svc, "demo/a", id, None).await.unwrap();
    // Unbinding the last policy ends no lease either.
    gate.unbind().await;
    clock.advance(DAY_MS - 1);
    gate.renew(&svc, "demo/a", id, None).await.unwrap();
    clock.advance(1);
    let old = gate.renew(&svc, "demo/a", id, None).await.unwrap_err();
    assert_eq!(old.kind, FailureKind::NoPolicyBound, "{old:?}");
    assert!(old.message.contains("24 h"), "{old:?}");
    let old = gate.transfer(&svc, "demo/a", id).await.unwrap_err();
    assert_eq!(old.kind, FailureKind::NoPolicyBound, "{old:?}");
    gate.release(&svc, "demo/a", id).await;

    // A foreign and an unknown lease are told as what they are.
    let foreign = gate.renew(&caller("eve", &[]), "demo/a", id, None).await;
    assert_ne!(foreign.unwrap_err().kind, FailureKind::NoPolicyBound);
    gate.bind(one("quota", json!({}))).await.unwrap();
    let lease = gate.acquire_for(&svc, "demo/b", 60_000).await.unwrap();
    gate.transfer(&svc, "demo/b", lease.grant.lease_id)
        .await
        .unwrap();
}

#[tokio::test]
async fn an_advisory_policy_grants_nothing_where_the_default_is_to_deny() {
    let (gate, clock) = gate(DefaultDecision::Deny).await;
    let all = Guest {
        name: "all".to_owned(),
        version: "1.0.0".to_owned(),
        operations: ["acquire", "renew", "transfer", "revoke"]
            .map(str::to_owned)
            .to_vec(),
        ..Guest::default()
    };
    gate.upload(all.wasm()).await;
    let advice = json!({ "enforcement": "advisory" });
    gate.bind(one("all", advice)).await.unwrap();
    let svc = caller("svc", &[]);
    let denied = gate.acquire(&svc, "demo/a", None).await.unwrap_err();
    assert_eq!(denied.kind, FailureKind::NoPolicyBound, "{denied:?}");
    // What the advisory policy said is on record all the same.
    let FailureDetail::Denied { decision, .. } = &denied.detail else {
        unreachable!("{denied:?}");
    };
    let verdicts = decision.as_ref().map(|decision| decision.verdicts.len());
    assert_eq!(verdicts, Some(1), "{denied:?}");

    // A mandatory policy beside it decides; without it a held lease is renewed for a day.
    let mut deciding = one("quota", json!({}));
    deciding["name"] = json!("deciding");
    gate.bind(deciding).await.unwrap();
    let lease = gate.acquire_for(&svc, "demo/a", DAY_MS).await.unwrap();
    let id = lease.grant.lease_id;
    gate.renew(&svc, "demo/a", id, None).await.unwrap();
    clock.advance(DAY_MS - 1);
    gate.renew(&svc, "demo/a", id, None).await.unwrap();
    clock.advance(1);
    for old in [
        gate.renew(&svc, "demo/a", id, None).await.unwrap_err(),
        gate.transfer(&svc, "demo/a", id).await.unwrap_err(),
    ] {
        assert_eq!(old.kind, FailureKind::NoPolicyBound, "{old:?}");
        assert!(old.message.contains("24 h"), "{old:?}");
    }
}

#[tokio::test]
async fn a_policy_may_deny_the_renewal_of_a_young_lease() {
    let (gate, _) = gate(DefaultDecision::Deny).await;
    gate.bind(one("quota", json!({}))).await.unwrap();
    let svc = caller("svc", &[]);
    let lease = gate.acquire(&svc, "demo/a", None).await.unwrap();
    gate.upload(denies(&["renew"])).await;
    let mut denying = one("denies", json!({}));
    denying["name"] = json!("no-renewals");
    gate.bind(denying).await.unwrap();
    let id = lease.grant.lease_id;
    let denied = gate.renew(&svc, "demo/a", id, None).await.unwrap_err();
    assert_eq!(denied.kind, FailureKind::Denied, "{denied:?}");
}

/// A policy `denies` that says no to these operations.
fn denies(operations: &[&str]) -> Vec<u8> {
    let at = TEXT as u32;
    Guest {
        name: "denies".to_owned(),
        version: "1.0.0".to_owned(),
        operations: operations.iter().map(|name| (*name).to_owned()).collect(),
        answer: deny((at, 2), (at + 2, 7)),
        text: b"noby hand".to_vec(),
        ..Guest::default()
    }
    .wasm()
}

#[tokio::test]
async fn a_lease_taken_by_break_glass_is_renewed_with_a_reason() {
    let (gate, _) = gate(DefaultDecision::Allow).await;
    gate.upload(denies(&["acquire", "renew"])).await;
    let overridable = json!({ "enforcement": "overridable" });
    gate.bind(one("denies", overridable)).await.unwrap();
    let breaker = caller("breaker", &[Role::BreakGlass]);
    let reason = Some("INC-7, the nightly is stuck");
    let lease = gate.acquire(&breaker, "demo/a", reason).await.unwrap();
    let id = lease.grant.lease_id;
    for no_reason in [None, Some(" ")] {
        let denied = gate.renew(&breaker, "demo/a", id, no_reason).await;
        assert_eq!(denied.unwrap_err().kind, FailureKind::Denied);
    }
    let renewed = gate.renew(&breaker, "demo/a", id, reason).await.unwrap();
    let effect = &renewed.decision.unwrap().effect;
    assert!(matches!(effect, Effect::Override { .. }), "{effect:?}");
    let many = vec![ask::Renew {
        lock: "demo/a".parse().unwrap(),
        lease_id: id,
        ttl_ms: None,
        reason: reason.map(Into::into),
        override_terms: None,
    }];
    let many = gate.pipeline.renew_many(&breaker, many).await.unwrap();
    assert!(many[0].is_ok(), "{many:?}");
    let plain = caller("plain", &[]);
    assert!(gate.acquire(&plain, "demo/b", reason).await.is_err());
}

/// The fault in an answer.
fn fault_of(failure: &Failure) -> Fault {
    match &failure.detail {
        FailureDetail::Denied {
            fault: Some(fault), ..
        } => fault.clone(),
        _ => unreachable!("{failure:?}"),
    }
}

#[tokio::test]
async fn a_policy_that_fails_says_why_to_those_who_may_know() {
    let (gate, _) = gate(DefaultDecision::Allow).await;
    let failing = [
        (
            "traps",
            Guest::doing("(unreachable)"),
            "trap",
            "unreachable",
        ),
        ("loops", Guest::doing("(loop $l (br $l))"), "fuel", "fuel"),
    ];
    for (name, guest, kind, words) in failing {
        let guest = Guest {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            ..guest
        };
        gate.upload(guest.wasm()).await;
        gate.bind(one(name, json!({}))).await.unwrap();
        let author = caller("author", &[Role::PolicyAuthor]);
        let failure = gate.acquire(&author, "demo/a", None).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::PolicyError);
        assert!(!failure.is_retryable(), "{failure:?}");
        assert!(failure.message.contains(words), "{failure:?}");
        let fault = fault_of(&failure);
        assert_eq!(fault.kind, kind);
        assert!(fault.detail.unwrap().contains(words));
        let failure = gate.acquire(&caller("svc", &[]), "demo/a", None).await;
        assert_eq!(fault_of(&failure.unwrap_err()).detail, None);
    }
}

#[tokio::test]
async fn what_a_failing_module_says_is_not_for_everybody() {
    let (gate, _) = gate(DefaultDecision::Allow).await;
    let at = TEXT as u32;
    let mut answer = vec![0; 48];
    // The error case of the result, with its text's address and length.
    answer[0] = 1;
    answer[8..12].copy_from_slice(&at.to_le_bytes());
    answer[12..16].copy_from_slice(&14_u32.to_le_bytes());
    let guest = Guest {
        name: "refuses".to_owned(),
        version: "1.0.0".to_owned(),
        answer,
        text: b"bob's secret #".to_vec(),
        ..Guest::default()
    };
    gate.upload(guest.wasm()).await;
    gate.bind(one("refuses", json!({}))).await.unwrap();
    let failure = gate
        .acquire(&caller("svc", &[]), "demo/a", None)
        .await
        .unwrap_err();
    assert_eq!(fault_of(&failure).kind, "refused", "{failure:?}");
    let shown = format!("{} {:?}", failure.message, fault_of(&failure));
    assert!(!shown.contains("secret"), "{shown}");
    for role in [Role::PolicyAuthor, Role::Auditor, Role::Administrator] {
        let reader = caller("reader", &[role]);
        let failure = gate.acquire(&reader, "demo/a", None).await.unwrap_err();
        assert!(fault_of(&failure).detail.unwrap().contains("secret"));
    }
}

/// A policy that runs until it is stopped: by its fuel, after some milliseconds.
fn endless() -> Guest {
    Guest {
        name: "endless".to_owned(),
        version: "1.0.0".to_owned(),
        ..Guest::doing("(loop $l (br $l))")
    }
}

#[tokio::test]
async fn a_long_evaluation_runs_in_the_pool_and_others_do_not_wait_for_it() {
    let (gate, _) = gate(DefaultDecision::Allow).await;
    gate.upload(endless().wasm()).await;
    let mut slow = one("endless", json!({}));
    slow["locks"] = json!(["slow/**"]);
    gate.bind(slow).await.unwrap();
    let mut brief = one("quota", json!({}));
    brief["name"] = json!("brief");
    brief["locks"] = json!(["brief/**"]);
    gate.bind(brief).await.unwrap();
    let svc = caller("svc", &[]);
    // Its cost is not known yet, so it begins on this thread and continues in the pool.
    let failed = gate.acquire(&svc, "demo/slow/a", None).await.unwrap_err();
    assert_eq!(failed.kind, FailureKind::PolicyError);
    assert_eq!(fault_of(&failed).kind, "fuel");

    let pool = &gate.pipeline.inner.decider.pool;
    let busy = pool.occupy();
    let mut waiting = Box::pin(gate.acquire(&svc, "demo/slow/b", None));
    for n in 0..20 {
        assert!(futures_util::poll!(&mut waiting).is_pending());
        gate.acquire(&svc, &format!("demo/brief/{n}"), None)
            .await
            .unwrap();
    }
    drop(busy);
    let failed = waiting.await.unwrap_err();
    assert_eq!(failed.kind, FailureKind::PolicyError);
}

#[tokio::test]
async fn the_policies_of_a_request_share_its_fuel() {
    let (gate, _) = gate(DefaultDecision::Allow).await;
    gate.upload(endless().wasm()).await;
    let endless =
        json!({ "policy": "endless", "version": "1.0.0", "on_error": { "allow": ["acquire"] } });
    let all = json!({ "namespaces": ["demo"], "policies": vec![endless; 16] });
    gate.bind(all).await.unwrap();
    let held = gate.acquire(&caller("svc", &[]), "demo/a", None).await;
    let decision = held.unwrap().decision.unwrap();
    let fuel: u64 = decision.verdicts.iter().map(|verdict| verdict.fuel).sum();
    let budget = Policy::default().request_budget().fuel;
    assert!(fuel <= budget, "{fuel}");
    assert!(
        fuel > budget - 100,
        "each but the last spends all it may: {fuel}"
    );
    let last = &decision.verdicts[15];
    assert_eq!(last.fuel, 0);
    let said = format!("{:?}", last.answer);
    assert!(said.contains("of one request have spent"), "{said}");
}
