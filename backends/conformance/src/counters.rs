//! Counters that leases carry: never more leases than may, and nothing else is refused.

use futures_util::future::join_all;
use leasehold_domain::Action;
use leasehold_domain::Command;
use leasehold_domain::Counter;
use leasehold_domain::CounterFull;
use leasehold_domain::CounterKey;
use leasehold_domain::Effect;
use leasehold_domain::EventKind;
use leasehold_domain::Expectation;
use leasehold_domain::Grant;
use leasehold_domain::Outcome;

use crate::Durable;
use crate::Harness;
use crate::asking::LONG;
use crate::asking::Store;
use crate::asking::WAIT;
use crate::asking::acquire_once;
use crate::asking::command;
use crate::asking::each;
use crate::asking::fresh_request;
use crate::asking::granted;
use crate::asking::lock;
use crate::asking::revoke;
use crate::asking::ruled;
use crate::asking::together;

/// How many ask at the same time.
pub(crate) const CROWD: usize = 64;
/// Maximum time until an expired lease no longer counts, in milliseconds.
const LATE_MS: u64 = 30_000;

fn key(name: &str) -> CounterKey {
    CounterKey {
        policy: "p".into(),
        name: name.into(),
    }
}

/// The command, whose lease will carry a counter of that name with that maximum.
pub(crate) fn counting(command: Command, name: &str, maximum: u32) -> Command {
    let counter = Counter {
        key: key(name),
        maximum,
        code: None,
    };
    Command {
        expect: Some(Expectation {
            counters: vec![counter],
            ..Expectation::default()
        }),
        ..command
    }
}

pub(crate) fn is_full(outcome: &Outcome, name: &str, maximum: u32) -> bool {
    let full = CounterFull {
        key: key(name),
        maximum,
        present: maximum,
        code: None,
    };
    *outcome == Outcome::CounterFull(Box::new(full))
}

/// An acquire that was allowed by a decision, with the counter `c`.
pub(crate) fn take(who: &str, name: &str, ttl_ms: u64, maximum: u32) -> Command {
    let taking = command(
        who,
        &fresh_request(),
        lock(name),
        acquire_once(ttl_ms, None),
    );
    counting(ruled(taking, 1), "c", maximum)
}

fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{prefix}-{n}")).collect()
}

/// No acquire is refused below the maximum, however many are sent in parallel.
pub async fn nobody_is_refused_below_the_maximum(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let maximum = u32::try_from(CROWD).expect("few");
    let cycles = async |name: &String| {
        for _ in 0..4 {
            let grant = granted(store.run_one(take("ann", name, LONG, maximum)).await);
            store.give_back("ann", name, grant.lease_id).await;
        }
    };
    join_all(names("lock", CROWD).iter().map(cycles)).await;
}

/// Of many acquires at the same time as many are granted as the maximum says; one more when one was
/// given back or revoked. A lease that is there is not refused, and never counts twice.
pub async fn no_more_are_granted_than_the_maximum(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let (names, maximum) = (names("lock", CROWD), 5);
    let take = |name: &String| store.run_one(take("ann", name, LONG, maximum));
    let mut held: Vec<(&String, Grant)> = Vec::new();
    let outcomes = join_all(names.iter().map(take)).await;
    for (name, outcome) in names.iter().zip(outcomes) {
        match outcome {
            Outcome::Granted(grant) => held.push((name, grant)),
            outcome => assert!(is_full(&outcome, "c", maximum), "{outcome:?}"),
        }
    }
    assert_eq!(held.len(), maximum as usize);
    let one_more = "one-more".to_owned();
    assert!(is_full(&take(&one_more).await, "c", maximum));
    let (name, grant) = held.remove(0);
    store.give_back("ann", name, grant.lease_id).await;
    granted(take(&one_more).await);
    assert!(is_full(&take(name).await, "c", maximum));
    let (name, _) = held.remove(0);
    let revoked = store.ask("op", name, revoke(0)).await;
    assert!(matches!(revoked, Outcome::Revoked { .. }), "{revoked:?}");
    granted(take(name).await);
}

/// A repeated acquire gets its lease, also while the counter is full, and is counted once.
pub async fn a_repeated_acquire_is_counted_once(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let ask = || {
        let taking = command("ann", "the-request", lock("one"), acquire_once(LONG, None));
        store.run_one(counting(taking, "c", 2))
    };
    let first = granted(ask().await);
    for _ in 0..3 {
        assert_eq!(granted(ask().await).lease_id, first.lease_id);
    }
    granted(store.run_one(take("bob", "two", LONG, 2)).await);
    assert!(is_full(
        &store.run_one(take("bob", "three", LONG, 2)).await,
        "c",
        2
    ));
    assert_eq!(granted(ask().await).lease_id, first.lease_id);
}

