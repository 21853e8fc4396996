//! Writes that are taken back leave no trace, own writes that come back by the watch change
//! nothing, and those of others are seen on this gateway's clock.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use leasehold_backend_api::Batch;
use leasehold_domain::Action;
use leasehold_domain::Cause;
use leasehold_domain::Command;
use leasehold_domain::FeatureLevel;
use leasehold_domain::LeaseId;
use leasehold_domain::ManualClock;
use leasehold_domain::Mode;
use leasehold_domain::Operation as Asked;
use leasehold_domain::Principal;
use leasehold_domain::Request;
use leasehold_domain::RoleSet;
use leasehold_domain::WallMillis;
use leasehold_machine::LockRecord;
use leasehold_machine::Moment;
use leasehold_machine::stored;
use prost::bytes::Bytes;

use super::*;
use crate::feed::Change;
use crate::feed::Written;
use crate::group::Group;
use crate::group::Touched;
use crate::item::Item;
use crate::keys::Keys;
use crate::keys::Kind;
use crate::proto::KeyValue;
use crate::proto::Operation;
use crate::proto::PutRequest;
use crate::time::ORIGIN;
use crate::time::Timekeeper;

fn lock() -> LockRef {
    "demo/l".parse().unwrap()
}

fn take(who: &str) -> Item {
    ask(
        who,
        Action::Acquire {
            lease_id: LeaseId::from_bytes([7; 16]),
            mode: Mode::Exclusive,
            ttl_ms: 1_000,
            wait_ms: None,
            max_hold_ms: None,
        },
    )
}

fn ask(who: &str, action: Action) -> Item {
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
        action,
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
        level: FeatureLevel::FIRST,
        now: Millis(now),
        wall: WallMillis(0),
        token_floor: 1_024,
    };
    mirror.prepare(group, &[(0, item)], at)
}

/// The keys of the write of this revision.
fn own(mirror: &Mirror, keys: &Keys, revision: i64, now: u64) -> OwnKeys {
    let number = revision.unsigned_abs();
    OwnKeys {
        events: keys.events(1, number),
        ended: keys.ended(1, number),
        forgotten: mirror.forgettable(Millis(now)),
    }
}

/// What the watch tells of a write.
fn told(
    mirror: &Mirror,
    prepared: &Prepared,
    (keys, own): (&Keys, &OwnKeys),
    revision: i64,
    seen: u64,
) -> Written {
    let part = mirror.part(prepared, keys, own);
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
    let own = own(&mirror, &keys, 9, 5_000);
    let echo = told(&mirror, &made, (&keys, &own), 9, 6_000);
    mirror.settle(&made, &own, 9);
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
    let own = own(&there, &keys, 9, 900_000);
    let written = told(&there, &made, (&keys, &own), 9, 5_000);
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
    assert_eq!(here.lost(&lost), [Touched::Lock(lock())]);
    assert_eq!(here.state.counts().leases, 0);
}

/// etcd's keys as the writes of several gateways leave them, and the gateways.
struct World {
    keys: Keys,
    stored: BTreeMap<Bytes, KeyValue>,
    gateways: Vec<(Mirror, u64)>,
    revision: i64,
}

impl World {
    /// Gateways whose clocks show these.
    fn of(clocks: &[u64]) -> Self {
        let gateways = clocks.iter().map(|now| (Mirror::default(), *now));
        Self {
            keys: Keys::new("/".to_owned()),
            stored: BTreeMap::new(),
            gateways: gateways.collect(),
            revision: 1,
        }
    }

