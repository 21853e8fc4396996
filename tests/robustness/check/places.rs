//! Who comes back in time keeps its place: nobody is granted a lock before a waiter that came
//! earlier and is still in the queue, and no waiter leaves the queue, or loses a grant that came
//! meanwhile, as long as it asked again within the slack after its poll's end.
//!
//! The ledger says in which order waiters came, left and were granted, the calls say when. A wait
//! stands, counted on any clock, from its request's sending for its poll and the slack. A call that
//! asked again lengthens that if it was certainly carried out before: it was answered, and in time.
//! A waiter left too early if a grant that the ledger has later was answered before that end.

use std::collections::HashMap;

use super::Expected;
use crate::robustness::Answer;
use crate::robustness::Ask;
use crate::robustness::Call;
use crate::robustness::Done;
use crate::robustness::History;
use crate::robustness::Ledger;
use crate::robustness::Turn;
use crate::robustness::WAITER_SLACK_US;

pub(super) fn check(history: &History, _: &Expected) -> Vec<String> {
    let mut calls: HashMap<&str, Vec<&Call>> = HashMap::new();
    for call in &history.calls {
        if matches!(call.ask, Ask::Acquire { .. }) {
            calls.entry(call.key.as_str()).or_default().push(call);
        }
    }
    for calls in calls.values_mut() {
        calls.sort_by_key(|call| call.start_us);
    }
    let mut wrong = Vec::new();
    for ledger in &history.ledgers {
        let mut locks: HashMap<&str, Vec<&Turn>> = HashMap::new();
        for turn in &ledger.turns {
            locks.entry(turn.told.lock.as_str()).or_default().push(turn);
        }
        let at = |ledger: &Ledger, how| format!("gateway {}: {how}", ledger.gateway);
        for turns in locks.values() {
            wrong.extend(overtaken(turns).into_iter().map(|how| at(ledger, how)));
            let left = left_early(turns, &calls, history);
            wrong.extend(left.into_iter().map(|how| at(ledger, how)));
        }
    }
    wrong
}

/// Grants of one lock out of turn.
fn overtaken(turns: &[&Turn]) -> Vec<String> {
    let (mut queue, mut wrong): (Vec<&Turn>, _) = (Vec::new(), Vec::new());
    for turn in turns {
        let same = |waiter: &&Turn| waiter.told.handle == turn.told.handle;
        match turn.told.change.as_str() {
            "queued" => queue.push(turn),
            "wait-ended" => queue.retain(|waiter| !same(waiter)),
            "granted" => {
                let place = queue.iter().position(same).unwrap_or(queue.len());
                let (who, cursor) = (&turn.key, turn.told.cursor);
                // Told once, by the first who went before.
                wrong.extend(queue.drain(..place).map(|before| {
                    let before = &before.key;
                    format!("{who} was granted before {before}, event {cursor}")
                }));
                queue.retain(|waiter| !same(waiter));
            }
            _ => {}
        }
    }
    wrong
}

/// Waiters of one lock that left although they had asked again in time.
fn left_early(
    turns: &[&Turn],
    calls: &HashMap<&str, Vec<&Call>>,
    history: &History,
) -> Vec<String> {
    let mut wrong = Vec::new();
    // The earliest answer to a grant that the ledger has later, and whose.
    let mut next: Option<(u64, &str)> = None;
    for turn in turns.iter().rev() {
        let asked = calls.get(turn.key.as_str()).map_or(&[][..], Vec::as_slice);
        match turn.told.change.as_str() {
            "granted" => {
                let answered = asked.iter().filter(|call| is_answer(call, turn));
                let answered = answered.map(|call| (call.end_us, turn.key.as_str()));
                next = answered.chain(next).min();
            }
            "wait-ended" | "given-back" => {
                let stands_us = stands_until(asked, history);
                if let (Some(stands_us), Some((at_us, who))) = (stands_us, next)
                    && at_us < stands_us
                {
                    let (key, change, cursor) = (&turn.key, &turn.told.change, turn.told.cursor);
                    wrong.push(format!(
                        "{key} stands until {stands_us} us, but {change} in event {cursor}, before \
                         {who} was granted at {at_us} us"
                    ));
                }
            }
            _ => {}
        }
    }
    wrong
}

fn is_answer(call: &Call, grant: &Turn) -> bool {
    matches!(call.answer, Answer::Ok(Done::Granted { token, .. }) if Some(token) == grant.told.token)
}

/// Until when a waiter certainly stands, by the calls that asked for it; none if it need not: it
/// only tried, or a gateway may have noticed that its client was gone, and have taken its place.
fn stands_until(calls: &[&Call], history: &History) -> Option<u64> {
    let mut until_us = None;
    for call in calls {
        let Ask::Acquire { wait_ms, .. } = call.ask else {
            continue;
        };
        if wait_ms == 0 {
            return None;
        }
        // Whichever of them found the place empty: none was sent before the first.
        let stands_us = call.start_us + wait_ms * 1_000 + WAITER_SLACK_US;
        let until = *until_us.get_or_insert(stands_us);
        match &call.answer {
            Answer::Failed { code, .. } if code == "connect" => {}
            // A gateway that has lost sight of a place ends the poll before its time, and the
            // slack counts from then.
            Answer::Failed { code, .. } if code == "held" => {
                if call.end_us < call.start_us + wait_ms * 1_000 {
                    return None;
                }
                if call.end_us <= until {
                    until_us = Some(until.max(stands_us));
                }
            }
            // From here on its lease is its own.
            Answer::Ok(_) => return until_us,
            Answer::Unknown { .. } if was_killed(call, history) => {}
            Answer::Failed { .. } | Answer::Unknown { .. } => return None,
        }
    }
    until_us
}

