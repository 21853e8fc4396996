//! Who comes back in time keeps its place: nobody is granted a lock before a waiter that came
//! earlier and is there, and no waiter leaves the queue, or loses a grant that came meanwhile, as
//! long as it asked again within the slack after its poll's end.
//!
//! The ledger says in which order waiters came, left and were granted, the calls say when. A wait
//! stands, counted on any clock, from its request's sending for its poll and the slack. A call that
//! asked again lengthens that if it was certainly carried out before: it was answered, and in time.
//! A waiter left too early if a grant that the ledger has later was answered before that end.
//!
//! A waiter is there as long as its poll lasts; between two polls it may be passed over. A grant was
//! out of turn if it was answered before the end of the first poll of a waiter that came earlier:
//! when a later poll began is not known so well.

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
            let overtaken = overtaken(turns, &calls, history);
            wrong.extend(overtaken.into_iter().map(|how| at(ledger, how)));
            let left = left_early(turns, &calls, history);
            wrong.extend(left.into_iter().map(|how| at(ledger, how)));
        }
    }
    wrong
}

/// Grants of one lock out of turn.
fn overtaken(turns: &[&Turn], calls: &HashMap<&str, Vec<&Call>>, history: &History) -> Vec<String> {
    let asked = |turn: &Turn| calls.get(turn.key.as_str()).map_or(&[][..], Vec::as_slice);
    let same = |a: &Turn, b: &Turn| a.told.handle == b.told.handle;
    let (mut queue, mut wrong): (Vec<&Turn>, _) = (Vec::new(), Vec::new());
    for turn in turns {
        match turn.told.change.as_str() {
            "queued" => queue.push(turn),
            "wait-ended" => queue.retain(|waiter| !same(waiter, turn)),
            "granted" => {
                let answered = asked(turn).iter().filter(|call| is_answer(call, turn));
                let answered_us = answered.map(|call| call.end_us).min();
                let was_there = |waiter: &Turn, at_us| {
                    there_until(asked(waiter), history).is_some_and(|until_us| at_us < until_us)
                };
                let place = queue.iter().position(|waiter| same(waiter, turn));
                let before = &queue[..place.unwrap_or(queue.len())];
                if let Some(at_us) = answered_us
                    && let Some(first) = before.iter().position(|w| was_there(w, at_us))
                {
                    // Told once, by the first who went before.
                    let (who, before, cursor) = (&turn.key, queue.remove(first), turn.told.cursor);
                    wrong.push(format!(
                        "{who} was granted before {}, which was there, in event {cursor}, answered \
                         at {at_us} us",
                        before.key
                    ));
                }
                queue.retain(|waiter| !same(waiter, turn));
            }
            _ => {}
        }
    }
    wrong
}

/// The end of a waiter's first poll, if that was certainly not given up before.
fn there_until(calls: &[&Call], history: &History) -> Option<u64> {
    let refused =
        |call: &&&Call| matches!(&call.answer, Answer::Failed { code, .. } if code == "connect");
    let call = calls.iter().find(|call| !refused(call))?;
    let Ask::Acquire { wait_ms, .. } = call.ask else {
        return None;
    };
    let end_us = call.start_us + wait_ms * 1_000;
    let lasted = match &call.answer {
        Answer::Ok(_) => true,
        Answer::Failed { code, .. } => code == "held" && call.end_us >= end_us,
        Answer::Unknown { .. } => was_killed(call, history),
    };
    lasted.then_some(end_us)
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
        let late = [("a", "queued"), ("b", "queued"), ("b", "granted")];
        let new = [("a", "queued"), ("b", "granted"), ("a", "granted")];
        let granted_at = |polled, token, at| vec![polled, granted("b", token, 100, at)];
        let whole = || waited_in_vain("a", 0, 500);
        assert_eq!(wrong(granted_at(whole(), 3, 499), &late, Vec::new()), 1);
        assert_eq!(wrong(granted_at(whole(), 2, 499), &new, Vec::new()), 1);
        assert_eq!(wrong(granted_at(whole(), 3, 500), &late, Vec::new()), 0);
        // Its gateway had lost sight of the place, or of the client.
        for given_up in [waited_in_vain("a", 0, 400), lost_wait("a", 0, 499)] {
            assert_eq!(wrong(granted_at(given_up, 3, 499), &late, Vec::new()), 0);
        }
        let turns = [("a", "queued"), ("b", "queued"), ("a", "granted")];
        let calls = vec![whole(), granted("a", 3, 100, 499)];
        assert_eq!(wrong(calls, &turns, Vec::new()), 0);
        assert_eq!(wrong(vec![whole()], &LOST, Vec::new()), 0, "a has left");
    }

    #[test]
    fn a_waiter_of_a_killed_gateway_is_there_until_its_polls_end() {
        let turns = [("a", "queued"), ("b", "queued"), ("b", "granted")];
        let calls = |at| vec![lost_wait("a", 0, 310), granted("b", 3, 100, at)];
        let kill = || Fault {
            kind: "kill".to_owned(),
            target: "Leader = 0".to_owned(),
            start_us: 300_000,
            end_us: 5_000_000,
        };
        assert_eq!(wrong(calls(499), &turns, vec![kill()]), 1);
        assert_eq!(wrong(calls(501), &turns, vec![kill()]), 0);
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