/// A lease that ended by time does not count.
pub async fn an_expired_lease_makes_room(harness: &impl Harness) {
    let store = Store::start(harness).await;
    granted(store.run_one(take("ann", "one", 1_000, 1)).await);
    assert!(is_full(
        &store.run_one(take("bob", "two", LONG, 1)).await,
        "c",
        1
    ));
    store.pass(1_001).await;
    store
        .until("one", LATE_MS, |view| view.holders.is_empty())
        .await;
    granted(store.run_one(take("bob", "two", LONG, 1)).await);
}

/// The locks of a multi-lock acquire are counted together: all are granted, or none.
pub async fn several_locks_are_counted_together(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let asked = |names: &[&str]| {
        let each = names.iter().map(|name| take("ann", name, LONG, 2));
        together(each.collect())
    };
    let outcomes = store.run(asked(&["a", "b", "c"])).await;
    assert_eq!(
        outcomes[..2],
        [Outcome::NotAttempted, Outcome::NotAttempted]
    );
    assert!(is_full(&outcomes[2], "c", 2), "{outcomes:?}");
    let outcomes = store.run(asked(&["a", "b"])).await;
    outcomes.into_iter().for_each(|outcome| {
        granted(outcome);
    });
    assert!(is_full(
        &store.run_one(take("ann", "c", LONG, 2)).await,
        "c",
        2
    ));
    // Separate commands of one batch see each other, too.
    let commands = ["d", "e"].map(|name| counting(take("ann", name, LONG, 9), "d", 1));
    let outcomes = store.run(each(commands.into())).await;
    granted(outcomes[0].clone());
    assert!(is_full(&outcomes[1], "d", 1), "{outcomes:?}");
}

/// A waiter whose counter is full when its turn comes leaves the queue with that as the reason, and
/// the next one has the lock.
pub async fn a_waiter_that_counts_too_much_is_passed_over(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let mut tail = store.tail();
    granted(store.run_one(take("ann", "other", LONG, 1)).await);
    let grant = store.take("op", "one", LONG).await;
    let wait = |who: &str| {
        let waiting = acquire_once(LONG, WAIT);
        command(who, &fresh_request(), lock("one"), waiting)
    };
    for (waiting, position) in [(counting(wait("bob"), "c", 1), 0), (wait("cyd"), 1)] {
        let queued = store.run_one(waiting).await;
        let is_queued = matches!(queued, Outcome::Queued { position: at, .. } if at == position);
        assert!(is_queued, "{queued:?}");
    }
    store.give_back("op", "one", grant.lease_id).await;
    assert_eq!(store.holders("one").await, ["cyd"]);
    let event = tail.until("one", "wait-ended").await;
    let EventKind::Lock { transitions, .. } = &event.kind else {
        panic!("{event:?}");
    };
    let why = transitions.iter().find_map(|transition| match transition {
        leasehold_domain::Transition::WaitEnded { refused, .. } => refused.clone(),
        _ => None,
    });
    assert!(is_full(
        &Outcome::CounterFull(why.expect("a counter")),
        "c",
        1
    ));
}

/// A refusal is in the events as a denial of the counter's policy.
pub async fn a_refusal_is_a_denial_of_its_policy(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let mut tail = store.tail();
    granted(store.run_one(take("ann", "one", LONG, 1)).await);
    store.run_one(take("ann", "two", LONG, 1)).await;
    let events = tail.take(2).await;
    let EventKind::Denied(cause) = &events[1].kind else {
        panic!("{events:?}");
    };
    assert_eq!(cause.request.lock, lock("two"));
    let decision = cause.decision.as_ref().expect("a decision");
    let Effect::Deny(denial) = &decision.effect else {
        panic!("{decision:?}");
    };
    assert_eq!(denial.policy.as_deref(), Some("p"));
    assert_eq!(&*denial.code, CounterFull::CODE);
}

/// Counters after a restart are those before.
pub async fn counters_survive_a_restart(harness: &impl Durable) {
    let store = Store::start(harness).await;
    let one = granted(store.run_one(take("ann", "one", LONG, 3)).await);
    granted(store.run_one(take("ann", "two", LONG, 3)).await);
    let waiting = command("bob", "bob-waits", lock("two"), acquire_once(LONG, WAIT));
    store.run_one(counting(waiting, "c", 1)).await;
    let store = store.restart().await;
    granted(store.run_one(take("ann", "three", LONG, 3)).await);
    assert!(is_full(
        &store.run_one(take("ann", "four", LONG, 3)).await,
        "c",
        3
    ));
    let lease_id = one.lease_id;
    store.give_back("ann", "one", lease_id).await;
    granted(store.run_one(take("ann", "four", LONG, 3)).await);
    // What waited has kept its counter: its turn comes, and it is refused.
    let revoked = store.ask("op", "two", revoke(0)).await;
    assert!(matches!(revoked, Outcome::Revoked { .. }), "{revoked:?}");
    assert!(store.view("two").await.queue.is_empty());
    let late = store.ask("ann", "one", Action::Release { lease_id }).await;
    assert_eq!(late, Outcome::Released);
}
