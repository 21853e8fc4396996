//! Writes that are taken back leave no trace, and writes that are followed leave the same state.

use std::collections::BTreeMap;
use std::sync::Arc;

use leasehold_backend_api::Batch;
use leasehold_domain::Atomicity;
use leasehold_domain::Cause;
use leasehold_domain::Change;
use leasehold_domain::Edit;
use leasehold_domain::LeaseId;
use leasehold_domain::Mode;
use leasehold_domain::Operation;
use leasehold_domain::Precondition;
use leasehold_domain::Principal;
use leasehold_domain::Request;
use leasehold_domain::RoleSet;

use super::*;

fn principal(who: &str) -> Arc<Principal> {
    Arc::new(Principal {
        subject: who.parse().unwrap(),
        team: Some("team".parse().unwrap()),
        roles: RoleSet::default(),
        claims: BTreeMap::new(),
    })
}

fn command(who: &str, name: &str, action: Action) -> Command {
    let lock: LockRef = format!("demo/{name}").parse().unwrap();
    let cause = Cause {
        request_id: format!("{who}-{name}").parse().unwrap(),
        received: WallMillis(0),
        principal: principal(who),
        request: Request::new(Operation::Acquire, lock.clone()),
        decision: None,
    };
    Command {
        lock,
        action,
        cause: Some(Arc::new(cause)),
        expect: None,
    }
}

fn acquire(id: u8, ttl_ms: u64, wait_ms: Option<u64>) -> Action {
    Action::Acquire {
        lease_id: LeaseId::from_bytes([id; 16]),
        mode: Mode::Exclusive,
        ttl_ms,
        wait_ms,
        max_hold_ms: None,
    }
}

fn batch(commands: Vec<Command>) -> Item {
    Item::Batch(Batch {
        commands,
        atomicity: Atomicity::Each,
        notes: Vec::new(),
    })
}

fn edit(id: &str) -> Item {
    Item::Edits(vec![Edit {
        collection: "notes".into(),
        id: id.into(),
        body: Some(Arc::from(*b"{}")),
        precondition: Precondition::Any,
        change: Some(Change {
            request_id: "edit".parse().unwrap(),
            principal: principal("ops"),
            collection: "notes".into(),
            id: id.into(),
            digest: None,
            summary: "".into(),
        }),
    }])
}

fn attempt(mirror: &Mirror, now_ms: u64) -> Attempt {
    Attempt {
        version: mirror.version + 1,
        now_us: now_ms * 1_000,
        wall: WallMillis(now_ms),
    }
}

/// Some of everything, at growing times.
fn story() -> Vec<(u64, Vec<Item>)> {
    let give = Action::Release {
        lease_id: LeaseId::from_bytes([1; 16]),
    };
    vec![
        (
            1,
            vec![
                batch(vec![command("ann", "a", acquire(1, 5_000, None))]),
                edit("x"),
            ],
        ),
        (
            2,
            vec![batch(vec![command(
                "bob",
                "a",
                acquire(2, 5_000, Some(9_000)),
            )])],
        ),
        (
            3,
            vec![batch(vec![command("cat", "b", acquire(3, 2_000, None))])],
        ),
        (4, vec![batch(vec![command("ann", "a", give)]), edit("y")]),
        (3_000, vec![Item::Tick]),
        (6_000, vec![Item::Tick]),
        (200_000, vec![Item::Tick]),
    ]
}

#[test]
fn what_is_taken_back_leaves_no_trace() {
    let mut mirror = Mirror::default();
    for (now_ms, items) in story() {
        let mut before = mirror.state.clone();
        // Ended requests that are past their time are forgotten all the same.
        let (now, newest) = (before.now(), before.newest());
        before.resume(Millis(now_ms), newest);
        before.resume(now, newest);
        let at = attempt(&mirror, now_ms);
        let prepared = mirror.prepare(&items, at);
        assert!(!prepared.is_empty(), "at {now_ms}");
        mirror.take_back(prepared);
        assert_eq!(mirror.state, before, "at {now_ms}");
        let prepared = mirror.prepare(&items, at);
        mirror.settle(&prepared);
    }
    assert_eq!(mirror.state.counts().locks, 0, "all is forgotten at last");
}

#[test]
fn who_follows_has_the_same_state() {
    let (mut leader, mut follower) = (Mirror::default(), Mirror::default());
    for (now_ms, items) in story() {
        let at = attempt(&leader, now_ms);
        let prepared = leader.prepare(&items, at);
        let bytes = leader.pack_changes(&prepared);
        leader.settle(&prepared);
        follower.follow(&bytes).unwrap();
        follower
            .state
            .put_documents(leader.state.all_documents().clone());
        follower
            .state
            .resume(leader.state.now(), leader.state.newest());
        assert_eq!(follower.state, leader.state, "at {now_ms}");
    }
}

#[test]
fn a_change_of_another_record_is_an_error() {
    let (mut leader, mut follower) = (Mirror::default(), Mirror::default());
    let ask = |who, id, name| batch(vec![command(who, name, acquire(id, 5_000, Some(9_000)))]);
    let mut bytes = Vec::new();
    for (who, id) in [("ann", 1), ("bob", 2), ("cat", 3)] {
        let at = attempt(&leader, 1);
        let prepared = leader.prepare(&[ask(who, id, "a")], at);
        bytes = leader.pack_changes(&prepared);
        leader.settle(&prepared);
    }
    let failure = follower.follow(&bytes).unwrap_err();
    assert!(failure.to_string().contains("demo/a"), "{failure}");
}

#[test]
fn nothing_due_is_nothing_to_write() {
    let mut mirror = Mirror::default();
    let at = attempt(&mirror, 7);
    let prepared = mirror.prepare(&[Item::Tick, Item::Look], at);
    assert!(prepared.is_empty());
}
