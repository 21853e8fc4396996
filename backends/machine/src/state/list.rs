//! Pages of locks.

use std::ops::Bound;

use leasehold_domain::ListQuery;
use leasehold_domain::LockFilter;
use leasehold_domain::LockView;
use leasehold_domain::Millis;
use leasehold_domain::Page;
use leasehold_domain::Subject;
use leasehold_domain::TeamName;
use leasehold_domain::limits::PAGE_ROWS_MAX;

use super::table::LockTable;
use crate::LockRecord;

/// Most records that one page looks at.
const SCAN_MAX: usize = 20_000;

impl LockTable {
    /// A range scan from the prefix, or from the page before.
    pub(crate) fn list(&self, query: &ListQuery, now: Millis) -> Page<LockView> {
        let mut page = Page {
            rows: Vec::new(),
            next: None,
        };
        let Some((namespace, locks)) = self.records.get_key_value(&query.namespace) else {
            return page;
        };
        let prefix = query.prefix.as_str();
        let after = query.after.as_ref().map(|name| name.as_str());
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let limit = query.limit.clamp(1, PAGE_ROWS_MAX);
        let named = locks.range::<_, str>((from, Bound::Unbounded));
        let mut named = named
            .take_while(|(name, _)| name.as_str().starts_with(prefix))
            .peekable();
        for _ in 0..SCAN_MAX {
            let Some((name, record)) = named.next() else {
                break;
            };
            if is_asked_for(record, query, now) {
                let lock = leasehold_domain::LockRef::new(namespace.clone(), name.clone());
                page.rows.push(record.view(&lock, now));
            }
            page.next = named.peek().is_some().then(|| name.clone());
            if page.rows.len() == limit {
                break;
            }
        }
        page
    }
}

fn is_asked_for(record: &LockRecord, query: &ListQuery, now: Millis) -> bool {
    let held_by = |subject: &Subject| record.holders.iter().any(|l| l.party.subject == *subject);
    let held_by_team = |team: &TeamName| {
        record
            .holders
            .iter()
            .any(|l| l.party.team.as_ref() == Some(team))
    };
    let in_state = |state: LockFilter| match state {
        LockFilter::Held => !record.holders.is_empty(),
        LockFilter::Free => record.holders.is_empty(),
        LockFilter::Contended => record.queue_len() > 0,
        LockFilter::Draining => record.holders.iter().any(|l| l.drain.is_some()),
        LockFilter::CoolingDown => record.cooldown_until() > now,
        LockFilter::Reserved => record.reservations().iter().any(|r| r.until > now),
    };
    query.holder.as_ref().is_none_or(held_by)
        && query.team.as_ref().is_none_or(held_by_team)
        && query.state.is_none_or(in_state)
}
