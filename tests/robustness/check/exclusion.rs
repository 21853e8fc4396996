//! No two holders at once: the times in which a holder may be certain of its lease do not overlap.

use std::collections::BTreeMap;

use super::Expected;
use super::locks;
use crate::robustness::Answer;
use crate::robustness::Ask;
use crate::robustness::Call;
use crate::robustness::Done;
use crate::robustness::History;

/// When one lease's holder is certain of it.
#[derive(Debug, Clone, Copy)]
struct Certain {
    token: u64,
    from_us: u64,
    until_us: u64,
}

pub(super) fn check(history: &History, _: &Expected) -> Vec<String> {
    let mut wrong = Vec::new();
    for lock in locks(history) {
        let calls: Vec<&Call> = history.calls.iter().filter(|c| c.lock == lock).collect();
        let mut certain = certain(&calls);
        certain.sort_by_key(|c| (c.from_us, c.token));
        let mut latest: Option<Certain> = None;
        for now in certain {
            if let Some(before) =
                latest.filter(|b| b.until_us > now.from_us && b.token != now.token)
            {
                wrong.push(format!("{lock}: {before:?} and {now:?}"));
            }
            if latest.is_none_or(|l| l.until_us < now.until_us) {
                latest = Some(now);
            }
        }
    }
    wrong
}

/// From each answer on, until the time is over that it promised, or a release or a later answer
/// about the lease was sent.
fn certain(calls: &[&Call]) -> Vec<Certain> {
    let mut leases: BTreeMap<(&str, u64), Vec<Certain>> = BTreeMap::new();
    for call in calls {
        if let Some((token, until_us)) = call.promised() {
            let spans = leases.entry((call.key.as_str(), token)).or_default();
            spans.push(Certain {
                token,
                from_us: call.end_us,
                until_us,
            });
        }
    }
    let releases = calls.iter().filter(|c| matches!(c.ask, Ask::Release));
    let mut given_back: BTreeMap<&str, u64> = BTreeMap::new();
    for call in releases {
        let first = given_back.entry(call.key.as_str()).or_insert(u64::MAX);
        *first = (*first).min(call.start_us);
    }
    let mut all = Vec::new();
    for ((key, _), spans) in leases {
        let end = given_back.get(key).copied().unwrap_or(u64::MAX);
        for mut span in spans {
            span.until_us = span.until_us.min(end);
            if span.until_us > span.from_us {
                all.push(span);
            }
        }
    }
    all
}

/// Whether the call shows a lease that somebody was told of.
pub(super) fn is_grant(call: &Call) -> bool {
    matches!(call.answer, Answer::Ok(Done::Granted { .. }))
}

#[cfg(test)]
mod tests {
    use super::super::scene::*;
    use super::*;

    fn wrong(calls: Vec<Call>) -> usize {
        check(&history(calls), &Expected::default()).len()
    }

    #[test]
    fn leases_that_overlap_are_found() {
        assert_eq!(
            wrong(vec![granted("a", 1, 0, 10), granted("b", 2, 500, 600)]),
            1
        );
        assert_eq!(
            wrong(vec![granted("a", 1, 0, 10), granted("b", 2, 500, 1_000)]),
            0
        );
        let renewed = vec![
            granted("a", 1, 0, 10),
            renewed("a", 1, 800, 810),
            granted("b", 2, 900, 1_100),
        ];
        assert_eq!(wrong(renewed), 1);
    }

    #[test]
    fn whoever_gives_back_is_not_certain_any_more() {
        let calls = vec![
            granted("a", 1, 0, 10),
            lost_release("a", 20, 5_000),
            granted("b", 2, 30, 40),
        ];
        assert_eq!(wrong(calls), 0);
    }
}
