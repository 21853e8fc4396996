//! No lease ends early: until the time is over that its last answer promised, no answer says that
//! it has ended, and no other is granted, unless it was given back.

use super::Expected;
use super::exclusion::is_grant;
use super::locks;
use crate::robustness::Answer;
use crate::robustness::Ask;
use crate::robustness::Call;
use crate::robustness::Done;
use crate::robustness::History;

pub(super) fn check(history: &History, _: &Expected) -> Vec<String> {
    let mut wrong = Vec::new();
    for lock in locks(history) {
        let mut calls: Vec<&Call> = history.calls.iter().filter(|c| c.lock == lock).collect();
        calls.sort_by_key(|call| call.end_us);
        for promise in calls.iter().filter(|call| call.promised().is_some()) {
            wrong.extend(broken(promise, &calls).map(|how| format!("{lock}: {how}")));
        }
    }
    wrong
}

/// What breaks a promise; `calls` by their ends.
fn broken(promise: &Call, calls: &[&Call]) -> Option<String> {
    let (token, until_us) = promise.promised()?;
    let given_back = calls
        .iter()
        .filter(|c| c.key == promise.key && matches!(c.ask, Ask::Release))
        .map(|c| c.start_us)
        .min();
    let until_us = until_us.min(given_back.unwrap_or(u64::MAX));
    let from = calls.partition_point(|call| call.end_us < promise.start_us);
    let to = calls.partition_point(|call| call.end_us < until_us);
    let breach = calls.get(from..to)?.iter().find(|call| {
        // It has taken effect before its answer, and must have after the promise.
        let after = call.start_us > promise.end_us || call.promised().is_some_and(|p| p.0 > token);
        after && denies(call, promise, token)
    })?;
    Some(format!(
        "{} (token {token}) lasts until {until_us} us, but {:?} at {} us -> {:?}",
        promise.key, breach.ask, breach.end_us, breach.answer
    ))
}

fn denies(call: &Call, promise: &Call, token: u64) -> bool {
    match &call.answer {
        Answer::Failed { code, .. } => {
            let about = matches!(call.ask, Ask::Renew { .. } | Ask::Release);
            about && call.key == promise.key && (code == "lease_ended" || code == "lease_lost")
        }
        Answer::Ok(Done::Validated { current: false }) => call.ask == Ask::Validate { token },
        Answer::Ok(Done::Viewed { holder }) => holder.as_ref().is_none_or(|h| h.token != token),
        Answer::Ok(_) => is_grant(call) && call.promised().is_some_and(|p| p.0 > token),
        Answer::Unknown { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::scene::*;
    use super::*;

    fn wrong(then: Call) -> usize {
        let calls = vec![granted("a", 1, 0, 10), then];
        check(&history(calls), &Expected::default()).len()
    }

    #[test]
    fn every_sign_of_an_early_end_is_found() {
        assert_eq!(wrong(too_late("a", 500, 900)), 1);
        assert_eq!(wrong(validated(1, false, 500, 900)), 1);
        assert_eq!(wrong(viewed(None, 500, 900)), 1);
        assert_eq!(wrong(granted("b", 2, 500, 900)), 1);
        assert_eq!(wrong(too_late("a", 500, 999)), 1);
    }

    #[test]
    fn an_end_in_time_is_none() {
        assert_eq!(wrong(too_late("a", 500, 1_000)), 0);
        assert_eq!(wrong(granted("b", 2, 500, 1_000)), 0);
        assert_eq!(wrong(viewed(seen("a", 1), 500, 900)), 0);
        let calls = vec![
            granted("a", 1, 0, 10),
            lost_release("a", 20, 30),
            granted("b", 2, 40, 50),
        ];
        assert!(check(&history(calls), &Expected::default()).is_empty());
    }
}
