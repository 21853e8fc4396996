//! The caps of a namespace: nothing new begins beyond them, and nothing else is refused.

use leasehold_domain::Action;
use leasehold_domain::Atomicity;
use leasehold_domain::Cap;
use leasehold_domain::CapReached;
use leasehold_domain::Caps;
use leasehold_domain::Command;
use leasehold_domain::Expectation;
use leasehold_domain::Outcome;
use leasehold_domain::Rejection;
use leasehold_machine::State;
use proptest::prelude::*;

use crate::asking::EXCLUSIVE;
use crate::asking::acquire_once;
use crate::asking::cancel;
use crate::asking::command;
use crate::asking::lock;
use crate::asking::moment;
use crate::asking::release;
use crate::asking::renew;
use crate::asking::revoke;
use crate::asking::transfer;

const TTL_MS: u64 = 60_000;
const WAIT: Option<u64> = Some(10_000);

/// A store, each of whose writes has a floor of its own.
#[derive(Default)]
struct Store {
    state: State,
    writes: u64,
}

impl Store {
    fn run(&mut self, now: u64, commands: &[Command], atomicity: Atomicity) -> Vec<Outcome> {
        self.writes += 1;
        let at = moment(now, self.writes);
        self.state.execute(commands, atomicity, &[], at).outcomes
    }

    fn ask(&mut self, now: u64, command: Command) -> Outcome {
        let mut outcomes = self.run(now, &[command], Atomicity::Each);
        outcomes.pop().unwrap()
    }
}

fn capped(command: Command, locks: Option<u64>, waiters: Option<u64>) -> Command {
    let caps = Caps {
        locks,
        waiters,
        reached: None,
    };
    Command {
        expect: Some(Expectation {
            caps: Some(caps),
            ..Expectation::default()
        }),
        ..command
    }
}

/// `who` asks for a lock by a request of the lease's own.
fn take(who: &str, name: &str, id: u64, wait: Option<u64>) -> Command {
    let action = acquire_once(id, EXCLUSIVE, TTL_MS, wait);
    command(who, &format!("r-{id}"), lock(name), action)
}

fn of(who: &str, name: &str, action: Action) -> Command {
    capped(command(who, "other", lock(name), action), Some(1), Some(1))
}

fn reached(cap: Cap, most: u64, present: u64) -> Outcome {
    let reached = CapReached { cap, most, present };
    Outcome::Rejected(Rejection::CapReached(reached))
}

fn is_granted(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Granted(_))
}

#[test]
fn one_lock_more_than_the_cap_is_refused_until_one_is_free() {
    let mut store = Store::default();
    let two = |command| capped(command, Some(2), None);
    assert!(is_granted(&store.ask(0, two(take("ann", "a", 1, None)))));
    assert!(is_granted(&store.ask(0, two(take("ann", "b", 2, None)))));
    let full = reached(Cap::Locks, 2, 2);
    assert_eq!(store.ask(1, two(take("ann", "c", 3, None))), full);
    assert_eq!(store.ask(1, two(take("ann", "c", 3, WAIT))), full);
    // The same request again, a lock that is held, and whoever has no caps are not refused.
    assert!(is_granted(&store.ask(2, two(take("ann", "b", 2, None)))));
    let held = store.ask(2, two(take("bob", "a", 4, None)));
    assert!(matches!(held, Outcome::Held { .. }), "{held:?}");
    assert!(is_granted(&store.ask(3, take("ann", "d", 5, None))));
    let above = reached(Cap::Locks, 2, 3);
    assert_eq!(store.ask(4, two(take("ann", "c", 3, None))), above);
    store.ask(5, of("ann", "d", release(5)));
    store.ask(5, of("ann", "a", release(1)));
    assert!(is_granted(&store.ask(6, two(take("ann", "c", 3, None)))));
    assert_eq!(store.ask(6, two(take("ann", "e", 6, None))), full);
    // A lease that ends by time makes room, too.
    store.state.tick(moment(10 * TTL_MS, 100), 10);
    assert!(is_granted(
        &store.ask(10 * TTL_MS, two(take("ann", "e", 6, None)))
    ));
}

