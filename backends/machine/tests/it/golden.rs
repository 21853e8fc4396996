//! Pinned bytes of what is stored: the Raft log holds commands, snapshots hold records, the
//! outbox holds events. If one of these tests fails, stored data of older versions cannot be
//! read any more: put new variants last, and give new fields a new version of the entry.

use std::sync::Arc;

use leasehold_domain::Action;
use leasehold_domain::Atomicity;
use leasehold_domain::Cause;
use leasehold_domain::Change;
use leasehold_domain::Command;
use leasehold_domain::Cursor;
use leasehold_domain::Decision;
use leasehold_domain::Denial;
use leasehold_domain::DenialKind;
use leasehold_domain::Digest;
use leasehold_domain::DrainCause;
use leasehold_domain::Edit;
use leasehold_domain::Effect;
use leasehold_domain::EndCause;
use leasehold_domain::Enforcement;
use leasehold_domain::Event;
use leasehold_domain::EventKind;
use leasehold_domain::Expectation;
use leasehold_domain::Facts;
use leasehold_domain::FencingToken;
use leasehold_domain::LockSettings;
use leasehold_domain::Millis;
use leasehold_domain::Mode;
use leasehold_domain::Note;
use leasehold_domain::Operation;
use leasehold_domain::Owner;
use leasehold_domain::PolicyAnswer;
use leasehold_domain::PolicyLimits;
use leasehold_domain::PolicyVerdict;
use leasehold_domain::Precondition;
use leasehold_domain::Principal;
use leasehold_domain::Renewals;
use leasehold_domain::Request;
use leasehold_domain::RevokeTarget;
use leasehold_domain::Role;
use leasehold_domain::RoleSet;
use leasehold_domain::RuleDigest;
use leasehold_domain::Transition;
use leasehold_domain::Usage;
use leasehold_domain::WallMillis;
use leasehold_machine::EndedRequest;
use leasehold_machine::RecordChange;
use leasehold_machine::State;
use leasehold_machine::StateBeforeEnded;

use crate::asking::EXCLUSIVE;
use crate::asking::OneLock;
use crate::asking::acquire;
use crate::asking::acquire_once;
use crate::asking::command;
use crate::asking::lease;
use crate::asking::lock;
use crate::asking::moment;
use crate::asking::release_with_cooldown;
use crate::asking::renew;
use crate::asking::shared;
use crate::asking::subject;

/// Length and digest of the stored bytes, which must read back as the same value.
fn pinned<T>(value: &T) -> (usize, String)
where
    T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let bytes = postcard::to_allocvec(value).unwrap();
    assert_eq!(&postcard::from_bytes::<T>(&bytes).unwrap(), value);
    let digest = Digest::of(&bytes).to_string();
    (bytes.len(), digest[..16].to_owned())
}

fn decision() -> Decision {
    let verdict = |enforcement, answer| PolicyVerdict {
        binding: "b".into(),
        policy: "quota".into(),
        version: "1.2.3".into(),
        module: Digest::of(b"module"),
        config: Digest::of(b"{}"),
        enforcement,
        answer,
        fuel: 1_234,
    };
    let limits = PolicyLimits {
        max_ttl_ms: Some(60_000),
        max_hold_ms: None,
    };
    let deny = PolicyAnswer::Deny {
        code: "frozen".into(),
        message: "until monday".into(),
        retry_after_ms: Some(9),
    };
    let error = PolicyAnswer::Error {
        message: "out of fuel".into(),
        passed: true,
    };
    Decision {
        id: 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef,
        effect: Effect::Override {
            reason: "fire".into(),
        },
        facts: Facts {
            now: WallMillis(1_700_000_000_000),
            lock: Some(Box::new(
                waiting_record().record.view(&lock("l"), Millis(9)),
            )),
            usage: Some(Usage {
                subject_leases: 3,
                team_leases: 4,
            }),
        },
        verdicts: vec![
            verdict(Enforcement::Advisory, deny),
            verdict(Enforcement::Mandatory, PolicyAnswer::Allow(limits)),
            verdict(Enforcement::Overridable, error),
        ],
        limits,
        bindings_revision: 17,
        rule: Some(RuleDigest(*b"the rule")),
    }
}

