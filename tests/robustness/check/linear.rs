//! Linearizability of each lock: is there an order of all calls, each at an instant within its own
//! time, in which the model of a lock gives every answer?
//!
//! The search goes through the history in time and keeps every state that is still possible
//! (Wing and Gong, with Lowe's just-in-time order): a call is given its place only when its end
//! demands one, together with those that must come before it.

use std::collections::BTreeSet;
use std::collections::HashSet;

use super::Expected;
use super::locks;
use super::model::Open;
use super::model::State;
use super::model::apply;
use super::model::tells;
use crate::robustness::Call;
use crate::robustness::History;

/// States that are kept at once at the most. A run that needs more cannot be judged, and fails.
const STATES_MAX: usize = 200_000;

/// What is possible: the lock's state, and which of the calls under way have taken effect.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
struct Possible {
    state: State,
    done: BTreeSet<usize>,
}

pub(super) fn check(history: &History, _: &Expected) -> Vec<String> {
    let mut wrong = Vec::new();
    for lock in locks(history) {
        let calls: Vec<&Call> = history.calls.iter().filter(|c| c.lock == lock).collect();
        wrong.extend(search(lock, &calls).err());
    }
    wrong
}

fn search(lock: &str, calls: &[&Call]) -> Result<(), String> {
    let open = Open::of(calls);
    let telling: Vec<&Call> = calls.iter().copied().filter(|c| tells(c)).collect();
    let mut moments: Vec<(u64, bool, usize)> = Vec::new();
    for (at, call) in telling.iter().enumerate() {
        moments.push((call.start_us, false, at));
        moments.push((call.end_us, true, at));
    }
    // At one instant starts come first: such calls overlap.
    moments.sort_unstable();
    let mut possible = HashSet::from([Possible::default()]);
    let mut under_way = BTreeSet::new();
    for (_, ends, at) in moments {
        if !ends {
            under_way.insert(at);
            continue;
        }
        let before = possible.clone();
        possible = place(possible, at, &under_way, &telling, &open);
        under_way.remove(&at);
        if possible.is_empty() {
            return Err(explain(lock, telling[at], &before, &telling));
        }
        if possible.len() > STATES_MAX {
            return Err(format!("{lock}: more than {STATES_MAX} states to keep"));
        }
    }
    Ok(())
}

/// All that is possible once the call `at` has taken effect.
fn place(
    possible: HashSet<Possible>,
    at: usize,
    under_way: &BTreeSet<usize>,
    calls: &[&Call],
    open: &Open,
) -> HashSet<Possible> {
    let mut placed = HashSet::new();
    let mut met: HashSet<Possible> = HashSet::new();
    let mut stack: Vec<Possible> = possible.into_iter().collect();
    while let Some(mut now) = stack.pop() {
        if met.len() > STATES_MAX {
            break;
        }
        if now.done.remove(&at) {
            placed.insert(now);
            continue;
        }
        for next in under_way.difference(&now.done) {
            let Some(state) = apply(&now.state, calls[*next], open) else {
                continue;
            };
            let mut done = now.done.clone();
            done.insert(*next);
            let then = Possible { state, done };
            if met.insert(then.clone()) {
                stack.push(then);
            }
        }
    }
    fewest(placed)
}

/// Of states that differ only in time, those of which none is at least as early as another.
fn fewest(placed: HashSet<Possible>) -> HashSet<Possible> {
    let mut kept: Vec<Possible> = Vec::new();
    let mut all: Vec<Possible> = placed.into_iter().collect();
    all.sort_by_key(|p| (p.state.now_us, p.state.holder.as_ref().map(|h| h.until_us)));
    for one in all {
        if !kept.iter().any(|other| is_as_early(other, &one)) {
            kept.push(one);
        }
    }
    kept.into_iter().collect()
}

fn is_as_early(other: &Possible, one: &Possible) -> bool {
    let holder = |p: &Possible| {
        let holder = p.state.holder.clone();
        holder.map(|h| (h.key, h.token, h.told))
    };
    let until = |p: &Possible| p.state.holder.as_ref().map(|h| h.until_us);
    other.done == one.done
        && other.state.token == one.state.token
        && holder(other) == holder(one)
        && other.state.now_us <= one.state.now_us
        && until(other) <= until(one)
}

fn explain(lock: &str, call: &Call, before: &HashSet<Possible>, calls: &[&Call]) -> String {
    let states: Vec<String> = before
        .iter()
        .take(3)
        .map(|p| format!("{:?}", p.state))
        .collect();
    let mut near: Vec<&&Call> = calls
        .iter()
        .filter(|c| c.end_us <= call.end_us && c.end_us + 5_000_000 > call.start_us)
        .collect();
    near.sort_by_key(|c| c.end_us);
    let near: Vec<String> = near.iter().rev().take(12).map(|c| line(c)).collect();
    format!(
        "{lock}: no order of the calls explains {}\n  the lock before: {}\n  calls that ended before, newest first:\n    {}",
        line(call),
        states.join(" or "),
        near.join("\n    ")
    )
}

