//! Caps of a namespace hold for acquires that are asked for at the same time.

use futures_util::future::join_all;
use leasehold_backend_api::Batch;
use leasehold_domain::Action;
use leasehold_domain::Atomicity;
use leasehold_domain::Cap;
use leasehold_domain::CapReached;
use leasehold_domain::Caps;
use leasehold_domain::Command;
use leasehold_domain::Expectation;
use leasehold_domain::Outcome;
use leasehold_domain::Rejection;

use crate::Harness;
use crate::asking::LONG;
use crate::asking::Store;
use crate::asking::WAIT;
use crate::asking::acquire;
use crate::asking::command;
use crate::asking::fresh_request;
use crate::asking::granted;
use crate::asking::lock;

/// The cap, and how many ask at the same time.
pub(crate) const MOST: u64 = 5;
pub(crate) const CROWD: usize = 24;

pub(crate) fn capped(who: &str, name: &str, action: Action) -> Command {
    let caps = Caps {
        locks: Some(MOST),
        waiters: Some(MOST),
        reached: None,
    };
    Command {
        expect: Some(Expectation {
            caps: Some(caps),
            ..Expectation::default()
        }),
        ..command(who, &fresh_request(), lock(name), action)
    }
}

pub(crate) fn is_full(outcome: &Outcome, cap: Cap) -> bool {
    let full = CapReached {
        cap,
        most: MOST,
        present: MOST,
    };
    *outcome == Outcome::Rejected(Rejection::CapReached(full))
}

/// Of many locks that are asked for at the same time, as many are granted as the cap allows; one more
/// when one was given back. What is held already is not refused.
pub async fn a_cap_on_locks_holds_for_a_crowd(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let names: Vec<String> = (0..CROWD).map(|n| format!("lock-{n}")).collect();
    let take = |name: &String| store.run_one(capped("ann", name, acquire(LONG, None)));
    let outcomes = join_all(names.iter().map(take)).await;
    let mut held = Vec::new();
    for (name, outcome) in names.iter().zip(&outcomes) {
        match outcome {
            Outcome::Granted(grant) => held.push((name, grant.lease_id)),
            outcome => assert!(is_full(outcome, Cap::Locks), "{outcome:?}"),
        }
    }
    assert_eq!(held.len() as u64, MOST);
    let (name, lease_id) = held[0];
    let other = store.run_one(capped("bob", name, acquire(LONG, None)));
    let other = other.await;
    assert!(matches!(other, Outcome::Held { .. }), "{other:?}");
    store.give_back("ann", name, lease_id).await;
    granted(take(&names[CROWD - 1]).await);
    let refused = take(&"one-more".to_owned()).await;
    assert!(is_full(&refused, Cap::Locks), "{refused:?}");
    let batch = Batch {
        commands: vec![capped("ann", "one-more", acquire(LONG, None))],
        atomicity: Atomicity::AllOrNothing,
        notes: Vec::new(),
    };
    let refused = store.run(batch).await;
    assert!(is_full(&refused[0], Cap::Locks), "{refused:?}");
}

/// As many may wait at the same time, in all queues together, as the cap allows.
pub async fn a_cap_on_waiters_holds_for_a_crowd(harness: &impl Harness) {
    let store = Store::start(harness).await;
    for name in ["a", "b"] {
        store.take("ann", name, LONG).await;
    }
    let wait = |n: usize| {
        let name = if n.is_multiple_of(2) { "a" } else { "b" };
        store.run_one(capped(&format!("w-{n}"), name, acquire(LONG, WAIT)))
    };
    let outcomes = join_all((0..CROWD).map(wait)).await;
    let queued = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, Outcome::Queued { .. }));
    assert_eq!(queued.count() as u64, MOST);
    let refused = outcomes
        .iter()
        .filter(|outcome| is_full(outcome, Cap::Waiters));
    assert_eq!(refused.count() as u64, CROWD as u64 - MOST);
    let waiting = store.view("a").await.queue.len() + store.view("b").await.queue.len();
    assert_eq!(waiting as u64, MOST);
}
