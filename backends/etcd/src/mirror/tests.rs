//! Writes that are taken back leave no trace, own writes that come back by the watch change
//! nothing, and those of others are seen on this gateway's clock.

use std::collections::BTreeMap;
use std::sync::Arc;

use leasehold_backend_api::Batch;
use leasehold_domain::Action;
use leasehold_domain::Cause;
use leasehold_domain::Command;
use leasehold_domain::LeaseId;
use leasehold_domain::Mode;
use leasehold_domain::Operation as Asked;
use leasehold_domain::Principal;
use leasehold_domain::Request;
use leasehold_domain::RoleSet;
use leasehold_domain::WallMillis;
use leasehold_machine::Moment;

use super::*;
use crate::feed::Change;
use crate::feed::Written;
use crate::group::Group;
use crate::item::Item;
use crate::keys::Keys;
use crate::proto::KeyValue;
use crate::proto::Operation;
use crate::proto::PutRequest;

fn lock() -> LockRef {
    "demo/l".parse().unwrap()
}

fn take(who: &str) -> Item {
    let cause = Cause {
        request_id: who.parse().unwrap(),
        received: WallMillis(0),
        principal: Arc::new(Principal {
            subject: who.parse().unwrap(),
            team: None,
            roles: RoleSet::default(),
            claims: BTreeMap::new(),
        }),
        request: Request::new(Asked::Acquire, lock()),
        decision: None,
    };
    Item::Batch(Batch::one(Command {
        lock: lock(),
        action: Action::Acquire {
            lease_id: LeaseId::from_bytes([7; 16]),
            mode: Mode::Exclusive,
            ttl_ms: 1_000,
            wait_ms: None,
            max_hold_ms: None,
        },
        cause: Some(Arc::new(cause)),
        expect: None,
    }))
}

fn prepare(mirror: &mut Mirror, item: &Item, now: u64) -> Prepared {
    let group = Group {
        jobs: vec![0],
        ..Group::default()
    };
    let at = Moment {
        now: Millis(now),
        wall: WallMillis(0),
        token_floor: 1_024,
    };
    mirror.prepare(group, &[(0, item)], at)
}

/// What the watch tells of a write.
fn told(mirror: &Mirror, prepared: &Prepared, keys: &Keys, revision: i64, seen: u64) -> Written {
    let part = mirror.part(prepared, keys, keys.events(1, 1)).unwrap();
    let head = Operation::Put(PutRequest {
        key: keys.head(),
        ..PutRequest::default()
    });
    let change = |operation| {
        let (put, key, value) = match operation {
            Operation::Put(put) => (true, put.key, put.value),
            Operation::Delete(delete) => (false, delete.key, Default::default()),
            other => panic!("{other:?}"),
        };
        let kv = KeyValue {
            key,
            value,
            mod_revision: revision,
            ..KeyValue::default()
        };
        Change { put, kv }
    };
    let operations = part.operations.into_iter().chain([head]);
    Written {
        revision,
        seen: Millis(seen),
        changes: operations.map(change).collect(),
    }
}

#[test]
fn an_own_write_comes_back_and_changes_nothing() {
    let keys = Keys::new("/".to_owned());
    let mut mirror = Mirror::default();
    let before = mirror.state.clone();
    let lost = prepare(&mut mirror, &take("ann"), 5_000);
    assert_ne!(mirror.state.record(&lock()), before.record(&lock()));
    mirror.take_back(&lost);
    assert_eq!(mirror.state.record(&lock()), None);

    let made = prepare(&mut mirror, &take("ann"), 5_000);
    let echo = told(&mirror, &made, &keys, 9, 6_000);
    mirror.settle(&made, 9);
    mirror.head = 9;
    let settled = mirror.state.record(&lock()).cloned();
    let followed = mirror.follow(&keys, echo).unwrap();
    assert!(followed.made.is_empty(), "its events are known");
    assert_eq!(mirror.state.record(&lock()).cloned(), settled);
    assert_eq!(
        (mirror.fed, mirror.head, mirror.revision(&lock())),
        (9, 9, 9)
    );
    assert_eq!(
        mirror.due(Millis(6_001)),
        [lock()],
        "it is this gateway's to end"
    );
}

#[test]
fn another_s_write_counts_from_its_sight() {
    let keys = Keys::new("/".to_owned());
    let (mut here, mut there) = (Mirror::default(), Mirror::default());
    let made = prepare(&mut there, &take("ann"), 900_000);
    let written = told(&there, &made, &keys, 9, 5_000);
    let followed = here.follow(&keys, written).unwrap();
    assert_eq!(followed.made.len(), 1);
    assert_eq!((here.fed, here.head, here.revision(&lock())), (9, 9, 9));
    let deadline = here.state.record(&lock()).and_then(|r| r.next_deadline());
    assert_eq!(deadline, Some(Millis(6_001)));
    // Whoever wrote it goes first.
    assert!(here.due(Millis(6_050)).is_empty());
    assert_eq!(here.due(Millis(6_101)), [lock()]);

    let lost = prepare(&mut here, &take("bob"), 5_500);
    here.take_back(&lost);
    assert!(here.lost(&lost).is_empty());
    let gone = Written {
        revision: 12,
        seen: Millis(7_000),
        changes: vec![Change {
            put: false,
            kv: KeyValue {
                key: keys.lock(&lock()),
                mod_revision: 12,
                ..KeyValue::default()
            },
        }],
    };
    here.follow(&keys, gone).unwrap();
    assert_eq!((here.revision(&lock()), here.fed), (0, 12));
    assert_eq!(here.lost(&lost), [lock()]);
    assert_eq!(here.state.counts().leases, 0);
}