    /// One gateway writes, and all see it a little later. Answers how many keys of the lock it wrote.
    fn write(&mut self, writer: usize, later_ms: u64, item: &Item) -> usize {
        self.revision += 1;
        self.gateways
            .iter_mut()
            .for_each(|(_, now)| *now += later_ms);
        let (mirror, now) = &mut self.gateways[writer];
        let made = prepare(mirror, item, *now);
        let (keys, revision) = (&self.keys, self.revision);
        let of_lock = |change: &&Change| {
            let kind = keys.kind(&change.kv.key);
            matches!(kind, Some(Kind::Lock(_) | Kind::Waiter(..)))
        };
        let own = own(mirror, keys, revision, *now);
        let part = told(mirror, &made, (keys, &own), revision, 0);
        mirror.settle(&made, &own, revision);
        mirror.head = revision;
        for change in &part.changes {
            match change.put {
                true => self.stored.insert(change.kv.key.clone(), change.kv.clone()),
                false => self.stored.remove(&change.kv.key),
            };
        }
        for (mirror, now) in &mut self.gateways {
            *now += 3;
            let changes = part.changes.iter().map(|change| Change {
                put: change.put,
                kv: change.kv.clone(),
            });
            let seen = Written {
                revision,
                seen: Millis(*now),
                changes: changes.collect(),
            };
            mirror.follow(keys, seen).unwrap();
        }
        part.changes.iter().filter(of_lock).count()
    }

    /// The lock as each gateway has it, and as one has it that reads all now, on one clock.
    fn seen(&self) -> Vec<Option<LockRecord>> {
        let keeper = Timekeeper::new(Arc::new(ManualClock::default()), Duration::ZERO);
        let all = self.stored.values().cloned().collect();
        let fresh = Mirror::default().read_anew(&self.keys, all, self.revision, &keeper);
        let fresh = fresh.unwrap().mirror;
        let mirrors = self
            .gateways
            .iter()
            .map(|(mirror, _)| mirror)
            .chain([&fresh]);
        let seen = mirrors.map(|mirror| mirror.state.record(&lock()).cloned());
        seen.map(|record| record.map(|record| record.rebased(ORIGIN)))
            .collect()
    }
}

fn wait(id: u8, wait_ms: u64) -> Action {
    Action::Acquire {
        lease_id: LeaseId::from_bytes([id; 16]),
        mode: Mode::Exclusive,
        ttl_ms: 20_000,
        wait_ms: Some(wait_ms),
        max_hold_ms: None,
    }
}

#[test]
fn a_queue_is_the_same_for_all_whoever_writes() {
    let mut world = World::of(&[ORIGIN.0 + 900_000, ORIGIN.0 + 5_000]);
    let release = |id| Action::Release {
        lease_id: LeaseId::from_bytes([id; 16]),
    };
    let cancel = |id| Action::CancelWait {
        lease_id: LeaseId::from_bytes([id; 16]),
    };
    // Who writes, how much later, who asks what; how many keys that is.
    let story = [
        (0, 10, "w1", wait(1, 9_000), 1),
        (0, 10, "w2", wait(2, 9_000), 2),
        (1, 10, "w3", wait(3, 9_000), 2),
        (0, 10, "w4", wait(4, 9_000), 2),
        // The first leaves the queue, and one comes.
        (1, 500, "w1", release(1), 2),
        (0, 10, "w5", wait(5, 9_000), 2),
        // One in the middle gives up, one lengthens its wait.
        (0, 700, "w4", cancel(4), 2),
        (1, 10, "w3", wait(3, 60_000), 2),
        (1, 10, "w2", release(2), 2),
        (0, 900, "w6", wait(6, 60_000), 2),
        // Time takes one of them, and the next is granted.
        (1, 15_000, "nobody", Action::Tick, 2),
        (0, 10, "w3", release(3), 2),
        (0, 10, "w6", release(6), 1),
        // It is forgotten.
        (1, 90_000, "nobody", Action::Tick, 1),
    ];
    for (writer, later_ms, who, action, written) in story {
        let told = format!("{who}: {action:?}");
        assert_eq!(
            world.write(writer, later_ms, &ask(who, action)),
            written,
            "{told}"
        );
        let seen = world.seen();
        assert!(
            seen.iter().all(|record| *record == seen[0]),
            "{told}: {seen:#?}"
        );
    }
    assert_eq!(world.seen(), [None, None, None]);
    let left = world.stored.keys().filter_map(|key| world.keys.kind(key));
    let left = left.filter(|kind| !matches!(kind, Kind::Events | Kind::Ended));
    assert_eq!(left.collect::<Vec<_>>(), [Kind::Head]);
}