fn cause() -> Arc<Cause> {
    let request = Request {
        mode: Some(shared(2)),
        ttl_ms: Some(1_000),
        wait_ms: Some(5),
        grace_ms: Some(6),
        instance: Some("pod-1".into()),
        labels: [("k".into(), "v".into())].into(),
        reason: Some("why".into()),
        value: Some("10.0.0.1".into()),
        successor: Some(subject("bob")),
        lease: Some(lease(1).handle()),
        ..Request::new(Operation::Acquire, lock("l"))
    };
    let principal = Principal {
        subject: subject("ann"),
        team: Some("team-a".parse().unwrap()),
        roles: RoleSet::from_iter(Role::ALL),
        claims: [("iss".to_owned(), "idp".to_owned())].into(),
    };
    Arc::new(Cause {
        request_id: "r-1".parse().unwrap(),
        received: WallMillis(1_700_000_000_001),
        principal: Arc::new(principal),
        request,
        decision: Some(Arc::new(decision())),
    })
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

fn actions() -> Vec<Action> {
    let revoke = |target| Action::Revoke {
        target,
        grace_ms: 7,
    };
    vec![
        acquire(1, EXCLUSIVE, 1_000, Some(300)),
        acquire(1, shared(300), 1_000, None),
        renew(1, Some(1_000)),
        crate::asking::release(1),
        revoke(RevokeTarget::All),
        revoke(RevokeTarget::Lease(lease(1).handle())),
        revoke(RevokeTarget::Subject(subject("ann"))),
        Action::Transfer {
            lease_id: lease(1),
            to: subject("bob"),
            grace_ms: 8,
        },
        Action::CancelWait { lease_id: lease(1) },
        Action::Tick,
        Action::Configure(LockSettings::default()),
    ]
}

fn transitions() -> Vec<Transition> {
    let handle = lease(1).handle();
    let owner = Owner {
        subject: subject("ann"),
        team: None,
        instance: Some("i".into()),
        labels: Default::default(),
        value: None,
        reason: Some("why".into()),
    };
    let token = FencingToken(1_025);
    let mut all = vec![
        Transition::Granted {
            handle,
            owner: owner.clone(),
            mode: Mode::Exclusive,
            token,
            ttl_ms: 1_000,
            waited_ms: Some(3),
            request_id: "r".parse().unwrap(),
        },
        Transition::Queued {
            handle,
            owner: owner.clone(),
            mode: shared(2),
            position: 3,
        },
        Transition::Renewed {
            handle,
            token,
            ttl_ms: 5,
        },
        Transition::WaitEnded {
            handle,
            owner: owner.clone(),
            expired: true,
        },
        Transition::CoolingDown { remaining_ms: 6 },
        Transition::Reserved {
            to: subject("bob"),
            remaining_ms: 7,
        },
        Transition::Configured {
            settings: LockSettings::default(),
        },
    ];
    all.extend(ends(&owner));
    all
}

/// How leases drain and end.
fn ends(owner: &Owner) -> Vec<Transition> {
    let (handle, token) = (lease(1).handle(), FencingToken(1_025));
    let mut all = Vec::new();
    let by = subject("op");
    let to = subject("bob");
    for cause in [DrainCause::Revoked { by }, DrainCause::Transfer { to }] {
        all.push(Transition::Draining {
            handle,
            owner: owner.clone(),
            remaining_ms: 4,
            cause,
        });
    }
    for cause in [
        EndCause::Released,
        EndCause::Expired,
        EndCause::HeldTooLong,
        EndCause::Revoked,
        EndCause::Transferred,
        EndCause::GivenBack,
        EndCause::Unknown,
    ] {
        all.push(Transition::Ended {
            handle,
            owner: owner.clone(),
            mode: Mode::Exclusive,
            token,
            cause,
            since: WallMillis(1),
            held_ms: 2,
            late_ms: 3,
            renewals: Renewals {
                count: 1,
                first: WallMillis(2),
                last: WallMillis(3),
            },
        });
    }
    all
}

fn change() -> Box<Change> {
    Box::new(Change {
        request_id: "r".parse().unwrap(),
        principal: cause().principal.clone(),
        collection: "binding".into(),
        id: "b".into(),
        digest: Some(Digest::of(b"{}")),
        summary: "bound".into(),
    })
}

#[test]
fn a_plain_command_byte_for_byte() {
    let plain = command("ann", "r", lock("l"), acquire(1, EXCLUSIVE, 1_000, None));
    let bytes = postcard::to_allocvec(&plain).unwrap();
    let expected = concat!(
        "0464656d6f016c000000000000000001000000000000000000e807000001017200",
        "03616e6e01067465616d2d610000000464656d6f016c000000000000000000000000",
    );
    assert_eq!(hex::encode(bytes), expected);
}

#[test]
fn commands() {
    let with = |action| Command {
        lock: lock("l"),
        action,
        cause: None,
        expect: Some(Expectation {
            revision: Some(9),
            usage: Some(Usage::default()),
        }),
    };
    let commands: Vec<_> = actions().into_iter().map(with).collect();
    assert_eq!(pinned(&commands), (316, "f79a65d35af7d114".to_owned()));
}

/// It came after the others, so it is the last variant.
#[test]
fn a_release_with_a_cooldown_byte_for_byte() {
    let action = release_with_cooldown(1, 3_000);
    let bytes = postcard::to_allocvec(&action).unwrap();
    let expected = "0b00000000000000010000000000000000b817";
    assert_eq!(hex::encode(&bytes), expected);
    assert_eq!(postcard::from_bytes::<Action>(&bytes).unwrap(), action);
}

#[test]
fn causes() {
    let denials = [
        DenialKind::Policy,
        DenialKind::PolicyError,
        DenialKind::NoPolicyBound,
        DenialKind::Role,
    ];
    let effect = |kind| {
        Effect::Deny(Denial {
            kind,
            policy: Some("p".into()),
            code: "c".into(),
            message: "m".into(),
            retry_after_ms: None,
        })
    };
    let mut effects: Vec<_> = denials.into_iter().map(effect).collect();
    effects.push(Effect::Allow);
    let all = (cause(), effects, Operation::ALL.to_vec());
    assert_eq!(pinned(&all), (604, "8a7f1d0936cb7123".to_owned()));
}

#[test]
fn records() {
    let record = waiting_record().record;
    assert_eq!(pinned(&record), (266, "cd355966155ecdcf".to_owned()));
    let change = RecordChange::between(None, &record);
    assert_eq!(pinned(&change), (270, "cf0fb992e408c964".to_owned()));
}

#[test]
fn events() {
    let lock_event = EventKind::Lock {
        lock: lock("l"),
        cause: Some(cause()),
        transitions: transitions(),
    };
    let kinds = [
        lock_event,
        EventKind::Denied(cause()),
        EventKind::Governance(change()),
    ];
    let event = |(cursor, kind)| Event {
        cursor: Cursor(cursor),
        now: Millis(5),
        wall: WallMillis(6),
        kind,
    };
    let events: Vec<_> = (1..).zip(kinds).map(event).collect();
    assert_eq!(pinned(&events), (1_714, "fd29815713cd8c02".to_owned()));
    let notes = vec![Note::Denied(cause()), Note::Governance(change())];
    assert_eq!(pinned(&notes), (630, "65bec9336034b963".to_owned()));
}

#[test]
fn states() {
    let mut state = State::default();
    state.put_blob(Arc::from(&b"module"[..]));
    let edit = |precondition| Edit {
        collection: "binding".into(),
        id: "b".into(),
        body: Some(Arc::from(&b"{}"[..])),
        precondition,
        change: *change(),
    };
    let edits = vec![
        edit(Precondition::Any),
        edit(Precondition::Absent),
        edit(Precondition::Revision(3)),
    ];
    assert_eq!(pinned(&edits), (266, "57a041d239b36252".to_owned()));
    state.edit(&edits[..1], moment(1, 1));
    let asked = command("ann", "r", lock("l"), acquire(1, EXCLUSIVE, 1_000, None));
    state.execute(&[asked], Atomicity::Each, &[], moment(2, 2));
    // What the build before stored, and an empty list of ended requests.
    let mut bytes = postcard::to_allocvec(&state).unwrap();
    assert_eq!(bytes.pop(), Some(0));
    let digest = Digest::of(&bytes).to_string();
    assert_eq!((bytes.len(), &digest[..16]), (134, "b4a23e49addd46fb"));
    let before: StateBeforeEnded = postcard::from_bytes(&bytes).unwrap();
    assert_eq!(before.0, state);
}

#[test]
fn ended_requests_byte_for_byte() {
    let mut state = State::default();
    let asked = command("ann", "r", lock("l"), acquire(1, EXCLUSIVE, 1_000, None));
    let given = command("ann", "s", lock("l"), crate::asking::release(1));
    state.execute(&[asked, given], Atomicity::Each, &[], moment(300, 1));
    let ended: Vec<_> = state.ended().copied().collect();
    let bytes = postcard::to_allocvec(&ended).unwrap();
    let expected = "01e565225b213dd93c951023569d63c3d3ac0200";
    assert_eq!(hex::encode(&bytes), expected);
    assert_eq!(
        postcard::from_bytes::<Vec<EndedRequest>>(&bytes).unwrap(),
        ended
    );
    pinned(&state);
}

/// It came after the others, so it is the last variant.
#[test]
fn an_acquire_once_byte_for_byte() {
    let action = acquire_once(1, EXCLUSIVE, 1_000, None);
    let bytes = postcard::to_allocvec(&action).unwrap();
    let expected = "0c0000000000000001000000000000000000e8070000";
    assert_eq!(hex::encode(&bytes), expected);
    assert_eq!(postcard::from_bytes::<Action>(&bytes).unwrap(), action);
}
