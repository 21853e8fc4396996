//! A dead holder's lock is granted again: within its ttl and the failover bound, counted while
//! nothing is broken.

use super::Expected;
use crate::robustness::Answer;
use crate::robustness::Ask;
use crate::robustness::Call;
use crate::robustness::Done;
use crate::robustness::FAILOVER_BOUND_US;
use crate::robustness::History;
use crate::robustness::is_contended;

pub(super) fn check(history: &History, _: &Expected) -> Vec<String> {
    let last_us = history.calls.iter().map(|call| call.end_us).max();
    let last_us = last_us.unwrap_or_default();
    let mut wrong = Vec::new();
    for call in abandoned(history) {
        let Some((token, _)) = call.promised() else {
            continue;
        };
        let lasts_us = call.promised().map_or(0, |p| p.1 - call.start_us);
        let due_us = deadline(history, call.end_us + lasts_us);
        let calls = history.calls.iter().filter(|c| c.lock == call.lock);
        let next = calls
            .filter(|c| shows(c).is_some_and(|other| other > token))
            .map(|c| c.end_us)
            .min();
        // Near its end a run cannot tell.
        if due_us < last_us && next.is_none_or(|at| at > due_us) {
            wrong.push(format!(
                "{}: {} died with token {token} at {} us; granted again at {next:?}, due {due_us}",
                call.lock, call.key, call.end_us
            ));
        }
    }
    wrong
}

/// The token of a lease that an answer is, or tells of.
fn shows(call: &Call) -> Option<u64> {
    let told = call.promised().map(|(token, _)| token);
    let seen = match &call.answer {
        Answer::Failed { seen, .. } => seen.as_ref(),
        Answer::Ok(Done::Viewed { holder }) => holder.as_ref(),
        Answer::Ok(_) | Answer::Unknown { .. } => None,
    };
    told.or(seen.map(|seen| seen.token))
}

/// The last answers about leases of contended locks that were never given back.
fn abandoned(history: &History) -> Vec<&Call> {
    let mut last: std::collections::BTreeMap<&str, Option<&Call>> = Default::default();
    for call in history.calls.iter().filter(|c| is_contended(&c.lock)) {
        let known = last.entry(call.key.as_str()).or_default();
        if call.promised().is_some() {
            *known = Some(call);
        }
    }
    for call in &history.calls {
        if matches!(call.ask, Ask::Release) {
            last.remove(call.key.as_str());
        }
    }
    last.into_values().flatten().collect()
}

/// When the failover bound has passed since `from_us`, without a fault in between.
fn deadline(history: &History, from_us: u64) -> u64 {
    let mut from_us = from_us;
    let mut faults: Vec<(u64, u64)> = history
        .faults
        .iter()
        .map(|f| (f.start_us, f.end_us))
        .collect();
    faults.sort_unstable();
    for (start_us, end_us) in faults {
        if start_us < from_us + FAILOVER_BOUND_US {
            from_us = from_us.max(end_us);
        }
    }
    from_us + FAILOVER_BOUND_US
}

#[cfg(test)]
mod tests {
    use super::super::scene::*;
    use super::*;
    use crate::robustness::Fault;

    fn wrong(again_ms: u64, faults: Vec<Fault>) -> usize {
        let mut calls = vec![
            granted("a", 1, 0, 10),
            granted("b", 2, again_ms - 10, again_ms),
            released("b", again_ms + 60_000, again_ms + 60_001),
        ];
        for call in &mut calls {
            call.lock = "contended-0".to_owned();
        }
        let mut history = history(calls);
        history.faults = faults;
        check(&history, &Expected::default()).len()
    }

    #[test]
    fn a_lock_that_stays_with_the_dead_is_found() {
        let bound_ms = FAILOVER_BOUND_US / 1_000;
        assert_eq!(wrong(1_000 + bound_ms, Vec::new()), 0);
        assert_eq!(wrong(1_020 + bound_ms, Vec::new()), 1);
    }

    #[test]
    fn the_bound_counts_from_the_healing() {
        let fault = Fault {
            kind: "kill".to_owned(),
            target: String::new(),
            start_us: 500_000,
            end_us: 8_000_000,
        };
        let bound_ms = FAILOVER_BOUND_US / 1_000;
        assert_eq!(wrong(7_900 + bound_ms, vec![fault.clone()]), 0);
        assert_eq!(wrong(8_100 + bound_ms, vec![fault]), 1);
    }
}
