//! A lease keeps the policy versions that judged it.

use std::sync::Arc;

use leasehold_domain::Action;
use leasehold_domain::Atomicity;
use leasehold_domain::Cause;
use leasehold_domain::Command;
use leasehold_domain::LeasePolicies;
use leasehold_domain::LockRef;
use leasehold_domain::LockSettings;
use leasehold_domain::Operation;
use leasehold_domain::PolicyVersion;
use leasehold_machine::LockRecord;
use leasehold_machine::RecordChange;
use leasehold_machine::State;
use leasehold_machine::stored;

use crate::asking::EXCLUSIVE;
use crate::asking::OneLock;
use crate::asking::acquire;
use crate::asking::command;
use crate::asking::granted;
use crate::asking::lock;
use crate::asking::moment;
use crate::asking::release;
use crate::asking::renew;
use crate::asking::revoke;
use crate::asking::ruled;
use crate::asking::shared;
use crate::asking::transfer;

/// Versions as the helper `ruled` numbers them.
fn versions(numbers: &[u8]) -> Vec<PolicyVersion> {
    let version = |number: &u8| PolicyVersion {
        policy: "p".into(),
        version: format!("{number}.0.0").into(),
    };
    numbers.iter().map(version).collect()
}

fn policies(granted: u8, renewed: Option<u8>) -> LeasePolicies {
    LeasePolicies {
        granted: versions(&[granted]),
        renewed: renewed.map(|number| versions(&[number])),
    }
}

/// The policies of the first holder.
fn kept(record: &LockRecord) -> Option<LeasePolicies> {
    let view = record.view(&lock("l"), record.clock());
    view.holders[0].policies.as_deref().cloned()
}

#[test]
fn the_grant_and_the_last_renewal_are_kept() {
    let mut l = OneLock::default();
    granted(l.ask_under(0, 1, "ann", acquire(1, EXCLUSIVE, 1_000, None)));
    assert_eq!(kept(&l.record), Some(policies(1, None)));
    for (rule, told) in [(1, 0), (2, 1), (2, 0), (3, 1)] {
        granted(l.ask_under(100, rule, "ann", renew(1, None)));
        assert_eq!(kept(&l.record), Some(policies(1, Some(rule))));
        assert_eq!(l.told.len(), told);
    }
    // No decision says nothing, and a draining lease stays as it is.
    granted(l.ask(200, "ann", renew(1, None)));
    assert_eq!(kept(&l.record), Some(policies(1, Some(3))));
    l.ask(600, "op", revoke(900));
    l.ask_under(700, 2, "ann", renew(1, None));
    assert_eq!(kept(&l.record), Some(policies(1, Some(3))));
}

#[test]
fn a_repeated_acquire_changes_nothing() {
    let mut l = OneLock::default();
    for rule in [1, 2] {
        granted(l.ask_under(0, rule, "ann", acquire(1, EXCLUSIVE, 1_000, None)));
        assert_eq!(kept(&l.record), Some(policies(1, None)));
    }
}

#[test]
fn a_lease_from_the_queue_has_those_of_its_queueing() {
    let mut l = OneLock::default();
    granted(l.ask_under(0, 1, "ann", acquire(1, EXCLUSIVE, 1_000, None)));
    l.ask_under(1, 2, "bob", acquire(2, EXCLUSIVE, 1_000, Some(5_000)));
    l.ask_under(2, 3, "bob", acquire(3, EXCLUSIVE, 9_000, Some(5_000)));
    l.ask_under(2, 4, "cyd", acquire(4, EXCLUSIVE, 9_000, Some(5_000)));
    l.ask(3, "ann", release(1));
    assert_eq!(kept(&l.record), Some(policies(2, None)));
    l.ask(4, "bob", transfer(2, "cyd", 0));
    assert_eq!(l.holders(), ["cyd"]);
    assert_eq!(kept(&l.record), Some(policies(4, None)));
}

/// A grant that waited is judged again by the policies of its acquire: they grant it then.
#[test]
fn a_grant_that_is_judged_again_has_those_of_the_new_judgment() {
    let mut l = OneLock::default();
    granted(l.ask(0, "ann", acquire(1, EXCLUSIVE, 1_000, None)));
    assert_eq!(kept(&l.record), None);
    l.ask_under(1, 2, "bob", acquire(2, EXCLUSIVE, 1_000, Some(5_000)));
    l.ask(3, "ann", release(1));
    let confirm = ruled(command("bob", "bob", lock("l"), renew(2, None)), 3);
    let cause = confirm.cause.as_deref().map(|cause| {
        let mut cause = Cause::clone(cause);
        cause.request.operation = Operation::Acquire;
        Arc::new(cause)
    });
    let confirm = Command { cause, ..confirm };
    granted(l.run(4, &confirm));
    assert_eq!(kept(&l.record), Some(policies(3, None)));
}

