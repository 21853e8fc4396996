//! Named cases of leases that change hands: revoke, drain, transfer, giving back.

use leasehold_domain::Action;
use leasehold_domain::EndCause;
use leasehold_domain::LeaseState;
use leasehold_domain::Outcome;
use leasehold_domain::RevokeTarget;
use leasehold_domain::limits::CLAIMS_PER_LEASE_MAX;
use leasehold_machine::RESERVATION_MS_MAX;

use crate::asking::EXCLUSIVE;
use crate::asking::OneLock;
use crate::asking::acquire;
use crate::asking::cancel;
use crate::asking::granted;
use crate::asking::lease;
use crate::asking::release;
use crate::asking::renew;
use crate::asking::revoke;
use crate::asking::shared;
use crate::asking::subject;
use crate::asking::transfer;

const WAIT: Option<u64> = Some(60_000);

#[test]
fn a_graceful_revoke_lets_the_holder_drain() {
    let mut l = OneLock::default();
    granted(l.ask(0, "ann", acquire(1, EXCLUSIVE, 1_000, None)));
    l.ask(0, "bob", acquire(2, EXCLUSIVE, 1_000, WAIT));
    let Outcome::Revoked { leases } = l.ask(100, "op", revoke(5_000)) else {
        panic!("not revoked");
    };
    assert_eq!(leases, [lease(1).handle()]);
    assert_eq!(l.names(), ["draining"]);
    // The time to drain may be longer than the ttl was; renewals do not lengthen it.
    let Outcome::Draining(grant) = l.ask(2_000, "ann", renew(1, None)) else {
        panic!("not draining");
    };
    assert_eq!(grant.remaining_ms, 3_100);
    assert!(matches!(grant.state, LeaseState::Draining { .. }));
    // A second revocation never gives more time, but may give less.
    l.ask(2_001, "op", revoke(60_000));
    assert!(l.told.is_empty());
    l.ask(2_002, "op", revoke(1_000));
    l.tick(3_002);
    assert!(l.told.is_empty());
    l.tick(3_003);
    assert_eq!(l.names(), ["revoked", "granted"]);
    let lost = Outcome::LeaseLost(EndCause::Revoked);
    assert_eq!(l.ask(3_004, "ann", renew(1, None)), lost);
}

#[test]
fn a_revocation_hits_only_those_who_are_meant() {
    let mut l = OneLock::default();
    for (id, who) in [(1, "ann"), (2, "bob"), (3, "bob")] {
        granted(l.ask(0, who, acquire(id, shared(1), 9_000, None)));
    }
    let by_handle = Action::Revoke {
        target: RevokeTarget::Lease(lease(2).handle()),
        grace_ms: 0,
    };
    l.ask(1, "op", by_handle);
    assert_eq!(l.holders(), ["ann", "bob"]);
    let by_subject = Action::Revoke {
        target: RevokeTarget::Subject(subject("bob")),
        grace_ms: 0,
    };
    l.ask(1, "op", by_subject);
    assert_eq!(l.holders(), ["ann"]);
}

#[test]
fn a_transfer_goes_to_its_successor_in_front_of_others() {
    let mut l = OneLock::default();
    let first = granted(l.ask(0, "ann", acquire(1, EXCLUSIVE, 1_000, None)));
    l.ask(1, "bob", acquire(2, EXCLUSIVE, 1_000, WAIT));
    l.ask(2, "cyd", acquire(3, EXCLUSIVE, 1_000, WAIT));
    let asked = l.ask(3, "ann", transfer(1, "cyd", 400));
    let drains = Outcome::Transferring {
        drain_remaining_ms: 400,
    };
    assert_eq!(asked, drains);
    assert_eq!(l.holders(), ["ann"]);
    assert_eq!(l.ask(100, "ann", release(1)), Outcome::Released);
    assert_eq!(l.names(), ["released", "granted"]);
    assert_eq!(l.holders(), ["cyd"]);
    let second = granted(l.ask(101, "cyd", renew(3, None)));
    assert!(second.token > first.token);
    l.ask(102, "cyd", release(3));
    assert_eq!(l.holders(), ["bob"]);
}

