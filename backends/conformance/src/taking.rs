//! Revocation, at once and graceful, and transfer.

use std::time::Duration;

use leasehold_domain::Action;
use leasehold_domain::EndCause;
use leasehold_domain::LeaseState;
use leasehold_domain::Outcome;
use leasehold_domain::RevokeTarget;

use crate::Harness;
use crate::asking::LONG;
use crate::asking::Store;
use crate::asking::WAIT;
use crate::asking::acquire;
use crate::asking::granted;
use crate::asking::renew;
use crate::asking::revoke;
use crate::asking::subject;
use crate::tail::names;

/// A revoked lease is over at once, and the next waiter holds.
pub async fn a_revocation_at_once_hands_over(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let first = store.take("ann", "one", LONG).await;
    store.queue("bob", "one", LONG).await;
    let outcome = store.ask("ops", "one", revoke(0)).await;
    let leases = vec![first.lease_id.handle()];
    assert_eq!(outcome, Outcome::Revoked { leases });
    assert_eq!(store.holders("one").await, ["bob"]);
    let lost = store.ask("ann", "one", renew(first.lease_id, None)).await;
    assert_eq!(lost, Outcome::LeaseLost(EndCause::Revoked));
    let event = store.tail().until("one", "revoked").await;
    assert_eq!(names(&event, "one"), ["revoked", "granted"]);
}

/// A revocation may be meant for one subject only.
pub async fn a_revocation_finds_whom_it_is_meant_for(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let shared = leasehold_domain::Mode::Shared { permits: 1 };
    for who in ["ann", "bob"] {
        let action = crate::asking::acquire_as(shared, LONG, None);
        granted(store.ask(who, "one", action).await);
    }
    let target = RevokeTarget::Subject(subject("ann"));
    let action = Action::Revoke {
        target,
        grace_ms: 0,
    };
    store.ask("ops", "one", action).await;
    assert_eq!(store.holders("one").await, ["bob"]);
}

/// A draining lease is not lengthened, lasts for its grace, and is taken at the deadline without
/// anybody asking.
pub async fn a_graceful_revocation_drains_and_then_takes(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let first = store.take("ann", "one", LONG).await;
    store.queue("bob", "one", LONG).await;
    let since = store.clock();
    store.ask("ops", "one", revoke(1_000)).await;
    let outcome = store.ask("ann", "one", renew(first.lease_id, None)).await;
    let Outcome::Draining(grant) = outcome else {
        panic!("renewed while draining: {outcome:?}");
    };
    assert!(grant.remaining_ms <= 1_000);
    assert!(matches!(grant.state, LeaseState::Draining { .. }));
    let handle = first.lease_id.handle();
    store
        .until("one", 31_000, |view| view.holders[0].handle != handle)
        .await;
    let drained = store.clock() - since;
    assert!(drained >= Duration::from_secs(1), "taken after {drained:?}");
    assert_eq!(store.holders("one").await, ["bob"]);
    let mut tail = store.tail();
    tail.until("one", "draining").await;
    let event = tail.until("one", "revoked").await;
    assert_eq!(names(&event, "one"), ["revoked", "granted"]);
}

/// A transferred lock goes to the named successor, in front of everybody, with a greater token.
pub async fn a_transfer_reaches_its_successor(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let first = store.take("ann", "one", LONG).await;
    store.queue("bob", "one", LONG).await;
    store.queue("cat", "one", LONG).await;
    let transfer = Action::Transfer {
        lease_id: first.lease_id,
        to: subject("cat"),
        grace_ms: 0,
    };
    let outcome = store.ask("ann", "one", transfer).await;
    let drain_remaining_ms = 0;
    assert_eq!(outcome, Outcome::Transferring { drain_remaining_ms });
    assert_eq!(store.holders("one").await, ["cat"]);
    let view = store.view("one").await;
    assert!(view.holders[0].token > first.token);
    assert_eq!(view.queue[0].owner.subject, subject("bob"));
}

/// A successor that is not there yet finds the lock reserved for it.
pub async fn a_transfer_waits_for_its_successor(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let first = store.take("ann", "one", LONG).await;
    let transfer = Action::Transfer {
        lease_id: first.lease_id,
        to: subject("cat"),
        grace_ms: 0,
    };
    store.ask("ann", "one", transfer).await;
    let outcome = store.ask("bob", "one", acquire(LONG, None)).await;
    let Outcome::Held { reserved_for, .. } = outcome else {
        panic!("granted to another: {outcome:?}");
    };
    assert_eq!(reserved_for, Some(subject("cat")));
    let queued = store.ask("bob", "one", acquire(LONG, WAIT)).await;
    assert!(matches!(queued, Outcome::Queued { .. }), "{queued:?}");
    let grant = store.take("cat", "one", LONG).await;
    assert!(grant.token > first.token);
}
