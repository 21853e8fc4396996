//! What must be true in every state of the small world, and at the end.

use leasehold_domain::EventKind;
use leasehold_domain::LeaseId;
use leasehold_domain::LockRef;
use leasehold_domain::Mode;
use leasehold_domain::Transition;
use leasehold_domain::limits::WAITER_SLACK_MS;

use super::world::Knows;
use super::world::Step;
use super::world::World;
use super::world::counter;
use super::world::lock;
use crate::LockRecord;
use crate::ended::RequestKey;
use crate::waiter::Waiter;

/// Units of time within which everybody who keeps asking must have had the lock.
const PATIENCE: usize = 40;

/// Safety: checked after every step.
pub(super) fn safe(world: &World) {
    for l in 0..world.queues.len() {
        let lock = lock(l);
        let record = world.state.locks.get(&lock).unwrap();
        exclusion(world, record);
        promises(world, l, record);
        one_answer_per_request(world, record);
        no_second_lease(world, record, &lock);
        somebody_cares(world, record);
    }
    tokens_and_turns(world);
    counted(world);
}

/// The counter counts the leases that carry it, never more than may; and it refuses only what would
/// exceed it, so never because of a lease that is over.
fn counted(world: &World) {
    let Some(maximum) = world.counted else {
        return;
    };
    let records = world.state.records().map(|(_, record)| record);
    let leases: Vec<_> = records.flat_map(|record| &record.holders).collect();
    assert!(leases.iter().all(|lease| lease.counters() == [counter()]));
    let count = world.state.counted(&lock(0).namespace, &counter());
    assert_eq!(count as usize, leases.len(), "{:?}", world.story);
    assert!(count <= maximum, "{count} leases: {:?}", world.story);
    let refuses = |transition: &Transition| match transition {
        Transition::WaitEnded { refused, .. } => refused.is_some(),
        _ => false,
    };
    let is_refusal = |event: &leasehold_domain::Event| match &event.kind {
        EventKind::Denied(_) => true,
        EventKind::Lock { transitions, .. } => transitions.iter().any(refuses),
        EventKind::Governance(_) => false,
    };
    if world.told.iter().any(is_refusal) {
        let now = leasehold_domain::Millis(world.now);
        let over = leases.iter().any(|lease| lease.deadline.is_over(now));
        assert!(!over, "refused by what is over: {:?}", world.story);
    }
}

fn exclusion(world: &World, record: &LockRecord) {
    let exclusive = record.holders.iter().filter(|h| h.mode == Mode::Exclusive);
    let exclusive = exclusive.count();
    let limit = record.settings().limit as usize;
    let alone = exclusive == 0 || record.holders.len() == 1;
    assert!(alone && record.holders.len() <= limit, "{:?}", world.story);
}

/// Who was promised a lease has it, so two who exclude each other never both believe to.
fn promises(world: &World, l: usize, record: &LockRecord) {
    for client in &world.clients {
        let Knows::Holds(lease_id, until) = client.knows[l] else {
            continue;
        };
        let holds = record.holders.iter().any(|h| h.lease_id == lease_id);
        assert!(
            holds || until == 0 || until < world.now,
            "ended early: {:?}",
            world.story
        );
    }
}

/// Nothing stands that all have cancelled who asked for it. Those who only try never cancel.
fn somebody_cares(world: &World, record: &LockRecord) {
    let hangs = |drawn: &LeaseId| world.polls.iter().any(|poll| poll.drawn == *drawn);
    let only_tries = |drawn: &LeaseId| drawn.reveal().as_bytes()[9] == b'1';
    for (_, claims) in record.claims() {
        let mut drawn = claims.standing().iter().map(|claim| claim.drawn);
        let cares = drawn.any(|drawn| hangs(&drawn) || only_tries(&drawn));
        assert!(cares, "nobody wants {claims:?}: {:?}", world.story);
    }
}

/// A request whose lease has ended is not granted another.
fn no_second_lease(world: &World, record: &LockRecord, lock: &LockRef) {
    for lease in &record.holders {
        let key = RequestKey::of(lock, &lease.party.subject, &lease.request_id);
        let ended = world.state.ended().any(|ended| ended.key == key);
        assert!(!ended, "a second lease: {:?}", world.story);
    }
}

fn one_answer_per_request(world: &World, record: &LockRecord) {
    let leases = record
        .holders
        .iter()
        .map(|h| (&h.party.subject, &h.request_id));
    let waiters = record.waiters().map(|w| (&w.party.subject, &w.request_id));
    let mut requests: Vec<_> = leases.chain(waiters).collect();
    let count = requests.len();
    requests.sort();
    requests.dedup();
    assert_eq!(
        requests.len(),
        count,
        "one request, two leases: {:?}",
        world.story
    );
}

/// Grants have greater tokens than all before, and come in the order of the queue among those who
/// are there; nobody who is there waits for what is free.
fn tokens_and_turns(world: &World) {
    for event in &world.told {
        let EventKind::Lock {
            lock, transitions, ..
        } = &event.kind
        else {
            continue;
        };
        let l: usize = lock.lock.as_str().parse().unwrap();
        let record = world.state.locks.get(lock).unwrap();
        let is_there = |w: &Waiter| w.deadline.0 >= world.now + WAITER_SLACK_MS;
        let waits_still = |id| record.waiters().any(|w| w.lease_id == id && is_there(w));
        let blocked = record.cooldown_until().0 > world.now || !record.reservations().is_empty();
        let mut could = record.waiters().take_while(|w| record.admits(w.mode));
        let in_vain = !blocked && could.any(|w| is_there(w));
        assert!(!in_vain, "waits in vain: {:?}", world.story);
        let handed_over = world.story.iter().any(|s| matches!(s, Step::Transfer(..)));
        for transition in transitions {
            let Transition::Granted { handle, token, .. } = transition else {
                continue;
            };
            assert!(*token > world.tokens[l], "token: {:?}", world.story);
            let before = world.queues[l].iter();
            let mut before = before.take_while(|id| id.handle() != *handle);
            let overtaken = before.any(|id| waits_still(*id));
            assert!(!overtaken || handed_over, "overtaken: {:?}", world.story);
        }
    }
}

/// Liveness: from here on no answer is lost, holders release, those who asked keep asking, and
/// gateways notice who has left.
pub(super) fn live(mut world: World) {
    for _ in 0..PATIENCE {
        while let Some(left) = world.polls.iter().position(|poll| {
            !poll.answered && world.clients[poll.client].knows[poll.lock] == Knows::Idle
        }) {
            world.step(Step::HangUp(left));
            safe(&world);
        }
        for c in 0..world.clients.len() {
            for l in 0..world.queues.len() {
                match world.clients[c].knows[l] {
                    Knows::Idle => continue,
                    Knows::Asked => world.step(Step::Wait(c, l, false)),
                    Knows::Holds(..) => world.step(Step::Release(c, l, false)),
                }
                safe(&world);
            }
        }
        let idle = |client: &super::world::Client| client.knows.iter().all(|k| *k == Knows::Idle);
        if world.clients.iter().all(idle) {
            return;
        }
        world.step(Step::Time);
        world.step(Step::Tick);
        safe(&world);
    }
    panic!("somebody asks in vain: {:?}", world.story);
}
