//! Every grant that was answered is in the ledger, exactly once, nothing in it was invented, and
//! gateways that share a ledger have the same.

use std::collections::HashMap;
use std::collections::HashSet;

use super::Expected;
use crate::robustness::Answer;
use crate::robustness::Ask;
use crate::robustness::Done;
use crate::robustness::History;

pub(super) fn check(history: &History, expected: &Expected) -> Vec<String> {
    let mut wrong = Vec::new();
    if history.ledgers.is_empty() {
        wrong.push("no ledger was read".to_owned());
    }
    let asked: HashSet<&str> = history
        .calls
        .iter()
        .filter(|call| matches!(call.ask, Ask::Acquire { .. }))
        .map(|call| call.key.as_str())
        .collect();
    for ledger in &history.ledgers {
        let at = ledger.gateway;
        if !ledger.intact {
            wrong.push(format!("the ledger of gateway {at} does not verify"));
        }
        let mut times: HashMap<(&str, u64), usize> = HashMap::new();
        for (key, token) in &ledger.grants {
            *times.entry((key.as_str(), *token)).or_default() += 1;
            if !asked.contains(key.as_str()) {
                wrong.push(format!("gateway {at}: nobody asked for {key}"));
            }
        }
        for ((key, token), times) in &times {
            if *times > 1 {
                wrong.push(format!("gateway {at}: {key} got {token} {times} times"));
            }
        }
        for call in &history.calls {
            if let Answer::Ok(Done::Granted { token, .. }) = call.answer
                && !times.contains_key(&(call.key.as_str(), token))
            {
                wrong.push(format!(
                    "gateway {at}: {} was told of {token} at {} us, and it is not in the ledger",
                    call.key, call.end_us
                ));
            }
        }
    }
    if expected.one_ledger {
        wrong.extend(differences(history));
    }
    wrong
}

fn differences(history: &History) -> Vec<String> {
    let mut wrong = Vec::new();
    for pair in history.ledgers.windows(2) {
        let [one, other] = pair else { continue };
        if one.rows == other.rows {
            continue;
        }
        let rows = one.rows.iter().zip(&other.rows);
        let place = rows.take_while(|(one, other)| one == other).count();
        wrong.push(format!(
            "the ledgers of gateways {} and {} ({} and {} events) differ from event {} on",
            one.gateway,
            other.gateway,
            one.rows.len(),
            other.rows.len(),
            place + 1
        ));
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::super::scene;
    use super::*;
    use crate::robustness::Ledger;

    fn wrong(change: impl FnOnce(&mut History)) -> usize {
        let mut history = scene::history(vec![
            scene::granted("a", 1, 0, 10),
            scene::lost_acquire("b", 20, 30),
        ]);
        let ledger = |gateway| Ledger {
            gateway,
            rows: vec![7, 8],
            grants: vec![("a".to_owned(), 1), ("b".to_owned(), 2)],
            intact: true,
            turns: Vec::new(),
        };
        history.ledgers = vec![ledger(0), ledger(1)];
        change(&mut history);
        let expected = Expected {
            one_ledger: true,
            ..Expected::default()
        };
        check(&history, &expected).len()
    }

    #[test]
    fn a_ledger_with_all_grants_once_is_right() {
        assert_eq!(wrong(|_| {}), 0);
        assert_eq!(wrong(|h| h.ledgers[0].grants.truncate(1)), 0, "b is open");
    }

    #[test]
    fn what_is_missing_doubled_invented_or_different_is_found() {
        assert_eq!(wrong(|h| h.ledgers[0].grants.clear()), 1);
        assert_eq!(wrong(|h| h.ledgers[0].grants.push(("a".to_owned(), 1))), 1);
        assert_eq!(wrong(|h| h.ledgers[0].grants.push(("x".to_owned(), 1))), 1);
        assert_eq!(wrong(|h| h.ledgers[1].rows.push(9)), 1);
        assert_eq!(wrong(|h| h.ledgers[1].intact = false), 1);
        assert_eq!(wrong(|h| h.ledgers.clear()), 1);
    }
}