/// Whether the policies of the grant are known is not made up later.
#[test]
fn a_renewal_adds_nothing_to_a_lease_without_them() {
    let mut l = OneLock::default();
    granted(l.ask(0, "ann", acquire(1, EXCLUSIVE, 1_000, None)));
    granted(l.ask_under(1, 2, "ann", renew(1, None)));
    assert_eq!(kept(&l.record), None);
}

#[test]
fn they_are_stored_once_for_all_holders_of_a_lock() {
    let mut l = OneLock::default();
    let held = |l: &mut OneLock, numbers: std::ops::Range<u64>| {
        for n in numbers {
            let who = format!("ann-{n:03}");
            granted(l.ask_under(0, 1, &who, acquire(n, shared(1), 1_000, None)));
        }
        stored::encode(&l.record).len()
    };
    let settings = LockSettings {
        limit: 100,
        ..LockSettings::default()
    };
    l.ask(0, "op", Action::Configure(settings));
    let (one, two) = (held(&mut l, 1..2), held(&mut l, 2..3));
    let hundred = held(&mut l, 3..101);
    assert!(
        hundred <= one + 99 * (two - one + 2),
        "{one} {two} {hundred}"
    );
    granted(l.ask_under(1, 2, "ann-050", renew(50, None)));
    let waits = acquire(200, EXCLUSIVE, 1_000, Some(5_000));
    l.ask_under(1, 3, "bob", waits);
    let bytes = stored::encode(&l.record);
    assert!(bytes.len() < hundred + 200, "{hundred} {}", bytes.len());
    assert_eq!(stored::decode(&bytes).as_ref(), Ok(&l.record));
    let change = RecordChange::between(None, &l.record);
    let read: RecordChange = stored::decode(&stored::encode(&change)).unwrap();
    assert_eq!(read.carry_out(None).as_ref(), Ok(&l.record));
}

fn take(state: &mut State, n: u64, rule: Option<u8>) {
    let name = format!("l-{n:04}");
    let taken = command(
        "ann",
        &name,
        lock(&name),
        acquire(n, EXCLUSIVE, 1_000_000, None),
    );
    let taken = match rule {
        Some(rule) => ruled(taken, rule),
        None => taken,
    };
    state.execute(&[taken], Atomicity::Each, &[], moment(n, n + 1));
}

/// Bytes for each lock of a state: the policies of many leases take hardly any.
#[test]
fn a_snapshot_has_them_once_for_many_locks() {
    let of = |rule: fn(u64) -> Option<u8>| {
        let mut state = State::default();
        (0..640).for_each(|n| take(&mut state, n, rule(n)));
        let bytes = state.to_bytes();
        assert_eq!(State::from_bytes(&bytes).as_ref(), Ok(&state));
        bytes.len()
    };
    let (plain, one, two) = (
        of(|_| None),
        of(|_| Some(1)),
        of(|n| Some(1 + (n % 2) as u8)),
    );
    // Of 16 bytes for each lock, 13 are the digest of the rule and the absent fields before it.
    assert!((one - plain) / 640 <= 16, "{plain} {one}");
    assert!(two - one < 10 * 20, "{one} {two}");
}

#[test]
fn leases_of_a_store_share_them() {
    let mut state = State::default();
    take(&mut state, 1, Some(1));
    take(&mut state, 2, Some(1));
    let of = |state: &State, name: &str| -> Arc<LeasePolicies> {
        let lock: LockRef = lock(name);
        let view = state.view(&lock, state.now());
        view.holders[0].policies.clone().unwrap()
    };
    let renewal = |n: u64| {
        let name = format!("l-{n:04}");
        ruled(command("ann", "r", lock(&name), renew(n, None)), 2)
    };
    let same = |state: &State| Arc::ptr_eq(&of(state, "l-0001"), &of(state, "l-0002"));
    assert!(same(&state));
    state.execute(&[renewal(1)], Atomicity::Each, &[], moment(10, 10));
    assert!(!same(&state));
    state.execute(&[renewal(2)], Atomicity::AllOrNothing, &[], moment(11, 11));
    assert!(same(&state));
    let mut restored = State::from_bytes(&state.to_bytes()).unwrap();
    assert!(same(&restored));
    // Another gateway wrote the record.
    let record = restored.record(&lock("l-0002")).unwrap();
    let read = stored::decode(&stored::encode(record)).unwrap();
    restored.put_record(&lock("l-0002"), Some(read));
    assert!(same(&restored));
}

#[test]
fn they_move_with_their_lock() {
    let mut l = OneLock::default();
    granted(l.ask_under(0, 1, "ann", acquire(1, EXCLUSIVE, 1_000, None)));
    granted(l.ask_under(1, 2, "ann", renew(1, None)));
    let step = |action| Command {
        lock: lock("l"),
        action,
        cause: None,
        expect: None,
    };
    let exported = l.run(2, &step(Action::Export));
    let leasehold_domain::Outcome::Exported {
        record: Some(record),
        ..
    } = exported
    else {
        panic!("{exported:?}");
    };
    let mut to = OneLock::default();
    to.run(9, &step(Action::Import { era: 1, record }));
    assert_eq!(kept(&to.record), Some(policies(1, Some(2))));
}