#[test]
fn ended_leases_are_known_to_all_and_their_keys_go_after_a_minute() {
    let mut world = World::of(&[ORIGIN.0 + 900_000, ORIGIN.0 + 5_000]);
    let once = |id| Action::AcquireOnce {
        lease_id: LeaseId::from_bytes([id; 16]),
        mode: Mode::Exclusive,
        ttl_ms: 20_000,
        wait_ms: None,
        max_hold_ms: None,
    };
    let release = |id| Action::Release {
        lease_id: LeaseId::from_bytes([id; 16]),
    };
    let kept = |world: &World| {
        let kinds = world.stored.keys().filter_map(|key| world.keys.kind(key));
        kinds.filter(|kind| *kind == Kind::Ended).count()
    };
    let outcome = |mirror: &mut Mirror, who: &str, now| {
        let asked = prepare(mirror, &ask(who, once(9)), now);
        mirror.take_back(&asked);
        match &asked.answers[0].1 {
            Answer::Outcomes(outcomes) => format!("{:?}", outcomes[0]),
            other => panic!("{other:?}"),
        }
    };
    for (id, who) in [(1, "w1"), (2, "w2"), (3, "w3")] {
        world.write(0, 10, &ask(who, once(id)));
        world.write(1, 10, &ask(who, release(id)));
    }
    assert_eq!(kept(&world), 3);
    let keeper = Timekeeper::new(Arc::new(ManualClock::default()), Duration::ZERO);
    let all = world.stored.values().cloned().collect();
    let fresh = Mirror::default().read_anew(&world.keys, all, world.revision, &keeper);
    let fresh = fresh.unwrap().mirror;
    world.gateways.push((fresh, keeper.look().0));
    for (mirror, now) in &mut world.gateways {
        for who in ["w1", "w2", "w3"] {
            assert_eq!(outcome(mirror, who, *now), "LeaseLost(Released)", "{who}");
        }
        assert!(outcome(mirror, "w4", *now).starts_with("Granted"));
        assert_eq!(
            mirror.state.ended().count(),
            3,
            "taking back leaves no trace"
        );
    }
    world.gateways.pop();
    // The next lease that ends takes two of the old keys away, and the one after it the third.
    world.write(0, 61_000, &ask("w5", once(5)));
    world.write(1, 10, &ask("w5", release(5)));
    assert_eq!(kept(&world), 2);
    world.write(0, 10, &ask("w6", once(6)));
    world.write(0, 10, &ask("w6", release(6)));
    assert_eq!(kept(&world), 2);
    for (mirror, now) in &mut world.gateways {
        assert!(outcome(mirror, "w1", *now).starts_with("Granted"));
        assert_eq!(outcome(mirror, "w5", *now), "LeaseLost(Released)");
    }
}

#[test]
fn a_queue_in_the_lock_s_own_key_is_read_and_put_anew() {
    let mut world = World::of(&[ORIGIN.0 + 900_000, ORIGIN.0 + 5_000]);
    for id in 1..=4 {
        world.write(0, 10, &ask(&format!("w{id}"), wait(id, 60_000)));
    }
    let whole = world.gateways[0].0.state.record(&lock()).unwrap();
    let value = stored::encode(whole);
    let key = world.keys.lock(&lock());
    world.stored.retain(|other, _| *other == key);
    world.stored.get_mut(&key).unwrap().value = value.into();
    let keeper = Timekeeper::new(Arc::new(ManualClock::default()), Duration::ZERO);
    let before = world.seen();
    for (mirror, now) in &mut world.gateways {
        let all = world.stored.values().cloned().collect();
        *mirror = Mirror::default()
            .read_anew(&world.keys, all, world.revision, &keeper)
            .unwrap()
            .mirror;
        *now = ORIGIN.0;
    }
    assert_eq!(world.seen(), before);
    assert_eq!(
        world.write(1, 10, &ask("w5", wait(5, 60_000))),
        5,
        "all four, and the lock"
    );
    let seen = world.seen();
    assert!(seen.iter().all(|record| *record == seen[0]), "{seen:#?}");
    assert_eq!(seen[0].as_ref().map(LockRecord::queue_len), Some(4));
}
