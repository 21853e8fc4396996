//! Reviews of a gateway in this process.

use leasehold_domain::Role;
use leasehold_policy_guests::Guest;
use leasehold_policy_guests::TEXT;
use leasehold_policy_guests::deny;
use serde_json::json;

use super::*;
use crate::governance::document::DefaultDecision;
use crate::pipeline::fixture::Gate;
use crate::pipeline::fixture::caller;

/// How many pass a denial at the same time.
const AT_ONCE: usize = 8;

/// A gateway whose namespace `demo` has a policy that denies, and may be overridden.
async fn gate() -> Gate {
    let gate = Gate::open().await;
    gate.namespace("demo", DefaultDecision::Allow).await;
    let at = TEXT as u32;
    let denies = Guest {
        name: "p".to_owned(),
        answer: deny((at, 2), (at + 2, 7)),
        text: b"noby hand".to_vec(),
        ..Guest::default()
    };
    let version = denies.version.clone();
    gate.upload(denies.wasm()).await;
    let bound = gate.bind(json!({ "namespaces": ["demo"], "policies": [
        { "policy": "p", "version": version, "enforcement": "overridable" }] }));
    bound.await.unwrap();
    gate
}

/// Stores as many reviews as are kept, closed or not.
async fn fill(gate: &Gate, is_closed: bool) {
    let op = caller("op", &[]);
    let closed = ClosedReview {
        by: "eve".to_owned(),
        at: String::new(),
        note: "seen".to_owned(),
    };
    let edits = (0..REVIEWS_MAX).map(|n| {
        let mut review = review_of_recovery(&n.to_string(), "x", "y", WallMillis(n as u64));
        review.closed = is_closed.then(|| closed.clone());
        let (id, absent) = (review.id.clone(), Precondition::Absent);
        edit(&op, REVIEWS, &id, Some(&review), absent, String::new()).unwrap()
    });
    gate.governance.commit(edits.collect()).await.unwrap();
}

/// Passes the denial for several locks at the same time. Returns how many were granted.
async fn break_glass(gate: &Gate) -> usize {
    let breaker = caller("breaker", &[Role::BreakGlass]);
    let acquires = (0..AT_ONCE).map(|n| {
        let (breaker, lock) = (&breaker, format!("demo/{n}"));
        async move { gate.acquire(breaker, &lock, Some("INC-1")).await.is_ok() }
    });
    let granted = futures_util::future::join_all(acquires).await;
    granted.into_iter().filter(|granted| *granted).count()
}

#[tokio::test]
async fn who_pass_denials_at_the_same_time_have_a_review_each() {
    let gate = gate().await;
    fill(&gate, true).await;
    assert_eq!(break_glass(&gate).await, AT_ONCE);
    let reviews = gate.governance.reviews().await.unwrap();
    let open = reviews.iter().filter(|one| one.document.closed.is_none());
    assert_eq!(open.count(), AT_ONCE);
    assert!(reviews.len() <= REVIEWS_MAX);
    let counts = gate.governance.review_counts();
    assert_eq!((counts.open, counts.overdue), (AT_ONCE as u64, 0));
}

#[tokio::test]
async fn nothing_is_granted_without_room_for_its_review() {
    let gate = gate().await;
    fill(&gate, false).await;
    assert_eq!(break_glass(&gate).await, 0);
    assert_eq!(gate.governance.review_counts().overdue, REVIEWS_MAX as u64);
}
