//! Counters: no more leases carry one than may, and nothing else is refused.

use std::collections::BTreeMap;

use leasehold_domain::Action;
use leasehold_domain::Atomicity;
use leasehold_domain::Command;
use leasehold_domain::Counter;
use leasehold_domain::CounterFull;
use leasehold_domain::CounterKey;
use leasehold_domain::Effect;
use leasehold_domain::EndCause;
use leasehold_domain::Event;
use leasehold_domain::EventKind;
use leasehold_domain::Expectation;
use leasehold_domain::LeaseHandle;
use leasehold_domain::Outcome;
use leasehold_domain::Transition;
use leasehold_machine::State;
use proptest::prelude::*;

use crate::asking::EXCLUSIVE;
use crate::asking::acquire_once;
use crate::asking::cancel;
use crate::asking::command;
use crate::asking::lease;
use crate::asking::lock;
use crate::asking::moment;
use crate::asking::release;
use crate::asking::renew;
use crate::asking::revoke;
use crate::asking::ruled;
use crate::asking::shared;
use crate::asking::transfer;

const TTL_MS: u64 = 10_000;
const WAIT: Option<u64> = Some(30_000);

/// A store, each of whose writes has a floor of its own.
#[derive(Default)]
struct Store {
    state: State,
    writes: u64,
    told: Vec<Event>,
}

impl Store {
    fn run(&mut self, now: u64, commands: &[Command], atomicity: Atomicity) -> Vec<Outcome> {
        self.writes += 1;
        let at = moment(now, self.writes);
        let applied = self.state.execute(commands, atomicity, &[], at);
        self.told = applied.events;
        applied.outcomes
    }

    fn ask(&mut self, now: u64, command: Command) -> Outcome {
        let mut outcomes = self.run(now, &[command], Atomicity::Each);
        outcomes.pop().unwrap()
    }

    fn counted(&self, name: &str) -> u32 {
        self.state.counted(&lock("l").namespace, &key(name))
    }

    /// The names of what the last write told of locks.
    fn names(&self) -> Vec<&'static str> {
        let told = self.told.iter().flat_map(|event| match &event.kind {
            EventKind::Lock { transitions, .. } => transitions.as_slice(),
            EventKind::Denied(_) | EventKind::Governance(_) => &[],
        });
        told.map(Transition::as_str).collect()
    }
}

fn key(name: &str) -> CounterKey {
    CounterKey {
        policy: "p".into(),
        name: name.into(),
    }
}

/// The command with these counters of policy `p`.
fn counting(command: Command, counters: &[(&str, u32)]) -> Command {
    let counter = |(name, maximum): &(&str, u32)| Counter {
        key: key(name),
        maximum: *maximum,
        code: None,
    };
    Command {
        expect: Some(Expectation {
            counters: counters.iter().map(counter).collect(),
            ..Expectation::default()
        }),
        ..command
    }
}

/// `who` asks for a lock by a request of the lease's own, with one counter `c`.
fn take(who: &str, name: &str, id: u64, wait: Option<u64>, maximum: u32) -> Command {
    let action = acquire_once(id, EXCLUSIVE, TTL_MS, wait);
    let asked = command(who, &format!("r-{id}"), lock(name), action);
    counting(asked, &[("c", maximum)])
}

fn of(who: &str, name: &str, action: Action) -> Command {
    command(who, "other", lock(name), action)
}

fn full(name: &str, maximum: u32, present: u32) -> CounterFull {
    CounterFull {
        key: key(name),
        maximum,
        present,
        code: None,
    }
}

fn refused(outcome: &Outcome) -> &CounterFull {
    match outcome {
        Outcome::CounterFull(full) => full,
        other => panic!("not refused by a counter: {other:?}"),
    }
}

fn is_granted(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Granted(_))
}

