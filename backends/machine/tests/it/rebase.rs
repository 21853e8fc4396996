//! A record that is put on other clocks between its commands behaves as if it never had been.

use leasehold_domain::Action;
use leasehold_domain::LockSettings;
use leasehold_domain::Millis;
use leasehold_domain::Outcome;
use leasehold_domain::Transition;
use leasehold_domain::WallMillis;
use leasehold_machine::LockRecord;
use leasehold_machine::Moment;
use leasehold_machine::apply;

use crate::asking::EXCLUSIVE;
use crate::asking::acquire;
use crate::asking::cancel;
use crate::asking::command;
use crate::asking::lock;
use crate::asking::moment;
use crate::asking::release;
use crate::asking::renew;
use crate::asking::revoke;
use crate::asking::tick;
use crate::asking::transfer;

/// Who asks what, and how much later than what was asked before.
fn story() -> Vec<(u64, &'static str, Option<Action>)> {
    let wait = |id| acquire(id, EXCLUSIVE, 2_000, Some(5_000));
    let settings = |cooldown_ms| {
        Action::Configure(LockSettings {
            cooldown_ms,
            ..LockSettings::default()
        })
    };
    let hold = Action::Acquire {
        lease_id: crate::asking::lease(1),
        mode: EXCLUSIVE,
        ttl_ms: 1_000,
        wait_ms: None,
        max_hold_ms: Some(4_000),
    };
    vec![
        (0, "ops", Some(settings(300))),
        (10, "ann", Some(hold)),
        (10, "bob", Some(wait(2))),
        (10, "cat", Some(wait(3))),
        (10, "dan", Some(wait(4))),
        (700, "ann", Some(renew(1, Some(5_000)))),
        (10, "dan", Some(cancel(4))),
        (3_000, "x", None),
        (300, "x", None),
        (10, "bob", Some(renew(2, None))),
        (10, "bob", Some(transfer(2, "eve", 500))),
        (600, "x", None),
        (10, "eve", Some(wait(5))),
        (10, "ops", Some(revoke(400))),
        (500, "x", None),
        (2_500, "x", None),
        (10, "eve", Some(release(5))),
        (10, "ops", Some(settings(0))),
        (70_000, "x", None),
    ]
}

/// One command to one record; the wall shows the same on every clock.
fn ask(
    record: &mut LockRecord,
    now: u64,
    who: &str,
    action: Option<Action>,
) -> (Outcome, Vec<Transition>) {
    let command = match action {
        Some(action) => command(who, who, lock("l"), action),
        None => tick(lock("l")),
    };
    let at = Moment {
        wall: WallMillis(0),
        ..moment(now, record.revision() / 1_024 + 1)
    };
    apply(record, &command, at)
}

#[test]
fn a_record_behaves_the_same_on_any_clock() {
    let (mut plain, mut moved) = (LockRecord::default(), LockRecord::default());
    let (mut now, mut ahead) = (100_000_000_u64, 0_i64);
    for (step, (later, who, action)) in story().into_iter().enumerate() {
        now += later;
        let shifted = now.checked_add_signed(ahead).unwrap();
        let expected = ask(&mut plain, now, who, action.clone());
        assert_eq!(
            ask(&mut moved, shifted, who, action),
            expected,
            "step {step}"
        );
        let back = moved.clone().rebased(plain.clock());
        assert_eq!(back, plain, "step {step}");

        // Another gateway sees it, whose clock shows something else. Whole seconds, because
        // records are forgotten in steps of those.
        let by = [60_000, -90_000, 7_000, -400_000][step % 4];
        let clock = moved.clock().0.checked_add_signed(by).unwrap();
        moved = moved.rebased(Millis(clock));
        ahead += by;
    }
    assert!(plain.is_idle(Millis(now)), "the story ends");
}
