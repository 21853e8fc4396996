//! What the rules of locking cost: no I/O, no encoding, one thread.

use std::hint::black_box;
use std::sync::Arc;

use criterion::Criterion;
use criterion::criterion_group;
use criterion::criterion_main;
use leasehold_domain::Action;
use leasehold_domain::Atomicity;
use leasehold_domain::Cause;
use leasehold_domain::Command;
use leasehold_domain::FeatureLevel;
use leasehold_domain::LeaseId;
use leasehold_domain::LockRef;
use leasehold_domain::Millis;
use leasehold_domain::Mode;
use leasehold_domain::Operation;
use leasehold_domain::Principal;
use leasehold_domain::Request;
use leasehold_domain::RoleSet;
use leasehold_domain::WallMillis;
use leasehold_machine::Moment;
use leasehold_machine::State;

fn command(lock: &LockRef, number: u64, action: Action) -> Command {
    let principal = Principal {
        subject: "bench".parse().expect("a subject"),
        team: None,
        roles: RoleSet::default(),
        claims: std::collections::BTreeMap::new(),
    };
    let cause = Cause {
        request_id: format!("r{number}").parse().expect("a request id"),
        received: WallMillis(0),
        principal: Arc::new(principal),
        request: Request::new(Operation::Acquire, lock.clone()),
        decision: None,
    };
    Command {
        lock: lock.clone(),
        action,
        cause: Some(Arc::new(cause)),
        expect: None,
    }
}

fn acquire(lock: &LockRef, number: u64, wait_ms: Option<u64>) -> (LeaseId, Command) {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    let lease_id = LeaseId::from_bytes(bytes);
    let mode = Mode::Exclusive;
    let action = Action::Acquire {
        lease_id,
        mode,
        ttl_ms: 10_000,
        wait_ms,
        max_hold_ms: None,
    };
    (lease_id, command(lock, number, action))
}

fn moment(number: u64) -> Moment {
    Moment {
        level: FeatureLevel::FIRST,
        now: Millis(number),
        wall: WallMillis(number),
        token_floor: number * 1_024,
    }
}

fn cycle(c: &mut Criterion) {
    let mut state = State::default();
    for number in 0..100_000 {
        let lock = format!("bench/held/{number}").parse().expect("a lock");
        let (_, command) = acquire(&lock, number, None);
        state.execute(&[command], Atomicity::Each, &[], moment(1));
    }
    let lock: LockRef = "bench/cycle".parse().expect("a lock");
    let mut number = 1_000_000;
    c.bench_function("acquire and release beside 100,000 held locks", |b| {
        b.iter(|| {
            number += 1;
            let (lease_id, acquire) = acquire(&lock, number, None);
            let release = command(&lock, number, Action::Release { lease_id });
            black_box(state.execute(&[acquire], Atomicity::Each, &[], moment(2)));
            black_box(state.execute(&[release], Atomicity::Each, &[], moment(2)));
        });
    });
}

fn hand_off(c: &mut Criterion) {
    let mut state = State::default();
    let lock: LockRef = "bench/contended".parse().expect("a lock");
    let mut queue = std::collections::VecDeque::new();
    for number in 0..64 {
        let (lease_id, acquire) = acquire(&lock, number, Some(60_000));
        state.execute(&[acquire], Atomicity::Each, &[], moment(1));
        queue.push_back(lease_id);
    }
    let mut number = 64;
    c.bench_function("hand-off among 64 waiters", |b| {
        b.iter(|| {
            let lease_id = queue.pop_front().expect("somebody holds");
            let release = command(&lock, number, Action::Release { lease_id });
            black_box(state.execute(&[release], Atomicity::Each, &[], moment(1)));
            number += 1;
            let (lease_id, acquire) = acquire(&lock, number, Some(60_000));
            black_box(state.execute(&[acquire], Atomicity::Each, &[], moment(1)));
            queue.push_back(lease_id);
        });
    });
}

criterion_group!(benches, cycle, hand_off);
criterion_main!(benches);