#[test]
fn as_many_leases_as_may_carry_a_counter_and_no_more() {
    let mut store = Store::default();
    assert!(is_granted(&store.ask(0, take("ann", "a", 1, None, 2))));
    assert!(is_granted(&store.ask(0, take("bob", "b", 2, None, 2))));
    let third = store.ask(1, take("cyd", "c", 3, None, 2));
    assert_eq!(*refused(&third), full("c", 2, 2));
    // One that would wait is not made to wait for what it would not get.
    let third = store.ask(1, take("cyd", "c", 3, WAIT, 2));
    assert_eq!(*refused(&third), full("c", 2, 2));
    assert!(store.state.record(&lock("c")).is_none());
    // A repeated request is the same lease; another counter has nothing to do with it.
    assert!(is_granted(&store.ask(2, take("bob", "b", 2, None, 1))));
    assert_eq!(store.counted("c"), 2);
    let other = take("cyd", "d", 4, None, 2);
    assert!(is_granted(&store.ask(2, counting(other, &[("d", 1)]))));
    // A lower maximum takes nothing away.
    assert_eq!(
        *refused(&store.ask(3, take("cyd", "c", 5, None, 1))),
        full("c", 1, 2)
    );
    store.ask(4, of("ann", "a", release(1)));
    assert_eq!(store.counted("c"), 1);
    assert!(is_granted(&store.ask(5, take("cyd", "c", 6, None, 2))));
    store.ask(6, of("op", "c", revoke(0)));
    store.ask(6, of("bob", "b", release(2)));
    assert_eq!(store.counted("c"), 0);
}

#[test]
fn a_refusal_is_a_denial_of_the_policy_in_the_same_write() {
    let mut store = Store::default();
    store.ask(0, ruled(take("ann", "a", 1, None, 1), 1));
    store.ask(0, ruled(take("bob", "b", 2, None, 1), 1));
    let [event] = &store.told[..] else {
        panic!("one event: {:?}", store.told);
    };
    let EventKind::Denied(cause) = &event.kind else {
        panic!("a denial: {event:?}");
    };
    let Effect::Deny(denial) = &cause.decision.as_ref().unwrap().effect else {
        panic!("a denial: {cause:?}");
    };
    assert_eq!(denial.policy.as_deref(), Some("p"));
    assert_eq!(&*denial.code, CounterFull::CODE);
    assert_eq!(&*denial.message, "counter \"c\" has 1 of at most 1 leases");
}

#[test]
fn what_is_over_on_another_lock_ends_before_anything_is_refused() {
    let mut store = Store::default();
    store.ask(0, take("ann", "a", 1, None, 1));
    store.ask(0, take("bob", "a", 2, WAIT, 1));
    // The deadline's own millisecond still belongs to the lease.
    refused(&store.ask(TTL_MS, take("cyd", "b", 3, None, 1)));
    assert!(is_granted(
        &store.ask(TTL_MS + 1, take("cyd", "b", 3, None, 1))
    ));
    // The waiter of the lock whose lease ended is looked at after that, and finds the counter full.
    assert_eq!(store.names(), ["expired", "granted", "wait-ended"]);
    assert_eq!(store.counted("c"), 1);
}

#[test]
fn what_is_over_ends_before_a_waiter_of_another_lock_is_refused() {
    let mut store = Store::default();
    store.ask(0, take("ann", "a", 1, None, 2));
    store.ask(5_000, take("ann", "b", 2, None, 2));
    store.ask(5_000, take("bob", "b", 3, WAIT, 1));
    store.ask(TTL_MS + 1, of("ann", "b", release(2)));
    assert_eq!(store.names(), ["expired", "released", "granted"]);
    assert_eq!(store.counted("c"), 1);
}

