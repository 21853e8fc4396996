//! What gateways on one store must agree on. Not in the lists of [`crate::conformance`]: the tests of
//! a store that gateways share start them in that store's own way.

use std::sync::Arc;

use futures_util::future::join_all;
use leasehold_backend_api::Backend;
use leasehold_backend_api::Batch;
use leasehold_backend_api::Documents;
use leasehold_domain::Action;
use leasehold_domain::Cap;
use leasehold_domain::Edit;
use leasehold_domain::Outcome;
use leasehold_domain::Precondition;

use crate::asking::LONG;
use crate::asking::acquire;
use crate::asking::command;
use crate::asking::fresh_request;
use crate::asking::lock;
use crate::caps::CROWD;
use crate::caps::MOST;
use crate::caps::capped;
use crate::caps::is_full;
use crate::counters;
use crate::governing::COLLECTION;
use crate::governing::edit;

/// Gateways on one store follow the documents that each of them makes, changes and deletes, with an
/// event or without: a snapshot of each equals that of a gateway that reads the store anew. `open`
/// opens one more gateway, by a number.
///
/// # Panics
/// One of them has other documents.
pub async fn changes_are_followed<D: Documents>(
    one: &D,
    two: &D,
    open: impl AsyncFn(usize) -> Arc<D>,
) {
    let any = |id, body| edit(id, body, Precondition::Any);
    let quiet = |id, body| Edit {
        change: None,
        ..any(id, body)
    };
    let writes = [
        (one, vec![any("a", Some("1")), any("b", Some("1"))]),
        (two, vec![any("c", Some("1")), any("b", Some("2"))]),
        (one, vec![any("c", None), any("a", Some("2"))]),
        (one, vec![any("d", Some("1")), any("b", None)]),
        (one, vec![any("b", Some("3"))]),
        (two, vec![quiet("a", Some("3")), quiet("e", Some("1"))]),
        (one, vec![quiet("e", None)]),
    ];
    for (at, (gateway, edits)) in writes.into_iter().enumerate() {
        gateway.write(edits).await.expect("a write");
        let anew = open(2 + at).await;
        let expected = anew.snapshot().await.expect("a snapshot");
        for gateway in [one, two] {
            let snapshot = gateway.snapshot().await.expect("a snapshot");
            assert_eq!(snapshot, expected, "after write {at}");
        }
    }
    let left = two.snapshot().await.expect("a snapshot");
    let left: Vec<_> = left
        .collection(COLLECTION)
        .map(|document| (&*document.id, &*document.body))
        .collect();
    let expected: [(&str, &[u8]); 3] = [("a", b"3"), ("b", b"3"), ("d", b"1")];
    assert_eq!(left, expected);
}

/// Gateways on one store grant no more together than the cap allows, and as much.
///
/// # Panics
/// They grant more, or less.
pub async fn a_cap_holds_over_gateways<B: Backend + ?Sized>(gateways: &[&B]) {
    for round in 0..10 {
        let ask = |n: usize| {
            let gateway = gateways[n % gateways.len()];
            let name = format!("lock-{round}-{n}");
            let take = capped("ann", &name, acquire(LONG, None));
            async move {
                let outcomes = gateway.execute(Batch::one(take)).await;
                (name, outcomes.expect("an answer").remove(0))
            }
        };
        let mut held = Vec::new();
        for (name, outcome) in join_all((0..CROWD).map(ask)).await {
            match outcome {
                Outcome::Granted(grant) => held.push((name, grant.lease_id)),
                outcome => assert!(is_full(&outcome, Cap::Locks), "{outcome:?}"),
            }
        }
        assert_eq!(held.len() as u64, MOST, "round {round}");
        for (name, lease_id) in held {
            let give = Action::Release { lease_id };
            let give = command("ann", &fresh_request(), lock(&name), give);
            let given = gateways[0].execute(Batch::one(give)).await;
            assert_eq!(given.expect("an answer"), [Outcome::Released]);
        }
    }
}

/// Gateways on one store together grant exactly as many leases as the maximum of a counter: below it no
/// acquire is refused, and none fails with a retryable error.
///
/// # Panics
/// They grant more, or less, or refuse somebody below the maximum.
pub async fn a_counter_holds_over_gateways<B: Backend + ?Sized>(gateways: &[&B]) {
    for (round, maximum) in [5, 64, 5, 64].into_iter().enumerate() {
        let ask = |n: usize| {
            let gateway = gateways[n % gateways.len()];
            let name = format!("lock-{round}-{n}");
            let take = counters::take("ann", &name, LONG, maximum);
            async move {
                let outcomes = gateway.execute(Batch::one(take)).await;
                (name, outcomes.expect("an answer").remove(0))
            }
        };
        let mut held = Vec::new();
        for (name, outcome) in join_all((0..counters::CROWD).map(ask)).await {
            match outcome {
                Outcome::Granted(grant) => held.push((name, grant.lease_id)),
                outcome => assert!(counters::is_full(&outcome, "c", maximum), "{outcome:?}"),
            }
        }
        assert_eq!(held.len(), maximum as usize, "round {round}");
        let give = |(n, (name, lease_id)): (usize, (String, leasehold_domain::LeaseId))| {
            let gateway = gateways[(n + 1) % gateways.len()];
            let give = Action::Release { lease_id };
            let give = command("ann", &fresh_request(), lock(&name), give);
            async move {
                let given = gateway.execute(Batch::one(give)).await;
                assert_eq!(given.expect("an answer"), [Outcome::Released]);
            }
        };
        join_all(held.into_iter().enumerate().map(give)).await;
    }
}
