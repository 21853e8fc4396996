//! Named cases: what each command promises.

use leasehold_domain::Action;
use leasehold_domain::EndCause;
use leasehold_domain::Expectation;
use leasehold_domain::LockSettings;
use leasehold_domain::Mode;
use leasehold_domain::Outcome;
use leasehold_domain::Rejection;
use leasehold_domain::Transition;
use leasehold_domain::limits;

use crate::asking::EXCLUSIVE;
use crate::asking::OneLock;
use crate::asking::acquire;
use crate::asking::cancel;
use crate::asking::command;
use crate::asking::granted;
use crate::asking::lease;
use crate::asking::lock;
use crate::asking::release;
use crate::asking::renew;
use crate::asking::revoke;
use crate::asking::shared;
use crate::asking::subject;
use crate::asking::transfer;

const WAIT: Option<u64> = Some(60_000);

fn cooldown(cooldown_ms: u64) -> Action {
    Action::Configure(LockSettings {
        cooldown_ms,
        ..LockSettings::default()
    })
}

fn limit(limit: u32) -> Action {
    Action::Configure(LockSettings {
        limit,
        ..LockSettings::default()
    })
}

#[test]
fn a_second_try_is_told_who_holds() {
    let mut l = OneLock::default();
    let first = granted(l.ask(0, "ann", acquire(1, EXCLUSIVE, 1_000, None)));
    assert!(!first.repeated && !first.waited);
    assert_eq!((first.ttl_ms, first.remaining_ms), (1_000, 1_000));
    let Outcome::Held {
        holders, waiters, ..
    } = l.ask(1, "bob", acquire(2, EXCLUSIVE, 1_000, None))
    else {
        panic!("not held");
    };
    assert_eq!(holders[0].owner.subject, subject("ann"));
    assert_eq!((holders[0].remaining_ms, waiters), (999, 0));
}

#[test]
fn a_release_hands_over_in_the_same_step() {
    let mut l = OneLock::default();
    let first = granted(l.ask(0, "ann", acquire(1, EXCLUSIVE, 1_000, None)));
    let queued = l.ask(1, "bob", acquire(2, EXCLUSIVE, 1_000, WAIT));
    assert!(matches!(queued, Outcome::Queued { position: 0, .. }));
    assert_eq!(l.ask(500, "ann", release(1)), Outcome::Released);
    assert_eq!(l.names(), ["released", "granted"]);
    let second = granted(l.ask(501, "bob", acquire(2, EXCLUSIVE, 1_000, WAIT)));
    assert!(second.waited && second.repeated);
    assert_eq!(second.remaining_ms, 999);
    assert!(second.token > first.token);
}

#[test]
fn a_lease_ends_after_the_millisecond_of_its_deadline_and_not_in_it() {
    let mut l = OneLock::default();
    granted(l.ask(0, "ann", acquire(1, EXCLUSIVE, 1_000, None)));
    granted(l.ask(400, "ann", renew(1, None)));
    // It may have been renewed late in that millisecond, and this may be early in this.
    l.tick(1_400);
    assert!(l.told.is_empty());
    l.tick(1_401);
    assert_eq!(l.names(), ["expired"]);
    let lost = Outcome::LeaseLost(EndCause::Expired);
    assert_eq!(l.ask(1_401, "ann", renew(1, None)), lost);
    assert_eq!(l.ask(1_401, "ann", release(1)), lost);
}

#[test]
fn a_shared_waiter_does_not_overtake_an_exclusive_one() {
    let mut l = OneLock::default();
    granted(l.ask(0, "ann", acquire(1, shared(1), 9_000, None)));
    l.ask(1, "bob", acquire(2, EXCLUSIVE, 9_000, WAIT));
    l.ask(2, "cyd", acquire(3, shared(1), 9_000, WAIT));
    let tried = l.ask(3, "dan", acquire(4, shared(1), 9_000, None));
    assert!(matches!(tried, Outcome::Held { waiters: 2, .. }));
    assert_eq!(l.holders(), ["ann"]);
    l.ask(4, "ann", release(1));
    assert_eq!(l.holders(), ["bob"]);
    l.ask(5, "bob", release(2));
    assert_eq!(l.holders(), ["cyd"]);
}

