//! Waiters between two polls: they keep their places, and nobody waits for them.

use leasehold_domain::Outcome;

use crate::asking::EXCLUSIVE;
use crate::asking::OneLock;
use crate::asking::acquire;
use crate::asking::granted;
use crate::asking::release;
use crate::asking::shared;

/// A poll that outlasts its case.
const WAIT: Option<u64> = Some(60_000);

#[test]
fn those_who_have_given_up_keep_the_lock_from_nobody() {
    let mut l = OneLock::default();
    granted(l.ask(0, "ann", acquire(1, EXCLUSIVE, 90_000, None)));
    for id in 2..11 {
        l.ask(1, "bob", acquire(id, EXCLUSIVE, 1_000, Some(300)));
    }
    l.ask(2, "cyd", acquire(20, EXCLUSIVE, 1_000, WAIT));
    // Nine places are kept, and nobody polls for them any more.
    l.ask(400, "ann", release(1));
    assert_eq!(l.names(), ["released", "granted"]);
    assert_eq!(l.holders(), ["cyd"]);
    l.ask(500, "cyd", release(20));
    assert!(l.holders().is_empty());
    // Neither do they keep it from one who only tries.
    granted(l.ask(600, "dan", acquire(21, EXCLUSIVE, 1_000, None)));
}

#[test]
fn who_comes_back_in_time_is_first_again() {
    let mut l = OneLock::default();
    granted(l.ask(0, "ann", acquire(1, EXCLUSIVE, 90_000, None)));
    l.ask(0, "bob", acquire(2, EXCLUSIVE, 1_000, Some(300)));
    l.ask(1, "cyd", acquire(3, EXCLUSIVE, 1_000, WAIT));
    l.ask(2, "dan", acquire(4, EXCLUSIVE, 1_000, WAIT));
    l.ask(400, "ann", release(1));
    assert_eq!(l.holders(), ["cyd"]);
    l.tick(1_401);
    assert_eq!(l.holders(), ["dan"], "who is there waits for nobody");
    let again = l.ask(2_299, "bob", acquire(2, EXCLUSIVE, 1_000, WAIT));
    assert!(matches!(again, Outcome::Queued { position: 0, .. }));
    l.ask(2_300, "eve", acquire(5, EXCLUSIVE, 1_000, WAIT));
    l.ask(2_301, "dan", release(4));
    assert_eq!(l.holders(), ["bob"]);
}

#[test]
fn a_lock_that_only_the_absent_want_is_theirs_when_they_ask() {
    let mut l = OneLock::default();
    granted(l.ask(0, "ann", acquire(1, EXCLUSIVE, 90_000, None)));
    l.ask(0, "bob", acquire(2, EXCLUSIVE, 1_000, Some(300)));
    l.ask(400, "ann", release(1));
    assert!(l.holders().is_empty());
    // Also by a try: whoever asks is there.
    granted(l.ask(500, "bob", acquire(2, EXCLUSIVE, 1_000, None)));
    assert_eq!(l.holders(), ["bob"]);
}

#[test]
fn a_place_is_lost_when_its_slack_is_over() {
    let mut l = OneLock::default();
    granted(l.ask(0, "ann", acquire(1, EXCLUSIVE, 90_000, None)));
    l.ask(0, "bob", acquire(2, EXCLUSIVE, 1_000, Some(300)));
    l.tick(2_300);
    assert!(l.told.is_empty());
    l.tick(2_301);
    assert_eq!(l.names(), ["wait-ended"]);
}

#[test]
fn an_absent_waiter_that_does_not_fit_keeps_those_behind_it_waiting() {
    let mut l = OneLock::default();
    granted(l.ask(0, "ann", acquire(1, shared(1), 90_000, None)));
    l.ask(0, "bob", acquire(2, EXCLUSIVE, 1_000, Some(300)));
    l.ask(1, "cyd", acquire(3, shared(1), 1_000, WAIT));
    l.tick(400);
    assert_eq!(l.holders(), ["ann"], "an exclusive waiter may pause");
    l.tick(2_301);
    assert_eq!(l.holders(), ["ann", "cyd"]);
}