#[test]
fn a_transfer_reserves_the_lock_for_a_successor_who_is_not_there_yet() {
    let mut l = OneLock::default();
    granted(l.ask(0, "ann", acquire(1, EXCLUSIVE, 1_000, None)));
    l.ask(1, "bob", acquire(2, EXCLUSIVE, 1_000, WAIT));
    l.ask(2, "ann", transfer(1, "cyd", 400));
    l.tick(403);
    assert_eq!(l.names(), ["transferred", "reserved"]);
    let held = l.ask(403, "dan", acquire(4, EXCLUSIVE, 1_000, None));
    let Outcome::Held { reserved_for, .. } = held else {
        panic!("not held: {held:?}");
    };
    assert_eq!(reserved_for, Some(subject("cyd")));
    granted(l.ask(404, "cyd", acquire(5, EXCLUSIVE, 1_000, None)));
    l.ask(405, "cyd", release(5));
    assert_eq!(l.holders(), ["bob"]);
}

#[test]
fn a_reservation_runs_out() {
    let mut l = OneLock::default();
    granted(l.ask(0, "ann", acquire(1, EXCLUSIVE, 86_400_000, None)));
    let at_once = Outcome::Transferring {
        drain_remaining_ms: 0,
    };
    assert_eq!(l.ask(0, "ann", transfer(1, "cyd", 0)), at_once);
    assert_eq!(l.names(), ["transferred", "reserved"]);
    assert_eq!(l.ask(0, "ann", transfer(1, "cyd", 0)), at_once);
    let early = l.ask(
        RESERVATION_MS_MAX - 1,
        "bob",
        acquire(2, EXCLUSIVE, 1_000, WAIT),
    );
    assert!(matches!(early, Outcome::Queued { position: 0, .. }));
    l.tick(RESERVATION_MS_MAX);
    assert_eq!(l.holders(), ["bob"]);
}

#[test]
fn a_revocation_beats_a_transfer() {
    let mut l = OneLock::default();
    granted(l.ask(0, "ann", acquire(1, EXCLUSIVE, 1_000, None)));
    l.ask(1, "ann", transfer(1, "cyd", 900));
    l.ask(2, "op", revoke(5_000));
    let refused = l.ask(3, "ann", transfer(1, "cyd", 900));
    assert!(matches!(refused, Outcome::Draining(_)));
    l.tick(902);
    assert_eq!(l.names(), ["revoked"]);
    granted(l.ask(902, "bob", acquire(2, EXCLUSIVE, 1_000, None)));
}

#[test]
fn cancelling_leaves_the_queue_or_gives_back_a_grant() {
    let mut l = OneLock::default();
    granted(l.ask(0, "ann", acquire(1, EXCLUSIVE, 1_000, None)));
    for (id, who) in [(2, "bob"), (3, "cyd"), (4, "dan")] {
        l.ask(1, who, acquire(id, EXCLUSIVE, 1_000, WAIT));
    }
    assert_eq!(l.ask(2, "bob", cancel(2)), Outcome::Cancelled);
    assert_eq!(l.names(), ["wait-ended"]);
    l.ask(3, "ann", release(1));
    assert_eq!(l.ask(4, "cyd", cancel(3)), Outcome::Cancelled);
    assert_eq!(l.names(), ["given-back", "granted"]);
    assert_eq!(l.holders(), ["dan"]);
    assert_eq!(l.ask(5, "cyd", cancel(3)), Outcome::Cancelled);
    assert!(l.told.is_empty());
}

/// Bob waits and asks again: the acquires that drew `ids`, all of one request.
fn bob_waits(l: &mut OneLock, now: u64, ids: &[u64]) {
    for id in ids {
        let again = l.repeat(now, "bob", "same", acquire(*id, EXCLUSIVE, 9_000, WAIT));
        let Outcome::Queued { lease_id, .. } = again else {
            panic!("{again:?}");
        };
        assert_eq!(lease_id, lease(ids[0]));
    }
}

