//! What keeps a version, and what does not.

use serde_json::Value;
use serde_json::json;

use super::*;
use crate::governance::document::DefaultDecision;
use crate::pipeline::fixture::Gate;
use crate::pipeline::fixture::caller;

async fn gate() -> Gate {
    let gate = Gate::open().await;
    gate.namespace("demo", DefaultDecision::Allow).await;
    gate
}

/// The version that is uploaded of a stock policy.
fn version(policy: &str) -> &'static str {
    if policy == "quota" { "1.0.0" } else { "1.1.0" }
}

fn of(policy: &str) -> Value {
    let config = match policy {
        "quota" => json!({ "max_per_subject": 5 }),
        _ => json!({}),
    };
    let bound = json!({ "policy": policy, "version": version(policy), "config": config });
    json!({ "namespaces": ["*"], "policies": [bound] })
}

async fn delete(gate: &Gate, policy: &str) -> Result<(), Failure> {
    let author = caller("author", &[]);
    let deleted = gate
        .pipeline
        .delete_policy_version(&author, policy, version(policy));
    deleted.await.map(drop)
}

#[tokio::test]
async fn a_version_is_deleted_once_no_binding_names_it() {
    let gate = gate().await;
    gate.bind(of("quota")).await.unwrap();
    let refused = delete(&gate, "quota").await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::PolicyVersionInUse, "{refused:?}");
    assert!(refused.message.contains("(b)"), "{refused:?}");
    gate.unbind().await;
    delete(&gate, "quota").await.unwrap();
    let missing = delete(&gate, "quota").await.unwrap_err();
    assert_eq!(missing.kind, FailureKind::NotFound, "{missing:?}");
    let refused = gate.bind(of("quota")).await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::Invalid, "{refused:?}");
    delete(&gate, "ttl-bounds").await.unwrap();
}

#[tokio::test]
async fn a_version_stays_while_a_lease_is_held_under_it() {
    let gate = gate().await;
    let svc = caller("svc", &[]);
    gate.bind(of("quota")).await.unwrap();
    let granted = gate.acquire(&svc, "demo/a", None).await.unwrap();
    gate.unbind().await;
    let refused = delete(&gate, "quota").await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::PolicyVersionInUse, "{refused:?}");
    assert!(refused.message.contains("demo/a"), "{refused:?}");
    // Also once it is renewed under another rule: it was granted under this one.
    let lease = granted.grant.lease_id;
    gate.bind(of("ttl-bounds")).await.unwrap();
    gate.renew(&svc, "demo/a", lease, None).await.unwrap();
    gate.unbind().await;
    for policy in ["quota", "ttl-bounds"] {
        let refused = delete(&gate, policy).await.unwrap_err();
        assert_eq!(refused.kind, FailureKind::PolicyVersionInUse, "{refused:?}");
    }
    delete(&gate, "freeze-window").await.unwrap();
    gate.release(&svc, "demo/a", lease).await;
    for policy in ["quota", "ttl-bounds"] {
        delete(&gate, policy).await.unwrap();
    }
}

/// Only what granted it and what renewed it last: an older renewal's version is not needed.
#[tokio::test]
async fn a_version_that_renewed_a_lease_before_its_last_renewal_is_deleted() {
    let gate = gate().await;
    let svc = caller("svc", &[]);
    let lease = {
        let granted = gate.acquire(&svc, "demo/a", None).await.unwrap();
        granted.grant.lease_id
    };
    gate.bind(of("ttl-bounds")).await.unwrap();
    gate.renew(&svc, "demo/a", lease, None).await.unwrap();
    gate.unbind().await;
    let refused = delete(&gate, "ttl-bounds").await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::PolicyVersionInUse, "{refused:?}");
    gate.renew(&svc, "demo/a", lease, None).await.unwrap();
    delete(&gate, "ttl-bounds").await.unwrap();
}

#[tokio::test]
async fn a_version_that_is_bound_meanwhile_is_not_deleted() {
    let gate = gate().await;
    let author = caller("author", &[]);
    let seen = gate.governance.unbound_version("quota", "1.0.0");
    let seen = seen.await.unwrap();
    gate.bind(of("quota")).await.unwrap();
    let deleted = gate.governance.delete_version(&author, &seen).await;
    let failure = deleted.unwrap_err();
    assert_eq!(failure.kind, FailureKind::PreconditionFailed, "{failure:?}");
    // What it names already, a binding does not take into use again.
    let before = gate.governance.version("quota", "1.0.0").await.unwrap();
    gate.bind(of("quota")).await.unwrap();
    let after = gate.governance.version("quota", "1.0.0").await.unwrap();
    assert_eq!(before.unwrap().revision, after.unwrap().revision);
}

#[tokio::test]
async fn the_leases_under_a_version_are_counted_in_all_namespaces() {
    let gate = gate().await;
    gate.namespace("other", DefaultDecision::Allow).await;
    let svc = caller("svc", &[]);
    let free = gate.acquire(&svc, "other/free", None).await.unwrap();
    gate.bind(of("quota")).await.unwrap();
    let mut leases = Vec::new();
    for lock in ["demo/a", "demo/b", "other/c"] {
        let held = gate.acquire(&svc, lock, None).await.unwrap();
        leases.push((lock, held.grant.lease_id));
    }
    let author = caller("author", &[]);
    let under = async |policy: &str| {
        let pipeline = &gate.pipeline;
        pipeline
            .leases_under_version(&author, policy, version(policy))
            .await
    };
    let counted = under("quota").await;
    assert_eq!((counted.leases, counted.unknown), (3, 0));
    let locks: Vec<String> = counted.locks.iter().map(ToString::to_string).collect();
    assert_eq!(locks, ["demo/a", "demo/b", "other/c"]);
    assert!(!counted.is_partial);
    assert_eq!(under("ttl-bounds").await.leases, 0);
    // A renewal under another rule does not change under which version they were granted.
    gate.unbind().await;
    let renewed = gate.renew(&svc, "demo/a", leases[0].1, None).await;
    renewed.unwrap();
    assert_eq!(under("quota").await.leases, 3);
    for (lock, lease) in leases {
        gate.release(&svc, lock, lease).await;
    }
    gate.release(&svc, "other/free", free.grant.lease_id).await;
    assert_eq!(under("quota").await, LeasesUnderVersion::default());
}
