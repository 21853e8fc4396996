//! Tokens grow: a grant that began after another was answered has a greater one, and no two leases
//! have the same.

use std::collections::HashMap;

use super::Expected;
use super::locks;
use crate::robustness::Call;
use crate::robustness::History;

pub(super) fn check(history: &History, _: &Expected) -> Vec<String> {
    let mut wrong = Vec::new();
    for lock in locks(history) {
        let calls = history.calls.iter().filter(|c| c.lock == lock);
        let grants: Vec<(&Call, u64)> = calls
            .filter_map(|call| Some((call, call.promised()?.0)))
            .collect();
        wrong.extend(order(lock, &grants));
        let mut owners: HashMap<u64, &str> = HashMap::new();
        for (call, token) in &grants {
            let owner = *owners.entry(*token).or_insert(&call.key);
            if owner != call.key {
                wrong.push(format!(
                    "{lock}: token {token} is {owner}'s and {}'s",
                    call.key
                ));
            }
        }
    }
    wrong
}

fn order(lock: &str, grants: &[(&Call, u64)]) -> Vec<String> {
    let mut by_start = grants.to_vec();
    by_start.sort_by_key(|(call, _)| call.start_us);
    let mut by_end = grants.to_vec();
    by_end.sort_by_key(|(call, _)| call.end_us);
    let (mut ended, mut newest, mut wrong) = (by_end.iter().peekable(), 0, Vec::new());
    for (call, token) in by_start {
        while let Some((_, before)) = ended.next_if(|(c, _)| c.end_us < call.start_us) {
            newest = newest.max(*before);
        }
        // Renewals and repetitions have the newest, grants a newer one; the rest of the checks
        // tells them apart.
        if token < newest {
            wrong.push(format!(
                "{lock}: {} got {token} at {} us, after {newest}",
                call.key, call.end_us
            ));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::super::scene::*;
    use super::*;

    fn wrong(calls: Vec<Call>) -> usize {
        check(&history(calls), &Expected::default()).len()
    }

    #[test]
    fn a_smaller_or_the_same_token_is_found() {
        let calls = |first, second| {
            vec![
                granted("a", first, 0, 10),
                released("a", 20, 30),
                granted("b", second, 40, 50),
            ]
        };
        assert_eq!(wrong(calls(1, 2)), 0);
        assert_eq!(wrong(calls(2, 1)), 1);
        assert_eq!(wrong(calls(2, 2)), 1);
    }

    #[test]
    fn at_the_same_time_either_may_be_first() {
        assert_eq!(
            wrong(vec![granted("a", 2, 0, 50), granted("b", 1, 20, 60)]),
            0
        );
    }
}
