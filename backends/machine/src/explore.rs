//! An exhaustive search of a small world: a few clients, one or two locks, every order of
//! commands, time steps, lost answers and repetitions, up to a depth.
//!
//! States that differ only by the point in time, by tokens or by what has no influence on what
//! comes are searched once.

mod check;
mod world;

use std::collections::HashSet;

use leasehold_domain::Digest;
use leasehold_domain::Mode;

use self::world::World;

/// A world to search.
struct Plan {
    modes: Vec<Mode>,
    locks: usize,
    cooldown_ms: u64,
    /// The maximum of a counter that every lease carries; `None` for no counter.
    counted: Option<u32>,
    depth: usize,
}

/// What a search saw. The tests state the numbers, so that a search that silently becomes smaller
/// is noticed; a deliberate change of the world changes them.
#[derive(Debug)]
struct Visited {
    states: usize,
    steps: usize,
}

const SHARED: Mode = Mode::Shared { permits: 1 };

/// Breadth first, so that each state is reached by one of its shortest ways.
fn search(plan: &Plan) -> Visited {
    let mut seen: HashSet<Digest> = HashSet::new();
    let mut front = vec![World::new(
        &plan.modes,
        plan.locks,
        plan.cooldown_ms,
        plan.counted,
    )];
    let mut steps = 0;
    for _ in 0..plan.depth {
        let mut next = Vec::new();
        for world in front {
            for step in world.steps() {
                steps += 1;
                let after = world.after(step);
                check::safe(&after);
                let key = after.key();
                if seen.insert(key) {
                    // A sample of all states, chosen by their digest, is played to the end.
                    if key.0[0] < 8 {
                        check::live(after.clone());
                    }
                    next.push(after);
                }
            }
        }
        front = next;
    }
    front.into_iter().for_each(check::live);
    Visited {
        states: seen.len(),
        steps,
    }
}

#[test]
fn two_clients_and_one_lock() {
    let visited = search(&Plan {
        modes: vec![Mode::Exclusive; 2],
        locks: 1,
        cooldown_ms: 0,
        counted: None,
        depth: 7,
    });
    assert_eq!((visited.states, visited.steps), (162_303, 476_666));
}

#[test]
fn two_clients_and_one_lock_that_cools_down() {
    let visited = search(&Plan {
        modes: vec![Mode::Exclusive, SHARED],
        locks: 1,
        cooldown_ms: 1_000,
        counted: None,
        depth: 6,
    });
    assert_eq!((visited.states, visited.steps), (47_702, 128_418));
}

#[test]
fn three_clients_and_one_lock() {
    let visited = search(&Plan {
        modes: vec![SHARED, Mode::Exclusive, SHARED],
        locks: 1,
        cooldown_ms: 0,
        counted: None,
        depth: 5,
    });
    assert_eq!((visited.states, visited.steps), (70_702, 177_059));
}

#[test]
fn two_clients_and_two_locks() {
    let visited = search(&Plan {
        modes: vec![Mode::Exclusive; 2],
        locks: 2,
        cooldown_ms: 0,
        counted: None,
        depth: 4,
    });
    assert_eq!((visited.states, visited.steps), (35_261, 82_668));
}

#[test]
fn two_clients_and_two_locks_that_count() {
    let visited = search(&Plan {
        modes: vec![Mode::Exclusive; 2],
        locks: 2,
        cooldown_ms: 0,
        counted: Some(1),
        depth: 4,
    });
    assert_eq!((visited.states, visited.steps), (17_282, 46_227));
}

#[test]
fn three_clients_and_one_lock_that_counts() {
    let visited = search(&Plan {
        modes: vec![SHARED; 3],
        locks: 1,
        cooldown_ms: 0,
        counted: Some(1),
        depth: 5,
    });
    assert_eq!((visited.states, visited.steps), (24_334, 71_762));
}