#[test]
fn shared_leases_stay_within_the_limit_and_those_granted_together_share_a_token() {
    let mut l = OneLock::default();
    assert_eq!(l.ask(0, "op", limit(3)), Outcome::Configured);
    let too_many = l.ask(0, "ann", acquire(1, shared(4), 9_000, WAIT));
    assert_eq!(too_many, Outcome::Rejected(Rejection::TooManyPermits));
    granted(l.ask(0, "ann", acquire(2, EXCLUSIVE, 9_000, None)));
    for (id, permits) in [(3, 2), (4, 1), (5, 1)] {
        l.ask(1, "bob", acquire(id, shared(permits), 9_000, WAIT));
    }
    l.ask(2, "ann", release(2));
    assert_eq!(l.names(), ["released", "granted", "granted"]);
    let view = l.record.view(&lock("l"), l.record.clock());
    assert_eq!(view.holders[0].token, view.holders[1].token);
    assert_eq!(view.queue.len(), 1);
    l.ask(3, "bob", release(4));
    assert_eq!(l.names(), ["released", "granted"]);
}

#[test]
fn a_lower_limit_takes_nothing_away_and_dismisses_who_can_never_be_served() {
    let mut l = OneLock::default();
    granted(l.ask(0, "ann", acquire(1, shared(5), 9_000, None)));
    l.ask(0, "op", limit(6));
    l.ask(1, "bob", acquire(2, shared(6), 9_000, WAIT));
    l.ask(1, "cyd", acquire(3, shared(1), 9_000, WAIT));
    l.ask(2, "op", limit(2));
    assert_eq!(l.names(), ["configured", "wait-ended"]);
    assert_eq!(l.holders(), ["ann"]);
    l.ask(3, "ann", release(1));
    assert_eq!(l.holders(), ["cyd"]);
    let zero = l.ask(3, "op", limit(0));
    assert_eq!(zero, Outcome::Rejected(Rejection::Impossible));
}

#[test]
fn a_repeated_acquire_gets_the_same_lease_and_does_not_lengthen_it() {
    let mut l = OneLock::default();
    let first = granted(l.repeat(0, "ann", "r", acquire(1, EXCLUSIVE, 1_000, None)));
    let again = granted(l.repeat(300, "ann", "r", acquire(2, EXCLUSIVE, 1_000, WAIT)));
    assert_eq!((again.lease_id, again.token), (first.lease_id, first.token));
    assert!(again.repeated);
    assert_eq!((again.ttl_ms, again.remaining_ms), (1_000, 700));
    assert!(l.told.is_empty());
    let other = l.repeat(301, "ann", "r", acquire(3, shared(1), 1_000, None));
    assert_eq!(other, Outcome::Rejected(Rejection::RequestIdReused));
    let foreign = l.repeat(302, "bob", "r", acquire(4, EXCLUSIVE, 1_000, None));
    assert!(matches!(foreign, Outcome::Held { .. }));
}

#[test]
fn a_repeated_wait_keeps_its_place_and_lengthens_only_the_wait() {
    let mut l = OneLock::default();
    granted(l.ask(0, "ann", acquire(1, EXCLUSIVE, 86_400_000, None)));
    l.repeat(0, "bob", "r", acquire(2, EXCLUSIVE, 1_000, Some(1_000)));
    l.ask(1, "cyd", acquire(3, EXCLUSIVE, 1_000, WAIT));
    let again = l.repeat(2_000, "bob", "r", acquire(9, EXCLUSIVE, 1_000, Some(1_000)));
    let Outcome::Queued {
        lease_id,
        position,
        wait_remaining_ms,
        ..
    } = again
    else {
        panic!("not queued: {again:?}");
    };
    assert_eq!((lease_id, position), (lease(2), 0));
    assert_eq!(wait_remaining_ms, 1_000 + limits::WAITER_SLACK_MS);
    // Who only tries is told that it is held, and keeps the place all the same.
    let tried = l.repeat(2_001, "bob", "r", acquire(9, EXCLUSIVE, 1_000, None));
    assert!(matches!(tried, Outcome::Held { waiters: 2, .. }));
    l.tick(5_000);
    assert!(l.told.is_empty());
    l.tick(5_001);
    assert_eq!(l.names(), ["wait-ended"]);
}

