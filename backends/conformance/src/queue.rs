//! Who waits is served in order, in the same write that makes room.

use leasehold_domain::Action;
use leasehold_domain::Mode;
use leasehold_domain::Outcome;

use crate::Harness;
use crate::asking::LONG;
use crate::asking::Store;
use crate::asking::WAIT;
use crate::asking::acquire;
use crate::asking::acquire_as;
use crate::asking::command;
use crate::asking::fresh_lease;
use crate::asking::granted;
use crate::asking::lock;
use crate::tail::names;

const SHARED: Mode = Mode::Shared { permits: 1 };

/// A release and the grant to the next are one event: there is no moment between them.
pub async fn a_release_hands_over_in_the_same_write(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let first = store.take("ann", "one", LONG).await;
    let waiter = store.queue("bob", "one", LONG).await;
    store.give_back("ann", "one", first.lease_id).await;
    assert_eq!(store.holders("one").await, ["bob"]);
    let mut tail = store.tail();
    let handover = tail.until("one", "released").await;
    assert_eq!(names(&handover, "one"), ["released", "granted"]);
    let view = store.view("one").await;
    assert_eq!(view.holders[0].handle, waiter.handle());
    assert!(view.holders[0].token > first.token);
}

/// Waiters are served in the order in which they came.
pub async fn the_first_to_wait_is_the_first_to_hold(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let mut lease_id = store.take("ann", "one", LONG).await.lease_id;
    let mut holder = "ann".to_owned();
    let mut waiting = Vec::new();
    for n in 0..5 {
        let who = format!("bob-{n}");
        let outcome = store.ask(&who, "one", acquire(LONG, WAIT)).await;
        let Outcome::Queued {
            lease_id, position, ..
        } = outcome
        else {
            panic!("{who}: {outcome:?}");
        };
        assert_eq!(position, n);
        waiting.push((who, lease_id));
    }
    let mut last = 0;
    for (next, next_lease) in waiting {
        store.give_back(&holder, "one", lease_id).await;
        let view = store.view("one").await;
        assert_eq!(view.holders[0].handle, next_lease.handle(), "{next}'s turn");
        assert!(view.holders[0].token.0 > last);
        (holder, lease_id, last) = (next, next_lease, view.holders[0].token.0);
    }
}

/// A waiter that asks again gets its place, and its lease once it has been granted.
pub async fn a_waiter_finds_its_grant(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let first = store.take("ann", "one", LONG).await;
    let ask = || command("bob", "bob-waits", lock("one"), acquire(LONG, WAIT));
    let Outcome::Queued { lease_id, .. } = store.run_one(ask()).await else {
        panic!("not queued");
    };
    store.queue("cat", "one", LONG).await;
    let again = store.run_one(ask()).await;
    assert!(
        matches!(again, Outcome::Queued { position: 0, .. }),
        "{again:?}"
    );
    store.give_back("ann", "one", first.lease_id).await;
    let grant = granted(store.run_one(ask()).await);
    assert_eq!(grant.lease_id, lease_id);
    assert!(grant.waited && grant.repeated);
}

/// A shared waiter does not overtake an exclusive one that came before.
pub async fn nobody_is_overtaken(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let shared = granted(
        store
            .ask("ann", "one", acquire_as(SHARED, LONG, None))
            .await,
    );
    let exclusive = store.queue("bob", "one", LONG).await;
    let late = store
        .ask("cat", "one", acquire_as(SHARED, LONG, WAIT))
        .await;
    assert!(
        matches!(late, Outcome::Queued { position: 1, .. }),
        "{late:?}"
    );
    let trying = store
        .ask("dan", "one", acquire_as(SHARED, LONG, None))
        .await;
    assert!(matches!(trying, Outcome::Held { .. }), "{trying:?}");
    store.give_back("ann", "one", shared.lease_id).await;
    assert_eq!(store.holders("one").await, ["bob"]);
    store.give_back("bob", "one", exclusive).await;
    assert_eq!(store.holders("one").await, ["cat"]);
}

