//! The lock machine's own values come back from their forms, whose bytes `leasehold-stored` pins; and
//! a record and a state that a build has stored are pinned here, so that no conversion changes.

use std::sync::Arc;

use leasehold_domain::Action;
use leasehold_domain::Atomicity;
use leasehold_domain::Change;
use leasehold_domain::Digest;
use leasehold_domain::Edit;
use leasehold_domain::LockSettings;
use leasehold_domain::Precondition;
use leasehold_domain::Principal;
use leasehold_domain::Role;
use leasehold_domain::RoleSet;
use leasehold_machine::EndedRequest;
use leasehold_machine::LockRecord;
use leasehold_machine::RecordChange;
use leasehold_machine::State;
use leasehold_machine::stored;
use leasehold_stored::Formed;

use crate::asking::EXCLUSIVE;
use crate::asking::OneLock;
use crate::asking::acquire;
use crate::asking::command;
use crate::asking::lease;
use crate::asking::lock;
use crate::asking::moment;
use crate::asking::renew;
use crate::asking::shared;
use crate::asking::subject;

/// Length and digest of the stored bytes, which must read back as the same value.
fn pinned<T>(value: &T) -> (usize, String)
where
    T: for<'a> Formed<'a> + PartialEq + std::fmt::Debug,
{
    let bytes = stored::encode(value);
    assert_eq!(&stored::decode::<T>(&bytes).unwrap(), value);
    short(&bytes)
}

fn short(bytes: &[u8]) -> (usize, String) {
    let digest = Digest::of(bytes).to_string();
    (bytes.len(), digest[..16].to_owned())
}

fn change() -> Change {
    Change {
        request_id: "r".parse().unwrap(),
        principal: Arc::new(Principal {
            subject: subject("ann"),
            team: Some("team-a".parse().unwrap()),
            roles: RoleSet::from_iter(Role::ALL),
            claims: [("iss".to_owned(), "idp".to_owned())].into(),
        }),
        collection: "binding".into(),
        id: "b".into(),
        digest: Some(Digest::of(b"{}")),
        summary: "bound".into(),
    }
}

/// A record with one holder that drains, a waiter, settings, a reservation and an ended lease.
fn waiting_record() -> OneLock {
    let mut l = OneLock::default();
    let settings = LockSettings {
        limit: 4,
        cooldown_ms: 300,
        description: "nightly".into(),
    };
    l.ask(1, "op", Action::Configure(settings));
    l.ask_under(2, 7, "ann", acquire(1, shared(1), 1_000, None));
    l.ask_under(3, 7, "abe", acquire(2, shared(1), 5_000, None));
    // Asked for twice, so it has claims.
    l.repeat(4, "abe", "abe", acquire(9, shared(1), 5_000, None));
    l.ask(4, "abe", renew(2, Some(6_000)));
    let to = subject("cyd");
    let transfer = |id, grace_ms| Action::Transfer {
        lease_id: lease(id),
        to: to.clone(),
        grace_ms,
    };
    l.ask(5, "ann", transfer(1, 0));
    l.ask(6, "abe", transfer(2, 2_000));
    l.ask(7, "bob", acquire(3, EXCLUSIVE, 5_000, Some(1_000)));
    l
}

#[test]
fn records() {
    let record = waiting_record().record;
    assert_eq!(pinned(&record), (313, "d8f3f432636354c5".to_owned()));
    let change = RecordChange::between(None, &record);
    assert_eq!(pinned(&change), (319, "b274a01e2de05410".to_owned()));
    let untouched = pinned(&LockRecord::default());
    assert_eq!(untouched, (4, "b9164d49095d6173".to_owned()));
}

#[test]
fn states() {
    let mut state = State::default();
    let edit = Edit {
        collection: "binding".into(),
        id: "b".into(),
        body: Some(Arc::from(&b"{}"[..])),
        precondition: Precondition::Any,
        change: Some(change()),
    };
    state.edit(&[edit], moment(1, 1));
    let asked = command("ann", "r", lock("l"), acquire(1, EXCLUSIVE, 1_000, None));
    let other = command("ann", "s", lock("m"), acquire(2, EXCLUSIVE, 1_000, None));
    let given = command("ann", "t", lock("l"), crate::asking::release(1));
    state.execute(&[asked, other, given], Atomicity::Each, &[], moment(300, 2));
    let bytes = state.to_bytes();
    assert_eq!(State::from_bytes(&bytes).as_ref(), Ok(&state));
    assert_eq!(short(&bytes), (175, "4f8e0fa7a3b5664d".to_owned()));
    let ended: Vec<EndedRequest> = state.ended().copied().collect();
    assert_eq!(stored::decode(&stored::pack(&ended)), Ok(ended));
    // Cut off between two pieces it is a smaller state; anywhere else it is refused.
    let whole = (0..bytes.len()).filter(|cut| State::from_bytes(&bytes[..*cut]).is_ok());
    assert_eq!(whole.count(), 3, "after the head, the locks, the documents");
}

/// Many pieces, and one of each kind, make the state that they were made of.
#[test]
fn a_state_of_many_pieces() {
    let mut state = State::default();
    for id in 0..300 {
        let name = format!("l{id}");
        let taken = acquire(id, EXCLUSIVE, 1_000_000, None);
        let take = command("ann", &name, lock(&name), taken);
        let give = command("ann", "g", lock(&name), crate::asking::release(id));
        let both = [take, give];
        let some = if id % 2 == 0 { &both[..] } else { &both[..1] };
        state.execute(some, Atomicity::Each, &[], moment(id, id + 1));
    }
    assert_eq!(state.counts().locks, 300);
    assert_eq!(State::from_bytes(&state.to_bytes()), Ok(state));
}