#[test]
fn a_waiter_whose_counter_is_full_leaves_and_the_next_has_the_lock() {
    let mut store = Store::default();
    store.ask(0, take("ann", "a", 1, None, 1));
    let plain = command(
        "op",
        "r-2",
        lock("b"),
        acquire_once(2, EXCLUSIVE, TTL_MS, None),
    );
    store.ask(0, plain);
    let queued = store.ask(1, take("bob", "b", 3, WAIT, 1));
    assert!(matches!(queued, Outcome::Queued { position: 0, .. }));
    let next = counting(take("cyd", "b", 4, WAIT, 1), &[("d", 1)]);
    store.ask(1, next);
    store.ask(2, of("op", "b", release(2)));
    let EventKind::Lock { transitions, .. } = &store.told[0].kind else {
        panic!("{:?}", store.told);
    };
    let [
        Transition::Ended { .. },
        Transition::WaitEnded {
            handle,
            expired: false,
            refused: Some(why),
            ..
        },
        Transition::Granted { .. },
    ] = &transitions[..]
    else {
        panic!("{transitions:?}");
    };
    assert_eq!((*handle, &**why), (lease(3).handle(), &full("c", 1, 1)));
    // It asks again: a new acquire, which is refused, or let pass once there is room.
    refused(&store.ask(3, take("bob", "e", 5, WAIT, 1)));
    store.ask(4, of("ann", "a", release(1)));
    assert!(is_granted(&store.ask(5, take("bob", "e", 5, WAIT, 1))));
}

#[test]
fn several_locks_count_together() {
    let mut store = Store::default();
    let locks = ["a", "b", "c"];
    let asked: Vec<_> = locks
        .iter()
        .zip(1..)
        .map(|(name, id)| take("ann", name, id, None, 2))
        .collect();
    let outcomes = store.run(0, &asked, Atomicity::AllOrNothing);
    assert_eq!(
        outcomes[..2],
        [Outcome::NotAttempted, Outcome::NotAttempted]
    );
    assert_eq!(*refused(&outcomes[2]), full("c", 2, 2));
    assert_eq!(store.told.len(), 1, "one denial: {:?}", store.told);
    assert_eq!(store.counted("c"), 0);
    assert!(
        store
            .run(1, &asked[..2], Atomicity::AllOrNothing)
            .iter()
            .all(is_granted)
    );
    assert_eq!(store.counted("c"), 2);
    // Both are over: they end, and three at once are still too many.
    let outcomes = store.run(2 * TTL_MS, &asked, Atomicity::AllOrNothing);
    assert!(!outcomes.iter().any(is_granted), "{outcomes:?}");
    assert_eq!(store.counted("c"), 0);
}

#[test]
fn leases_of_one_lock_count_like_those_of_several() {
    let mut store = Store::default();
    let share = |id| {
        let action = acquire_once(id, shared(1), TTL_MS, None);
        let asked = command("ann", &format!("r-{id}"), lock("a"), action);
        counting(asked, &[("c", 3)])
    };
    for id in 1..=3 {
        assert!(is_granted(&store.ask(id, share(id))));
    }
    assert_eq!(*refused(&store.ask(4, share(4))), full("c", 3, 3));
    // The first of them is over at one instant, the others later.
    assert!(is_granted(&store.ask(TTL_MS + 2, share(5))));
    assert_eq!(store.counted("c"), 3);
}

#[test]
fn a_successor_carries_its_own_counters() {
    let mut store = Store::default();
    store.ask(0, take("ann", "a", 1, None, 1));
    store.ask(1, take("bob", "a", 2, WAIT, 1));
    store.ask(2, of("ann", "a", transfer(1, "bob", 0)));
    assert_eq!(store.names(), ["transferred", "granted"]);
    assert_eq!(store.counted("c"), 1);
    // A successor whose counter is full does not keep the lock from others.
    store.ask(3, take("ann", "b", 3, None, 2));
    let next = counting(take("cyd", "a", 4, WAIT, 1), &[]);
    store.ask(4, take("dan", "a", 5, WAIT, 1));
    store.ask(4, next);
    store.ask(5, of("bob", "a", transfer(2, "dan", 0)));
    assert_eq!(store.names(), ["transferred", "wait-ended", "granted"]);
    assert_eq!(store.counted("c"), 1);
}

