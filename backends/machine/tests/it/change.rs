//! What a write did to a record: small however many wait, and carried out on no other record.

use leasehold_machine::LockRecord;
use leasehold_machine::RecordChange;

use crate::asking::EXCLUSIVE;
use crate::asking::OneLock;
use crate::asking::acquire;
use crate::asking::release;

fn queued(waiters: u64) -> OneLock {
    let mut l = OneLock::default();
    for id in 1..=waiters + 1 {
        l.ask(0, "ann", acquire(id, EXCLUSIVE, 60_000, Some(60_000)));
    }
    l
}

/// The record before, the hand-over, and the record after.
fn hand_over(waiters: u64) -> (LockRecord, RecordChange, LockRecord) {
    let mut l = queued(waiters);
    let before = l.record.clone();
    l.ask(1, "ann", release(1));
    l.ask(1, "ann", acquire(0, EXCLUSIVE, 60_000, Some(60_000)));
    let change = RecordChange::between(Some(&before), &l.record);
    (before, change, l.record)
}

#[test]
fn a_hand_over_is_small_however_many_wait() {
    let bytes = |waiters| leasehold_machine::stored::encode(&hand_over(waiters).1).len();
    let (few, many) = (bytes(10), bytes(4_000));
    assert!(few < 600 && many <= few + 8, "{few} and {many} bytes");
    let (before, change, after) = hand_over(4_000);
    assert_eq!(change.carry_out(Some(before)).unwrap(), after);
}

#[test]
fn a_change_is_carried_out_on_no_other_record() {
    let (before, change, after) = hand_over(3);
    let others = [None, Some(after), Some(LockRecord::default())];
    for other in others {
        let misfit = change.clone().carry_out(other).unwrap_err();
        let base = before.revision();
        assert!(misfit.to_string().contains(&base.to_string()), "{misfit}");
    }
}

#[test]
fn a_change_from_nothing_is_the_whole_record() {
    let record = queued(5).record;
    let change = RecordChange::between(None, &record);
    for other in [None, Some(hand_over(3).0)] {
        assert_eq!(change.clone().carry_out(other).unwrap(), record);
    }
}