/// One write serves all shared waiters that fit.
pub async fn one_release_serves_all_that_fit(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let exclusive = store.take("ann", "one", LONG).await;
    for who in ["bob", "cat", "dan"] {
        let queued = store.ask(who, "one", acquire_as(SHARED, LONG, WAIT)).await;
        assert!(matches!(queued, Outcome::Queued { .. }), "{queued:?}");
    }
    store.give_back("ann", "one", exclusive.lease_id).await;
    assert_eq!(store.holders("one").await, ["bob", "cat", "dan"]);
    let view = store.view("one").await;
    let token = view.holders[0].token;
    assert!(view.holders.iter().all(|holder| holder.token == token));
}

/// Who leaves the queue is passed over; who leaves after its grant gives it to the next.
pub async fn a_waiter_that_leaves_is_passed_over(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let first = store.take("ann", "one", LONG).await;
    let bob = store.queue("bob", "one", LONG).await;
    let cat = store.queue("cat", "one", LONG).await;
    store.queue("dan", "one", LONG).await;
    let cancel = |lease_id| Action::CancelWait { lease_id };
    assert_eq!(
        store.ask("bob", "one", cancel(bob)).await,
        Outcome::Cancelled
    );
    store.give_back("ann", "one", first.lease_id).await;
    assert_eq!(store.holders("one").await, ["cat"]);
    assert_eq!(
        store.ask("cat", "one", cancel(cat)).await,
        Outcome::Cancelled
    );
    assert_eq!(store.holders("one").await, ["dan"]);
}

/// A waiter whose poll is over keeps its place, and the lock from nobody.
pub async fn a_waiter_between_polls_is_passed_over(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let first = store.take("ann", "one", LONG).await;
    let ask = |wait| command("bob", "bob-waits", lock("one"), acquire(LONG, wait));
    let queued = store.run_one(ask(Some(1))).await;
    assert!(matches!(queued, Outcome::Queued { position: 0, .. }));
    harness.pass(&store.running, 50).await;
    store.give_back("ann", "one", first.lease_id).await;
    assert!(store.holders("one").await.is_empty());
    let cat = store.take("cat", "one", LONG).await;
    let again = store.run_one(ask(WAIT)).await;
    assert!(matches!(again, Outcome::Queued { position: 0, .. }));
    store.give_back("cat", "one", cat.lease_id).await;
    assert_eq!(store.holders("one").await, ["bob"]);
}

/// A client that asks again elsewhere keeps its place and its grant when the first gateway notices
/// late that it has gone; when all have noticed, nothing is left behind.
pub async fn a_late_cancel_takes_nothing_from_who_asked_again(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let first = store.take("ann", "one", LONG).await;
    let here = fresh_lease();
    let ask = |drawn| {
        let acquire = Action::Acquire {
            lease_id: drawn,
            mode: Mode::Exclusive,
            ttl_ms: LONG,
            wait_ms: WAIT,
            max_hold_ms: None,
        };
        store.run_one(command("bob", "same", lock("one"), acquire))
    };
    let cancel = |lease_id| store.ask("bob", "one", Action::CancelWait { lease_id });
    assert!(matches!(ask(here).await, Outcome::Queued { .. }));
    store.queue("cat", "one", LONG).await;
    let there = fresh_lease();
    let Outcome::Queued {
        lease_id, position, ..
    } = ask(there).await
    else {
        panic!("bob waits no more");
    };
    assert_eq!((lease_id, position), (here, 0));
    assert_eq!(cancel(here).await, Outcome::Cancelled);
    store.give_back("ann", "one", first.lease_id).await;
    assert_eq!(store.holders("one").await, ["bob"], "bob keeps its place");
    // Again elsewhere, after the grant.
    let third = fresh_lease();
    assert_eq!(granted(ask(third).await).lease_id, here);
    assert_eq!(cancel(there).await, Outcome::Cancelled);
    assert_eq!(store.holders("one").await, ["bob"], "bob keeps its grant");
    assert_eq!(cancel(third).await, Outcome::Cancelled);
    assert_eq!(store.holders("one").await, ["cat"], "nobody is there");
}