#[test]
fn a_repeated_release_succeeds_while_the_record_remembers() {
    let mut l = OneLock::default();
    granted(l.ask(0, "ann", acquire(1, EXCLUSIVE, 1_000, None)));
    assert_eq!(l.ask(10, "ann", release(1)), Outcome::Released);
    assert_eq!(l.ask(20, "ann", release(1)), Outcome::Released);
    assert_eq!(l.ask(20, "bob", release(1)), Outcome::NotHolder);
    let late = 10 + limits::ENDED_LEASE_MEMORY_MS;
    let forgotten = Outcome::LeaseLost(EndCause::Unknown);
    assert_eq!(l.ask(late, "ann", release(1)), forgotten);
    assert!(l.record.is_idle(leasehold_domain::Millis(late + 1_000)));
}

#[test]
fn an_id_alone_is_not_enough() {
    let mut l = OneLock::default();
    granted(l.ask(0, "ann", acquire(1, EXCLUSIVE, 1_000, None)));
    l.ask(0, "cyd", acquire(2, EXCLUSIVE, 1_000, WAIT));
    for action in [
        renew(1, None),
        release(1),
        transfer(1, "bob", 0),
        cancel(1),
        cancel(2),
    ] {
        assert_eq!(l.ask(1, "bob", action), Outcome::NotHolder);
    }
    for action in [renew(7, None), release(7), transfer(7, "bob", 0)] {
        let unknown = Outcome::LeaseLost(EndCause::Unknown);
        assert_eq!(l.ask(1, "bob", action), unknown);
    }
    assert_eq!(l.holders(), ["ann"]);
}

#[test]
fn a_renewal_never_shortens_and_never_passes_the_longest_hold() {
    let mut l = OneLock::default();
    let asked = Action::Acquire {
        lease_id: lease(1),
        mode: EXCLUSIVE,
        ttl_ms: 1_000,
        wait_ms: None,
        max_hold_ms: Some(2_500),
    };
    let first = granted(l.ask(0, "ann", asked));
    assert_eq!(first.hold_remaining_ms, Some(2_500));
    let longer = granted(l.ask(500, "ann", renew(1, Some(1_500))));
    assert_eq!((longer.ttl_ms, longer.remaining_ms), (1_500, 1_500));
    let shorter = granted(l.ask(600, "ann", renew(1, Some(1_000))));
    assert_eq!((shorter.ttl_ms, shorter.remaining_ms), (1_000, 1_400));
    let last = granted(l.ask(1_900, "ann", renew(1, None)));
    assert_eq!((last.ttl_ms, last.remaining_ms), (600, 600));
    l.tick(2_500);
    assert!(l.told.is_empty());
    l.tick(2_501);
    assert_eq!(l.names(), ["held-too-long"]);
}

#[test]
fn a_renewal_is_told_only_if_that_was_asked_and_summarised_in_the_end() {
    let mut l = OneLock::default();
    granted(l.ask(0, "ann", acquire(1, EXCLUSIVE, 1_000, None)));
    granted(l.ask(100, "ann", renew(1, None)));
    assert!(l.told.is_empty());
    let recorded = Action::Renew {
        lease_id: lease(1),
        ttl_ms: None,
        max_hold_ms: None,
        record: true,
    };
    granted(l.ask(200, "ann", recorded));
    assert_eq!(l.names(), ["renewed"]);
    l.ask(300, "ann", release(1));
    let Transition::Ended {
        renewals, held_ms, ..
    } = &l.told[0]
    else {
        panic!("not ended");
    };
    assert_eq!((renewals.count, *held_ms), (2, 300));
    assert_eq!((renewals.first.0, renewals.last.0), (1_000_100, 1_000_200));
}