#[test]
fn counts_after_a_restart_are_those_before() {
    let mut store = Store::default();
    for id in 1..=5 {
        let name = format!("l{}", id % 3);
        let action = acquire_once(id, shared(1), TTL_MS * id, None);
        let asked = command("ann", &format!("r-{id}"), lock(&name), action);
        store.ask(0, counting(asked, &[("c", 9), (&format!("d{id}"), 1)]));
    }
    store.ask(1, take("bob", "l0", 9, WAIT, 5));
    let mut restarted = State::from_bytes(&store.state.to_bytes()).unwrap();
    assert_eq!(restarted, store.state);
    assert_eq!(restarted.counted(&lock("l").namespace, &key("c")), 5);
    restarted.lengthen_leases();
    assert_eq!(restarted.counted(&lock("l").namespace, &key("d3")), 1);
    // The waiter has kept its counters.
    let all: Vec<_> = restarted.record(&lock("l0")).unwrap().counters().collect();
    assert_eq!(all, [&key("c"), &key("d3"), &key("c")]);
}

#[derive(Debug, Clone)]
enum Step {
    Take(usize, usize, bool, bool),
    Both(usize, usize, usize),
    Give(u64, usize, usize),
    Renew(u64, usize, usize),
    Cancel(u64, usize, usize),
    Revoke(usize),
    Transfer(u64, usize, usize),
    Pass(u64),
    Tick,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let (who, name, id) = (0..3_usize, 0..5_usize, 1..30_u64);
    prop_oneof![
        8 => (who.clone(), name.clone(), any::<bool>(), any::<bool>())
            .prop_map(|(w, n, waits, shares)| Step::Take(w, n, waits, shares)),
        2 => (who.clone(), name.clone(), name.clone()).prop_map(|(w, a, b)| Step::Both(w, a, b)),
        3 => (id.clone(), who.clone(), name.clone()).prop_map(|(i, w, n)| Step::Give(i, w, n)),
        1 => (id.clone(), who.clone(), name.clone()).prop_map(|(i, w, n)| Step::Renew(i, w, n)),
        1 => (id.clone(), who.clone(), name.clone()).prop_map(|(i, w, n)| Step::Cancel(i, w, n)),
        1 => name.clone().prop_map(Step::Revoke),
        1 => (id, who, name).prop_map(|(i, w, n)| Step::Transfer(i, w, n)),
        3 => (1..9_000_u64).prop_map(Step::Pass),
        1 => Just(Step::Tick),
        1 => Just(Step::Restart),
    ]
}

const NAMES: [&str; 3] = ["ann", "bob", "cyd"];

/// The counters that each lease carries.
type Carried = BTreeMap<LeaseHandle, Vec<CounterKey>>;

fn follow(carried: &mut Carried, asked: &Carried, told: &[Event]) {
    for event in told {
        let EventKind::Lock { transitions, .. } = &event.kind else {
            continue;
        };
        for transition in transitions {
            match transition {
                Transition::Granted { handle, .. } => {
                    carried.insert(*handle, asked[handle].clone());
                }
                Transition::Ended { handle, .. } => {
                    carried.remove(handle);
                }
                _ => {}
            }
        }
    }
}