#[test]
fn a_place_is_left_with_the_last_claim_whichever_comes_first() {
    for order in [[2, 3, 4], [4, 3, 2], [3, 2, 4]] {
        let mut l = OneLock::default();
        granted(l.ask(0, "ann", acquire(1, EXCLUSIVE, 90_000, None)));
        bob_waits(&mut l, 1, &[2, 3, 4]);
        for id in order {
            assert_eq!(l.told, []);
            assert_eq!(l.ask(2, "bob", cancel(id)), Outcome::Cancelled);
        }
        assert_eq!(l.names(), ["wait-ended"]);
    }
}

#[test]
fn whoever_is_left_waits_no_longer_than_it_asked_for() {
    let mut l = OneLock::default();
    granted(l.ask(0, "ann", acquire(1, EXCLUSIVE, 90_000, None)));
    bob_waits(&mut l, 0, &[2]);
    let short = acquire(3, EXCLUSIVE, 9_000, Some(1_000));
    l.repeat(0, "bob", "same", short);
    l.ask(1, "bob", cancel(2));
    l.tick(3_000);
    assert!(l.told.is_empty());
    l.tick(3_001);
    assert_eq!(l.names(), ["wait-ended"]);
}

#[test]
fn a_poll_that_is_over_keeps_no_place() {
    let mut l = OneLock::default();
    granted(l.ask(0, "ann", acquire(1, EXCLUSIVE, 90_000, None)));
    let short = |id| acquire(id, EXCLUSIVE, 9_000, Some(1_000));
    l.repeat(0, "bob", "same", short(2));
    l.repeat(2_500, "bob", "same", short(3));
    // The first was answered at its end, and will never be cancelled.
    l.ask(3_001, "bob", cancel(3));
    assert_eq!(l.names(), ["wait-ended"]);
}

#[test]
fn a_grant_is_given_back_only_when_nobody_may_have_it() {
    let mut l = OneLock::default();
    granted(l.ask(0, "ann", acquire(1, EXCLUSIVE, 90_000, None)));
    bob_waits(&mut l, 1, &[2, 3]);
    l.ask(2, "ann", release(1));
    assert_eq!(l.holders(), ["bob"]);
    // The second may have been told, so the first's end ends nothing, also if it comes twice.
    for _ in 0..2 {
        assert_eq!(l.ask(3, "bob", cancel(2)), Outcome::Cancelled);
        assert!(l.told.is_empty());
    }
    assert_eq!(l.ask(4, "cyd", cancel(3)), Outcome::NotHolder);
    l.ask(5, "bob", cancel(3));
    assert_eq!(l.names(), ["given-back"]);
}

#[test]
fn whoever_finds_its_grant_by_trying_keeps_it() {
    let mut l = OneLock::default();
    granted(l.ask(0, "ann", acquire(1, EXCLUSIVE, 90_000, None)));
    bob_waits(&mut l, 1, &[2]);
    // Trying in vain claims nothing: nobody would cancel it.
    let held = l.repeat(2, "bob", "same", acquire(3, EXCLUSIVE, 9_000, None));
    assert!(matches!(held, Outcome::Held { .. }));
    l.ask(3, "ann", release(1));
    granted(l.repeat(4, "bob", "same", acquire(4, EXCLUSIVE, 9_000, None)));
    l.ask(5, "bob", cancel(2));
    assert_eq!(l.holders(), ["bob"]);
}

#[test]
fn a_cancelled_repetition_ends_no_lease_that_was_answered_before() {
    let mut l = OneLock::default();
    granted(l.repeat(0, "bob", "same", acquire(1, EXCLUSIVE, 9_000, WAIT)));
    granted(l.repeat(1, "bob", "same", acquire(2, EXCLUSIVE, 9_000, WAIT)));
    l.ask(2, "bob", cancel(2));
    assert_eq!(l.holders(), ["bob"]);
}

#[test]
fn more_acquires_than_are_counted_cancel_nothing() {
    let mut l = OneLock::default();
    granted(l.ask(0, "ann", acquire(1, EXCLUSIVE, 90_000, None)));
    let ids: Vec<u64> = (10..11 + CLAIMS_PER_LEASE_MAX as u64).collect();
    bob_waits(&mut l, 1, &ids);
    for id in ids {
        l.ask(2, "bob", cancel(id));
        assert!(l.told.is_empty());
    }
    l.ask(3, "ann", release(1));
    assert_eq!(l.holders(), ["bob"]);
}