#[test]
fn a_renewal_under_another_rule_is_told_once() {
    let mut l = OneLock::default();
    granted(l.ask_under(0, 1, "ann", acquire(1, EXCLUSIVE, 1_000, None)));
    // Under the rule of its grant: nothing to tell.
    granted(l.ask_under(100, 1, "ann", renew(1, None)));
    assert!(l.told.is_empty());
    granted(l.ask_under(200, 2, "ann", renew(1, None)));
    assert_eq!(l.names(), ["renewed"]);
    granted(l.ask_under(300, 2, "ann", renew(1, None)));
    assert!(l.told.is_empty());
    // A renewal that no policy judged says nothing about the rule.
    granted(l.ask(400, "ann", renew(1, None)));
    assert!(l.told.is_empty());
    granted(l.ask_under(500, 1, "ann", renew(1, None)));
    assert_eq!(l.names(), ["renewed"]);
    // A draining lease is not lengthened, so it stays under its rule.
    l.ask(600, "op", revoke(900));
    l.ask_under(700, 2, "ann", renew(1, None));
    assert!(l.told.is_empty());
}

#[test]
fn a_lease_from_the_queue_is_held_under_the_rule_of_its_queueing() {
    let mut l = OneLock::default();
    granted(l.ask_under(0, 1, "ann", acquire(1, EXCLUSIVE, 1_000, None)));
    l.ask_under(1, 2, "bob", acquire(2, EXCLUSIVE, 1_000, Some(5_000)));
    // Asking again under another rule changes neither the wait's terms nor its rule.
    l.ask_under(2, 3, "bob", acquire(3, EXCLUSIVE, 9_000, Some(5_000)));
    l.ask(3, "ann", release(1));
    assert_eq!(l.names(), ["released", "granted"]);
    granted(l.ask_under(4, 2, "bob", renew(2, None)));
    assert!(l.told.is_empty());
    granted(l.ask_under(5, 3, "bob", renew(2, None)));
    assert_eq!(l.names(), ["renewed"]);
}

#[test]
fn cooldown_follows_an_expiry_and_only_that() {
    let mut l = OneLock::default();
    l.ask(0, "op", cooldown(500));
    granted(l.ask(0, "ann", acquire(1, EXCLUSIVE, 1_000, None)));
    l.ask(10, "ann", release(1));
    granted(l.ask(10, "ann", acquire(2, EXCLUSIVE, 1_000, None)));
    l.ask(20, "op", revoke(0));
    granted(l.ask(20, "ann", acquire(3, EXCLUSIVE, 1_000, None)));
    l.ask(30, "bob", acquire(4, EXCLUSIVE, 1_000, WAIT));
    // The tick comes 100 ms late; the cooldown counts from the lease's end all the same.
    l.tick(1_121);
    assert_eq!(l.names(), ["expired", "cooling-down"]);
    let held = l.ask(1_122, "cyd", acquire(5, EXCLUSIVE, 1_000, None));
    let Outcome::Held {
        cooldown_remaining_ms,
        ..
    } = held
    else {
        panic!("not held: {held:?}");
    };
    assert_eq!(cooldown_remaining_ms, 399);
    assert_eq!(
        l.record.next_deadline(),
        Some(leasehold_domain::Millis(1_521))
    );
    l.tick(1_521);
    assert_eq!(l.holders(), ["bob"]);
}

#[test]
fn a_waiter_whose_client_is_gone_expires_and_gets_nothing() {
    let mut l = OneLock::default();
    granted(l.ask(0, "ann", acquire(1, EXCLUSIVE, 5_000, None)));
    l.ask(0, "bob", acquire(2, EXCLUSIVE, 5_000, Some(1_000)));
    l.ask(0, "cyd", acquire(3, EXCLUSIVE, 5_000, WAIT));
    l.tick(5_001);
    assert_eq!(l.names(), ["expired", "wait-ended", "granted"]);
    assert_eq!(l.holders(), ["cyd"]);
}

