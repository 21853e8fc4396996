//! Watchers are told each transition once and in order, at whichever gateway they go on, or that
//! they have missed something.

use std::collections::BTreeMap;

use super::Expected;
use crate::robustness::History;
use crate::robustness::Ledger;
use crate::robustness::Shown;
use crate::robustness::Sight;
use crate::robustness::Told;

pub(super) fn check(history: &History, _: &Expected) -> Vec<String> {
    let Some(ledger) = history.ledgers.iter().max_by_key(|l| l.turns.len()) else {
        return Vec::new();
    };
    let events = events(ledger);
    let mut watchers: BTreeMap<u32, Vec<&Sight>> = BTreeMap::new();
    for sight in &history.sights {
        watchers.entry(sight.watcher).or_default().push(sight);
    }
    if watchers.is_empty() && !events.is_empty() {
        return vec!["nobody watched".to_owned()];
    }
    let wrong = |(number, sights): (u32, Vec<&Sight>)| {
        let wrong = follow(&sights, &events);
        wrong.map(|how| format!("watcher {number}: {how}"))
    };
    watchers.into_iter().filter_map(wrong).collect()
}

/// What the ledger tells, event by event.
fn events(ledger: &Ledger) -> BTreeMap<u64, Vec<&Told>> {
    let mut events: BTreeMap<u64, Vec<&Told>> = BTreeMap::new();
    for turn in &ledger.turns {
        events.entry(turn.told.cursor).or_default().push(&turn.told);
    }
    events
}

/// The first thing that is wrong with what one watcher saw.
fn follow(sights: &[&Sight], events: &BTreeMap<u64, Vec<&Told>>) -> Option<String> {
    let last = events.last_key_value().map_or(0, |(cursor, _)| *cursor);
    // After which event it is.
    let mut place: Option<u64> = None;
    for Sight {
        gateway,
        at_us,
        shown,
        ..
    } in sights
    {
        let wrong = |what: String| Some(format!("at gateway {gateway}, {at_us} us: {what}"));
        match shown {
            Shown::Cut | Shown::Resync { cursor: None, .. } => {}
            Shown::Resync { cursor, .. } => place = *cursor,
            // A watch that goes on says where; what comes shows whether that is true.
            Shown::Begun { cursor } => place = place.or(Some(*cursor)),
            Shown::Event(told) => {
                let cursor = told.first().map_or(0, |told| told.cursor);
                // Leases end by time after the ledger was read.
                if cursor > last {
                    break;
                }
                let after = place.map_or(0, |place| place + 1);
                let next = events.range(after..).next();
                if next.is_none_or(|(_, all)| !all.iter().copied().eq(told)) {
                    let due = next.map(|(cursor, all)| (cursor, all.len()));
                    return wrong(format!("after {place:?} {told:?}, due is {due:?}"));
                }
                place = Some(cursor);
            }
        }
    }
    (place.unwrap_or_default() < last)
        .then(|| format!("it has come to {place:?}, and the last event is {last}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::robustness::Turn;

    fn told(cursor: u64, change: &str) -> Told {
        Told {
            cursor,
            lock: "contended-0".to_owned(),
            change: change.to_owned(),
            handle: None,
            token: None,
        }
    }

    fn event(cursor: u64) -> Shown {
        let changes = [told(cursor, "released"), told(cursor, "granted")];
        Shown::Event(changes[..usize::from(cursor > 2) + 1].to_vec())
    }

    fn wrong(shown: Vec<Shown>) -> usize {
        let mut history = History::default();
        let turn = |told| Turn {
            key: String::new(),
            told,
        };
        let of = |cursor| match event(cursor) {
            Shown::Event(told) => told,
            _ => Vec::new(),
        };
        history.ledgers.push(Ledger {
            turns: (1..=5).flat_map(of).map(turn).collect(),
            ..Ledger::default()
        });
        let sight = |shown| Sight {
            watcher: 0,
            gateway: 0,
            at_us: 0,
            shown,
        };
        history.sights = shown.into_iter().map(sight).collect();
        check(&history, &Expected::default()).len()
    }

    fn begun(cursor: u64) -> Shown {
        Shown::Begun { cursor }
    }

    fn resync(cursor: Option<u64>) -> Shown {
        Shown::Resync {
            reason: "unknown".to_owned(),
            cursor,
        }
    }

    #[test]
    fn a_watch_that_goes_on_where_it_was_is_right() {
        let whole = vec![begun(1), event(2), event(3), event(4), event(5)];
        assert_eq!(wrong(whole), 0);
        let cut = vec![
            begun(1),
            event(2),
            Shown::Cut,
            begun(2),
            event(3),
            resync(None),
            Shown::Cut,
            event(4),
            event(5),
        ];
        assert_eq!(wrong(cut), 0);
        assert_eq!(wrong(vec![begun(1), resync(Some(4)), event(5)]), 0);
    }

    #[test]
    fn what_is_left_out_doubled_or_in_the_wrong_order_is_found() {
        assert_eq!(wrong(vec![begun(1), event(2), event(4), event(5)]), 1);
        assert_eq!(wrong(vec![begun(3), event(4), event(4), event(5)]), 1);
        assert_eq!(wrong(vec![begun(3), event(5), event(4)]), 1);
        assert_eq!(wrong(vec![begun(3), event(4)]), 1, "not the last");
        let invented = Shown::Event(vec![told(5, "queued"), told(5, "granted")]);
        assert_eq!(wrong(vec![begun(4), invented]), 1);
        assert_eq!(wrong(vec![begun(4), event(5), event(6)]), 0, "later");
        assert_eq!(wrong(vec![begun(3), event(6)]), 1, "before the later");
        assert_eq!(wrong(vec![]), 1, "nobody watched");
        // The beginning of a watch that goes on moves nobody over what was not told.
        assert_eq!(wrong(vec![begun(1), Shown::Cut, begun(4), event(5)]), 1);
        // Half of an event.
        let half = Shown::Event(vec![told(5, "released")]);
        assert_eq!(wrong(vec![begun(4), half]), 1);
    }
}