#[test]
fn another_namespace_has_room_of_its_own() {
    let mut store = Store::default();
    store.ask(0, take("ann", "a", 1, None));
    let elsewhere = "other/a".parse().unwrap();
    let action = acquire_once(2, EXCLUSIVE, TTL_MS, None);
    let there = capped(command("ann", "r", elsewhere, action), Some(1), Some(1));
    assert!(is_granted(&store.ask(0, there)));
}

#[test]
fn one_waiter_more_than_the_cap_is_refused_and_leaves_nothing() {
    let mut store = Store::default();
    let one = |command| capped(command, None, Some(1));
    store.ask(0, take("ann", "a", 1, None));
    store.ask(0, take("ann", "b", 2, None));
    let queued = store.ask(1, one(take("bob", "a", 3, WAIT)));
    assert!(matches!(queued, Outcome::Queued { position: 0, .. }));
    let before = store.state.clone();
    let full = reached(Cap::Waiters, 1, 1);
    assert_eq!(store.ask(1, one(take("cyd", "a", 4, WAIT))), full);
    assert_eq!(store.ask(1, one(take("cyd", "b", 5, WAIT))), full);
    assert_eq!(store.state, before, "nothing is left of them");
    // Who only tries, who asks again, and who need not wait are not refused.
    let held = store.ask(2, one(take("cyd", "a", 6, None)));
    assert!(matches!(held, Outcome::Held { waiters: 1, .. }), "{held:?}");
    let again = store.ask(2, one(take("bob", "a", 3, WAIT)));
    assert!(matches!(again, Outcome::Queued { position: 0, .. }));
    assert!(is_granted(&store.ask(2, one(take("cyd", "c", 7, WAIT)))));
    store.ask(3, of("bob", "a", cancel(3)));
    let queued = store.ask(3, one(take("cyd", "b", 5, WAIT)));
    assert!(matches!(queued, Outcome::Queued { .. }), "{queued:?}");
    // A hand-over makes room as well.
    store.ask(4, of("ann", "b", release(2)));
    let queued = store.ask(4, one(take("bob", "a", 8, WAIT)));
    assert!(matches!(queued, Outcome::Queued { .. }), "{queued:?}");
}

#[test]
fn what_keeps_or_ends_a_lease_is_never_refused() {
    let mut store = Store::default();
    for (name, id) in [("a", 1), ("b", 2), ("c", 3)] {
        store.ask(0, take("ann", name, id, None));
    }
    store.ask(0, take("bob", "a", 4, WAIT));
    store.ask(0, take("cyd", "b", 5, WAIT));
    let renewed = store.ask(1, of("ann", "a", renew(1, None)));
    assert!(matches!(renewed, Outcome::Renewed(_)), "{renewed:?}");
    let transferring = store.ask(1, of("ann", "a", transfer(1, "bob", 1_000)));
    assert!(matches!(transferring, Outcome::Transferring { .. }));
    let declared = store.ask(1, of("op", "d", Action::Configure(Default::default())));
    assert_eq!(declared, Outcome::Configured);
    assert_eq!(store.ask(1, of("cyd", "b", cancel(5))), Outcome::Cancelled);
    let revoked = store.ask(1, of("op", "b", revoke(0)));
    assert!(matches!(revoked, Outcome::Revoked { .. }), "{revoked:?}");
    assert_eq!(store.ask(1, of("ann", "c", release(3))), Outcome::Released);
}

#[test]
fn locks_of_one_batch_count_together() {
    let mut store = Store::default();
    let three = |command| capped(command, Some(3), None);
    store.ask(0, take("ann", "a", 1, None));
    let batch = |names: &[&str], first: u64| {
        let takes = names.iter().zip(first..);
        let takes = takes.map(|(name, id)| three(take("ann", name, id, None)));
        takes.collect::<Vec<_>>()
    };
    let refused = store.run(1, &batch(&["b", "c", "d"], 10), Atomicity::AllOrNothing);
    assert_eq!(refused[2], reached(Cap::Locks, 3, 3));
    assert_eq!(refused[..2], [Outcome::NotAttempted, Outcome::NotAttempted]);
    assert_eq!(store.state.counts().leases, 1);
    let granted = store.run(1, &batch(&["b", "c"], 20), Atomicity::AllOrNothing);
    assert!(granted.iter().all(is_granted), "{granted:?}");
    // A repetition of the whole batch is not refused, and neither is one that shares its locks.
    let again = store.run(2, &batch(&["b", "c"], 20), Atomicity::AllOrNothing);
    assert!(again.iter().all(is_granted), "{again:?}");
    let single = store.run(3, &batch(&["e", "f"], 30), Atomicity::Each);
    assert!(single.iter().all(|o| *o == reached(Cap::Locks, 3, 3)));
}

