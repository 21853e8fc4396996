//! Within 30 s of the healing of a fault every gateway grants again, and none has died of itself.

use super::Expected;
use crate::robustness::History;
use crate::robustness::RECOVERY_US;

pub(super) fn check(history: &History, _: &Expected) -> Vec<String> {
    let mut wrong: Vec<String> = history
        .exits
        .iter()
        .map(|who| format!("nobody had asked for this: {who}"))
        .collect();
    for seen in &history.recoveries {
        let took_us = seen.granted_us.map(|at| at.saturating_sub(seen.healed_us));
        if took_us.is_none_or(|took| took > RECOVERY_US) {
            wrong.push(format!(
                "gateway {} granted again {:?} us after the healing at {} us",
                seen.gateway, took_us, seen.healed_us
            ));
        }
    }
    if history.recoveries.is_empty() && !history.faults.is_empty() {
        wrong.push("nobody looked whether it recovers".to_owned());
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::robustness::Recovery;

    fn wrong(granted_us: Option<u64>) -> usize {
        let recovery = Recovery {
            gateway: 0,
            healed_us: 5,
            granted_us,
        };
        let history = History {
            recoveries: vec![recovery],
            ..History::default()
        };
        check(&history, &Expected::default()).len()
    }

    #[test]
    fn late_and_never_are_found() {
        assert_eq!(wrong(Some(5 + RECOVERY_US)), 0);
        assert_eq!(wrong(Some(6 + RECOVERY_US)), 1);
        assert_eq!(wrong(None), 1);
    }

    #[test]
    fn a_process_that_died_of_itself_is_found() {
        let history = History {
            exits: vec!["gateway 1".to_owned()],
            ..History::default()
        };
        assert_eq!(check(&history, &Expected::default()).len(), 1);
    }
}