fn line(call: &Call) -> String {
    format!(
        "{}..{} us client {} at gateway {} {:?} {} -> {:?}",
        call.start_us, call.end_us, call.client, call.gateway, call.ask, call.key, call.answer
    )
}

#[cfg(test)]
mod tests {
    use super::super::scene::*;
    use super::*;

    fn holds(calls: Vec<Call>) -> bool {
        check(&history(calls), &Expected::default()).is_empty()
    }

    #[test]
    fn one_after_the_other_is_right() {
        assert!(holds(vec![
            granted("a", 1, 0, 10),
            busy("x", seen("a", 1), 20, 30),
            renewed("a", 1, 40, 50),
            released("a", 60, 70),
            granted("b", 2, 80, 90),
            validated(1, false, 95, 99),
            viewed(seen("b", 2), 100, 110),
        ]));
    }

    #[test]
    fn two_at_once_are_wrong() {
        assert!(!holds(vec![
            granted("a", 1, 0, 10),
            granted("b", 2, 20, 30)
        ]));
        // By time the second may be granted, but not before.
        assert!(holds(vec![
            granted("a", 1, 0, 10),
            granted("b", 2, 900, 1_001)
        ]));
        assert!(!holds(vec![
            granted("a", 1, 0, 10),
            renewed("a", 1, 500, 510),
            granted("b", 2, 900, 1_100)
        ]));
    }

    #[test]
    fn calls_at_the_same_time_may_come_in_any_order() {
        assert!(holds(vec![
            granted("a", 1, 0, 10),
            released("a", 100, 200),
            granted("b", 2, 90, 150),
            busy("x", seen("a", 1), 95, 180),
        ]));
        assert!(!holds(vec![
            granted("a", 1, 0, 10),
            released("a", 100, 200),
            granted("b", 2, 90, 150),
            // It began after the grant was answered.
            busy("x", seen("a", 1), 160, 180),
        ]));
    }

    #[test]
    fn a_stale_answer_is_wrong() {
        let calls = |view| {
            vec![
                granted("a", 1, 0, 10),
                released("a", 20, 30),
                viewed(view, 40, 50),
            ]
        };
        assert!(holds(calls(None)));
        assert!(!holds(calls(seen("a", 1))));
        assert!(!holds(vec![granted("a", 1, 0, 10), viewed(None, 20, 30)]));
        assert!(!holds(vec![
            granted("a", 1, 0, 10),
            validated(1, false, 20, 30)
        ]));
    }

    #[test]
    fn a_lost_call_may_take_effect_later_or_never() {
        let view = |view| {
            vec![
                lost_acquire("a", 0, 10),
                viewed(None, 20, 30),
                viewed(view, 40, 50),
            ]
        };
        assert!(holds(view(None)));
        assert!(holds(view(seen("a", 1))));
        assert!(!holds(view(seen("nobody", 1))));
        assert!(holds(vec![
            granted("a", 1, 0, 10),
            lost_release("a", 20, 30),
            busy("x", seen("a", 1), 40, 50),
            granted("b", 2, 60, 70),
        ]));
        // What was answered "not done" is not done; a wait keeps its place.
        assert!(!holds(vec![
            busy("a", None, 0, 10),
            viewed(seen("a", 1), 40, 50)
        ]));
        assert!(holds(vec![
            waited_in_vain("a", 0, 10),
            viewed(seen("a", 1), 40, 50)
        ]));
    }

    #[test]
    fn a_repeated_acquire_finds_the_lease_that_was_lost() {
        assert!(holds(vec![
            lost_acquire("a", 0, 10),
            repeated("a", 1, 20, 30),
            released("a", 40, 50),
            lost_release("a", 55, 60),
            released("a", 70, 80),
        ]));
        assert!(!holds(vec![
            lost_acquire("a", 0, 10),
            granted("b", 2, 20, 30),
            repeated("a", 1, 40, 50)
        ]));
    }

    #[test]
    fn a_token_that_does_not_grow_is_wrong() {
        assert!(!holds(vec![
            granted("a", 2, 0, 10),
            released("a", 20, 30),
            granted("b", 2, 40, 50)
        ]));
    }

    #[test]
    fn a_lease_that_is_lost_early_is_wrong() {
        assert!(!holds(vec![
            granted("a", 1, 0, 10),
            too_late("a", 500, 600)
        ]));
        assert!(holds(vec![
            granted("a", 1, 0, 10),
            too_late("a", 500, 1_000)
        ]));
    }
}