#[test]
fn a_full_queue_refuses_waiters_but_not_tries_or_repetitions() {
    let mut l = OneLock::default();
    granted(l.ask(0, "ann", acquire(1, EXCLUSIVE, 5_000, None)));
    let most = limits::WAITERS_PER_LOCK_MAX as u64;
    for id in 0..most {
        l.ask(0, "bob", acquire(100 + id, EXCLUSIVE, 5_000, WAIT));
    }
    let full = l.ask(1, "cyd", acquire(2, EXCLUSIVE, 5_000, WAIT));
    assert_eq!(full, Outcome::Rejected(Rejection::QueueFull));
    let tried = l.ask(1, "cyd", acquire(2, EXCLUSIVE, 5_000, None));
    assert!(matches!(tried, Outcome::Held { .. }));
    let again = l.ask(1, "bob", acquire(101, EXCLUSIVE, 5_000, WAIT));
    assert!(matches!(again, Outcome::Queued { position: 1, .. }));
}

#[test]
fn a_decision_on_another_state_is_refused_and_changes_nothing() {
    let mut l = OneLock::default();
    let mut asked = command("ann", "r", lock("l"), acquire(1, EXCLUSIVE, 1_000, None));
    asked.expect = Some(Expectation {
        revision: Some(7),
        ..Expectation::default()
    });
    assert_eq!(l.run(0, &asked), Outcome::Stale);
    assert_eq!(l.record, Default::default());
    asked.expect = Some(Expectation {
        revision: Some(0),
        ..Expectation::default()
    });
    granted(l.run(0, &asked));
    let seen = l.record.revision();
    granted(l.ask(1, "ann", renew(1, None)));
    assert!(l.record.revision() > seen);
    asked.action = release(1);
    asked.expect = Some(Expectation {
        revision: Some(seen),
        ..Expectation::default()
    });
    assert_eq!(l.run(2, &asked), Outcome::Stale);
    assert_eq!(l.holders(), ["ann"]);
}

#[test]
fn impossible_commands_are_rejected() {
    let mut l = OneLock::default();
    let impossible = Outcome::Rejected(Rejection::Impossible);
    let mut nobody = command("ann", "r", lock("l"), acquire(1, EXCLUSIVE, 1_000, None));
    nobody.cause = None;
    assert_eq!(l.run(0, &nobody), impossible);
    let none = Mode::Shared { permits: 0 };
    assert_eq!(l.ask(0, "ann", acquire(1, none, 1_000, None)), impossible);
    granted(l.ask(0, "ann", acquire(1, EXCLUSIVE, 1_000, None)));
    let stolen = l.repeat(0, "bob", "other", acquire(1, EXCLUSIVE, 1_000, WAIT));
    assert_eq!(stolen, impossible);
}

#[test]
fn tokens_end_before_json_numbers_do() {
    let mut l = OneLock::default();
    let asked = command("ann", "r", lock("l"), acquire(1, EXCLUSIVE, 1_000, WAIT));
    let mut at = crate::asking::moment(0, 0);
    at.token_floor = limits::TOKEN_MAX - 1;
    let (outcome, told) = leasehold_machine::apply(&mut l.record, &asked, at);
    assert_eq!(outcome, Outcome::Rejected(Rejection::Impossible));
    assert!(told.is_empty());
    at.token_floor = limits::TOKEN_MAX - 2;
    let (outcome, _) = leasehold_machine::apply(&mut l.record, &asked, at);
    assert_eq!(granted(outcome).token.0, limits::TOKEN_MAX - 1);
}

#[test]
fn durations_without_bound_do_not_wrap() {
    let mut l = OneLock::default();
    let grant = granted(l.ask(5, "ann", acquire(1, EXCLUSIVE, u64::MAX, Some(u64::MAX))));
    assert_eq!(grant.remaining_ms, u64::MAX - 5);
    l.ask(6, "bob", acquire(2, EXCLUSIVE, 1_000, Some(u64::MAX)));
    l.ask(7, "op", revoke(u64::MAX));
    l.tick(u64::MAX - 1);
    assert_eq!(l.holders(), ["ann"]);
}
