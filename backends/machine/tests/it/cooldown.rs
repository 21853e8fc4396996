//! A release with a cooldown: the lock is not granted again until it ends.

use leasehold_domain::EndCause;
use leasehold_domain::Millis;
use leasehold_domain::Outcome;
use leasehold_domain::limits::COOLDOWN_MS_MAX;

use crate::asking::EXCLUSIVE;
use crate::asking::OneLock;
use crate::asking::acquire;
use crate::asking::cancel;
use crate::asking::granted;
use crate::asking::lease;
use crate::asking::release;
use crate::asking::release_with_cooldown;
use crate::asking::revoke;
use crate::asking::shared;
use crate::asking::transfer;

const WAIT: Option<u64> = Some(30_000);

fn remaining(outcome: &Outcome) -> u64 {
    match outcome {
        Outcome::Held {
            cooldown_remaining_ms,
            ..
        } => *cooldown_remaining_ms,
        other => panic!("not held: {other:?}"),
    }
}

#[test]
fn nobody_is_granted_the_lock_before_the_cooldown_ends() {
    let mut l = OneLock::default();
    granted(l.ask(0, "ann", acquire(1, EXCLUSIVE, 60_000, None)));
    l.ask(1, "bob", acquire(2, EXCLUSIVE, 60_000, WAIT));
    let released = l.ask(10, "ann", release_with_cooldown(1, 500));
    assert_eq!(released, Outcome::Released);
    assert_eq!(l.names(), ["released", "cooling-down"]);
    assert_eq!(l.record.next_deadline(), Some(Millis(510)));
    let held = l.ask(11, "cyd", acquire(3, EXCLUSIVE, 1_000, None));
    assert_eq!(remaining(&held), 499);
    // A repetition changes nothing, and does not start it anew.
    assert_eq!(
        l.ask(400, "ann", release_with_cooldown(1, 500)),
        Outcome::Released
    );
    assert!(l.told.is_empty());
    l.tick(509);
    assert_eq!(l.holders(), [""; 0]);
    l.tick(510);
    assert_eq!(l.holders(), ["bob"]);
}

#[test]
fn a_cooldown_neither_shortens_another_nor_passes_the_limit() {
    let mut l = OneLock::default();
    granted(l.ask(0, "ann", acquire(1, shared(1), 60_000, None)));
    granted(l.ask(0, "bob", acquire(2, shared(1), 60_000, None)));
    l.ask(10, "ann", release_with_cooldown(1, u64::MAX));
    l.ask(20, "bob", release_with_cooldown(2, 5));
    assert_eq!(l.names(), ["released"]);
    let held = l.ask(20, "cyd", acquire(3, shared(1), 1_000, None));
    assert_eq!(remaining(&held), COOLDOWN_MS_MAX - 10);
}

#[test]
fn a_cooldown_does_not_pass_the_longest_hold() {
    let mut l = OneLock::default();
    let bounded = leasehold_domain::Action::Acquire {
        lease_id: lease(1),
        mode: EXCLUSIVE,
        ttl_ms: 60_000,
        wait_ms: None,
        max_hold_ms: Some(2_000),
    };
    granted(l.ask(0, "ann", bounded));
    l.ask(500, "ann", release_with_cooldown(1, 10_000));
    let held = l.ask(500, "bob", acquire(2, EXCLUSIVE, 1_000, None));
    assert_eq!(remaining(&held), 1_500);
    granted(l.ask(2_000, "bob", acquire(3, EXCLUSIVE, 1_000, None)));
}

#[test]
fn a_lease_that_drains_leaves_no_cooldown() {
    let mut l = OneLock::default();
    granted(l.ask(0, "ann", acquire(1, EXCLUSIVE, 60_000, None)));
    l.ask(0, "bob", acquire(2, EXCLUSIVE, 60_000, WAIT));
    l.ask(1, "op", revoke(5_000));
    l.ask(2, "ann", release_with_cooldown(1, 10_000));
    assert_eq!(l.names(), ["released", "granted"]);
    l.ask(3, "bob", transfer(2, "cyd", 5_000));
    l.ask(4, "cyd", acquire(3, EXCLUSIVE, 60_000, WAIT));
    l.ask(5, "bob", release_with_cooldown(2, 10_000));
    assert_eq!(l.holders(), ["cyd"]);
}

#[test]
fn only_a_lease_that_is_held_leaves_a_cooldown() {
    let mut l = OneLock::default();
    granted(l.ask(0, "ann", acquire(1, EXCLUSIVE, 1_000, None)));
    // A stranger, a waiter and the holder of a lease that is over start none.
    assert_eq!(
        l.ask(1, "bob", release_with_cooldown(1, 9_000)),
        Outcome::NotHolder
    );
    l.ask(1, "bob", acquire(2, EXCLUSIVE, 1_000, WAIT));
    let left = l.ask(2, "bob", release_with_cooldown(2, 9_000));
    assert_eq!((left, l.names()), (Outcome::Released, vec!["wait-ended"]));
    let late = l.ask(1_001, "ann", release_with_cooldown(1, 9_000));
    assert_eq!(late, Outcome::LeaseLost(EndCause::Expired));
    granted(l.ask(1_001, "cyd", acquire(3, EXCLUSIVE, 1_000, None)));
    l.ask(1_002, "cyd", cancel(3));
    assert_eq!(l.ask(1_003, "cyd", release(3)), Outcome::Released);
}