/// Whether the gateway of a call was killed while it was under way: then it cancelled nothing.
fn was_killed(call: &Call, history: &History) -> bool {
    history.faults.iter().any(|fault| {
        let place = fault.target.rsplit(' ').next();
        fault.kind == "kill"
            && place.and_then(|place| place.parse().ok()) == Some(call.gateway)
            && (call.start_us..=call.end_us).contains(&fault.start_us)
    })
}

#[cfg(test)]
mod tests {
    use super::super::scene::*;
    use super::*;
    use crate::robustness::Fault;
    use crate::robustness::Told;

    /// In the order of events: who, and what; a grant has the event's place as its token.
    fn ledger(turns: &[(&str, &str)]) -> Ledger {
        let turn = |(cursor, (key, change)): (u64, &(&str, &str))| Turn {
            key: (*key).to_owned(),
            told: Told {
                cursor,
                lock: "l".to_owned(),
                change: (*change).to_owned(),
                handle: Some((*key).to_owned()),
                token: (*change == "granted").then_some(cursor),
            },
        };
        Ledger {
            turns: (1..).zip(turns).map(turn).collect(),
            ..Ledger::default()
        }
    }

    fn wrong(calls: Vec<Call>, turns: &[(&str, &str)], faults: Vec<Fault>) -> usize {
        let mut history = history(calls);
        history.ledgers = vec![ledger(turns)];
        history.faults = faults;
        check(&history, &Expected::default()).len()
    }

    /// `a` loses its place, and `b`, which came later, is granted the lock.
    const LOST: [(&str, &str); 4] = [
        ("a", "queued"),
        ("b", "queued"),
        ("a", "wait-ended"),
        ("b", "granted"),
    ];

    /// Until 2,500 ms at the least.
    fn first() -> Call {
        waited_in_vain("a", 0, 500)
    }

    #[test]
    fn a_grant_out_of_turn_is_found() {
        let turns = [("a", "queued"), ("b", "queued"), ("b", "granted")];
        assert_eq!(wrong(Vec::new(), &turns, Vec::new()), 1);
        let turns = [("a", "queued"), ("b", "granted"), ("a", "granted")];
        assert_eq!(wrong(Vec::new(), &turns, Vec::new()), 1);
        let turns = [("a", "queued"), ("b", "queued"), ("a", "granted")];
        assert_eq!(wrong(Vec::new(), &turns, Vec::new()), 0);
        assert_eq!(wrong(Vec::new(), &LOST, Vec::new()), 0, "a has left");
    }

    #[test]
    fn whoever_asked_again_in_time_and_lost_its_place_is_found() {
        let again = |end| waited_in_vain("a", 600, end);
        let lost = |calls, at| {
            let mut calls: Vec<Call> = calls;
            calls.push(granted("b", 4, 100, at));
            wrong(calls, &LOST, Vec::new())
        };
        assert_eq!(lost(vec![first()], 2_400), 1, "in its slack");
        assert_eq!(lost(vec![first()], 2_600), 0, "did not come back");
        assert_eq!(lost(vec![first(), again(1_100)], 3_000), 1);
        assert_eq!(lost(vec![first(), again(1_100)], 3_200), 0);
        assert_eq!(lost(vec![first(), again(2_600)], 3_000), 0, "perhaps late");
        let gone = vec![first(), lost_wait("a", 600, 700)];
        assert_eq!(lost(gone, 2_400), 0, "its gateway may have noticed");
    }

    #[test]
    fn a_gateway_that_was_killed_takes_no_place_with_it() {
        let fault = |place: u32| Fault {
            kind: "kill".to_owned(),
            target: format!("Leader = {place}"),
            start_us: 300_000,
            end_us: 5_000_000,
        };
        let calls = || {
            vec![
                lost_wait("a", 0, 310),
                waited_in_vain("a", 400, 900),
                granted("b", 4, 100, 2_700),
            ]
        };
        assert_eq!(wrong(calls(), &LOST, vec![fault(0)]), 1);
        assert_eq!(wrong(calls(), &LOST, vec![fault(1)]), 0, "it lives");
    }

    #[test]
    fn a_grant_that_came_meanwhile_is_kept() {
        let turns = [
            ("a", "queued"),
            ("a", "granted"),
            ("a", "given-back"),
            ("b", "granted"),
        ];
        let calls = |at| vec![first(), granted("b", 4, 100, at)];
        assert_eq!(wrong(calls(2_400), &turns, Vec::new()), 1);
        assert_eq!(wrong(calls(2_600), &turns, Vec::new()), 0);
    }
}