fn refusals(told: &[Event], outcomes: &[Outcome]) -> Vec<CounterFull> {
    let told = told.iter().flat_map(|event| match &event.kind {
        EventKind::Lock { transitions, .. } => transitions.as_slice(),
        EventKind::Denied(_) | EventKind::Governance(_) => &[],
    });
    let waits = told.filter_map(|transition| match transition {
        Transition::WaitEnded { refused, .. } => refused.as_deref().cloned(),
        _ => None,
    });
    let asked = outcomes.iter().filter_map(|outcome| match outcome {
        Outcome::CounterFull(full) => Some((**full).clone()),
        _ => None,
    });
    waits.chain(asked).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is asked, at whatever times and over restarts, the count of a counter is the number
    /// of leases that carry it, never above its maximum; and what is refused found it full.
    #[test]
    fn a_count_is_the_number_of_leases(steps in prop::collection::vec(step(), 1..80)) {
        let (mut store, mut now, mut id) = (Store::default(), 0, 0);
        let (mut carried, mut asked) = (Carried::new(), Carried::new());
        // A counter of all, and one of each subject; their maxima never change here.
        let counters = |who: usize| [("all", 4), (NAMES[who], 2)];
        for step in steps {
            let mut atomicity = Atomicity::Each;
            let mut want = |who: usize, name: usize, waits: bool, shares: bool| {
                id += 1;
                let mode = if shares { shared(1) } else { EXCLUSIVE };
                let wait = waits.then_some(8_000);
                let action = acquire_once(id, mode, TTL_MS, wait);
                let request = format!("r-{id}");
                let command = command(NAMES[who], &request, lock(&format!("l{name}")), action);
                let keys = counters(who).map(|(name, _)| key(name));
                asked.insert(lease(id).handle(), keys.to_vec());
                counting(command, &counters(who))
            };
            let plain = |who: usize, name: usize, action| of(NAMES[who], &format!("l{name}"), action);
            let commands = match step {
                Step::Take(who, name, waits, shares) => vec![want(who, name, waits, shares)],
                Step::Both(who, a, b) => {
                    atomicity = Atomicity::AllOrNothing;
                    let first = want(who, a, false, false);
                    let mut both = vec![first];
                    both.extend((a != b).then(|| want(who, b, false, false)));
                    both
                }
                Step::Give(id, who, name) => vec![plain(who, name, release(id))],
                Step::Renew(id, who, name) => vec![plain(who, name, renew(id, None))],
                Step::Cancel(id, who, name) => vec![plain(who, name, cancel(id))],
                Step::Revoke(name) => vec![of("op", &format!("l{name}"), revoke(0))],
                Step::Transfer(id, who, name) => {
                    let to = NAMES[(who + 1) % 3];
                    vec![plain(who, name, transfer(id, to, 0))]
                }
                Step::Pass(ms) => { now += ms; vec![] }
                Step::Tick => {
                    store.writes += 1;
                    store.told = store.state.tick(moment(now, store.writes), 100);
                    follow(&mut carried, &asked, &store.told);
                    vec![]
                }
                Step::Restart => {
                    let again = State::from_bytes(&store.state.to_bytes()).unwrap();
                    prop_assert_eq!(&again, &store.state);
                    store.state = again;
                    vec![]
                }
            };
            let outcomes = store.run(now, &commands, atomicity);
            follow(&mut carried, &asked, &store.told);
            for refusal in refusals(&store.told, &outcomes) {
                prop_assert!(refusal.present >= refusal.maximum, "{refusal:?}");
            }
            for (name, maximum) in [("all", 4), ("ann", 2), ("bob", 2), ("cyd", 2)] {
                let leases = carried.values().filter(|keys| keys.contains(&key(name))).count();
                prop_assert_eq!(store.counted(name) as usize, leases, "{}", name);
                prop_assert!(leases <= maximum, "{leases} leases of {name}");
            }
        }
    }
}

#[test]
fn a_refused_acquire_is_no_ended_lease() {
    let mut store = Store::default();
    store.ask(0, take("ann", "a", 1, None, 1));
    refused(&store.ask(1, take("bob", "b", 2, None, 1)));
    store.ask(2, of("ann", "a", release(1)));
    // The same request may be made again, and is granted now.
    assert!(is_granted(&store.ask(3, take("bob", "b", 2, None, 1))));
    let late = store.ask(4, take("ann", "a", 1, None, 1));
    assert_eq!(late, Outcome::LeaseLost(EndCause::Released));
}