#[test]
fn a_cap_that_was_found_reached_refuses_what_is_new_and_no_repetition() {
    let mut store = Store::default();
    let found = CapReached {
        cap: Cap::LedgerBytes,
        most: 100,
        present: 120,
    };
    let full = |command: Command| Command {
        expect: Some(Expectation {
            caps: Some(Caps {
                reached: Some(found),
                ..Caps::default()
            }),
            ..Expectation::default()
        }),
        ..command
    };
    store.ask(0, take("ann", "a", 1, None));
    store.ask(0, take("bob", "a", 2, WAIT));
    let refused = Outcome::Rejected(Rejection::CapReached(found));
    assert_eq!(store.ask(1, full(take("ann", "b", 3, None))), refused);
    assert_eq!(store.ask(1, full(take("cyd", "a", 4, WAIT))), refused);
    assert!(is_granted(&store.ask(1, full(take("ann", "a", 1, None)))));
    let again = store.ask(1, full(take("bob", "a", 2, WAIT)));
    assert!(matches!(again, Outcome::Queued { .. }), "{again:?}");
    let released = store.ask(1, full(command("ann", "x", lock("a"), release(1))));
    assert_eq!(released, Outcome::Released);
}

#[derive(Debug, Clone)]
enum Step {
    Take {
        who: usize,
        name: usize,
        waits: bool,
    },
    Give {
        lease: u64,
        who: usize,
        name: usize,
    },
    Pass(u64),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..3_usize, 0..6_usize, any::<bool>())
            .prop_map(|(who, name, waits)| Step::Take { who, name, waits }),
        3 => (1..40_u64, 0..3_usize, 0..6_usize)
            .prop_map(|(lease, who, name)| Step::Give { lease, who, name }),
        1 => (1..90_000_u64).prop_map(Step::Pass),
        1 => Just(Step::Restart),
    ]
}

/// Locks in use and waiters, counted anew.
fn counted(state: &State) -> (u64, u64) {
    let views = state
        .records()
        .map(|(lock, _)| state.view(&lock, state.now()));
    views.fold((0, 0), |(locks, waiters), view| {
        let used = !view.queue.is_empty() || !view.holders.is_empty();
        (locks + u64::from(used), waiters + view.queue.len() as u64)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is asked, at whatever times and over restarts, a namespace never has more than its
    /// caps, and is refused only if it has as much.
    #[test]
    fn a_namespace_never_has_more_than_its_caps(steps in prop::collection::vec(step(), 1..60)) {
        let (mut store, mut now, mut id) = (Store::default(), 0, 0);
        let who = ["ann", "bob", "cyd"];
        let name = |n: usize| format!("l{n}");
        for step in steps {
            match step {
                Step::Take { who: at, name: n, waits } => {
                    id += 1;
                    let wait = waits.then_some(10_000);
                    let asked = take(who[at], &name(n), id, wait);
                    let before = counted(&store.state);
                    let outcome = store.ask(now, capped(asked, Some(3), Some(2)));
                    if let Outcome::Rejected(Rejection::CapReached(reached)) = outcome {
                        prop_assert_eq!(reached.present, reached.most);
                        let had = match reached.cap { Cap::Locks => before.0, _ => before.1 };
                        prop_assert!(had >= reached.most, "{reached:?}, not {before:?}");
                    }
                }
                Step::Give { lease, who: at, name: n } => {
                    let give = command(who[at], "g", lock(&name(n)), release(lease));
                    store.ask(now, give);
                }
                Step::Pass(ms) => {
                    now += ms;
                    store.writes += 1;
                    store.state.tick(moment(now, store.writes), 100);
                }
                Step::Restart => {
                    store.state = State::from_bytes(&store.state.to_bytes()).unwrap();
                }
            }
            let (locks, waiters) = counted(&store.state);
            prop_assert!(locks <= 3 && waiters <= 2, "{locks} locks, {waiters} waiters");
        }
    }
}
