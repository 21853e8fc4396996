//! Counters: which leases carry them, and whether one more may.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use leasehold_domain::CounterFull;
use leasehold_domain::CounterKey;
use leasehold_domain::LockName;
use leasehold_domain::Millis;

use crate::LockRecord;
use crate::waiter::Waiter;

/// The counters that the leases of one lock carry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RecordCounters(BTreeMap<CounterKey, Carried>);

/// How one lock's leases carry a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Carried {
    leases: u32,
    /// When the first of them may be ended by time.
    over_from: Millis,
}

impl RecordCounters {
    pub(crate) fn of(record: &LockRecord) -> Self {
        let mut all = BTreeMap::new();
        for lease in &record.holders {
            let over_from = lease.deadline.over_from();
            for key in lease.counters() {
                let first = Carried {
                    leases: 0,
                    over_from,
                };
                let carried = all.entry(key.clone()).or_insert(first);
                carried.leases += 1;
                carried.over_from = carried.over_from.min(over_from);
            }
        }
        Self(all)
    }

    /// Returns how many leases of the lock carry a counter.
    fn leases(&self, key: &CounterKey) -> u32 {
        self.0.get(key).map_or(0, |carried| carried.leases)
    }

    /// Returns the counters that more, or fewer, leases carry after than before, and how many more.
    pub(crate) fn differences(before: &Self, after: &Self) -> Vec<(CounterKey, i64)> {
        let keys: BTreeSet<_> = before.0.keys().chain(after.0.keys()).collect();
        let more = |key: &CounterKey| i64::from(after.leases(key)) - i64::from(before.leases(key));
        let all = keys.into_iter().map(|key| (key.clone(), more(key)));
        all.filter(|(_, more)| *more != 0).collect()
    }
}

/// The counters that leases of one namespace carry, with the locks of those leases in the order in
/// which the first of them ends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CounterTable(BTreeMap<CounterKey, Counted>);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Counted {
    leases: u32,
    ends: BTreeSet<(Millis, LockName)>,
}

impl CounterTable {
    /// Returns whether no lease of the namespace carries a counter.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns how many leases carry a counter.
    pub(crate) fn leases(&self, key: &CounterKey) -> u32 {
        self.0.get(key).map_or(0, |counted| counted.leases)
    }

    /// Returns the locks with a lease that carries the counter and is over at `now`.
    pub(crate) fn due(&self, key: &CounterKey, now: Millis) -> impl Iterator<Item = &LockName> {
        let ends = self.0.get(key).into_iter().flat_map(|c| &c.ends);
        let due = ends.take_while(move |(over_from, _)| *over_from <= now);
        due.map(|(_, lock)| lock)
    }

    /// Counts that the leases of a lock carry `after` instead of `before`.
    pub(crate) fn shift(
        &mut self,
        lock: &LockName,
        before: &RecordCounters,
        after: &RecordCounters,
    ) {
        if before == after {
            return;
        }
        for (key, carried) in &before.0 {
            let Some(counted) = self.0.get_mut(key) else {
                continue;
            };
            counted.leases = counted.leases.saturating_sub(carried.leases);
            counted.ends.remove(&(carried.over_from, lock.clone()));
            if counted.ends.is_empty() {
                self.0.remove(key);
            }
        }
        for (key, carried) in &after.0 {
            let counted = self.0.entry(key.clone()).or_default();
            counted.leases = counted.leases.saturating_add(carried.leases);
            counted.ends.insert((carried.over_from, lock.clone()));
        }
    }
}

/// The leases of the other locks of a namespace, as far as they count.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct OtherLeases<'a> {
    /// The counters of all locks, this one included.
    pub(crate) table: Option<&'a CounterTable>,
    /// What this lock's leases carry in the table.
    pub(crate) own: Option<&'a RecordCounters>,
    /// What the other commands of a batch, tried on copies, have added.
    pub(crate) added: &'a [(CounterKey, i64)],
}

impl OtherLeases<'_> {
    fn leases(&self, key: &CounterKey) -> u32 {
        let all = self.table.map_or(0, |table| table.leases(key));
        let own = self.own.map_or(0, |own| own.leases(key));
        let added = self.added.iter().filter(|(added, _)| added == key);
        let added: i64 = added.map(|(_, more)| more).sum();
        let others = i64::from(all) - i64::from(own) + added;
        u32::try_from(others.max(0)).unwrap_or(u32::MAX)
    }

    /// Returns the first counter of a waiter that as many leases carry as may, those of its own lock
    /// included.
    pub(crate) fn full(&self, record: &LockRecord, waiter: &Waiter) -> Option<CounterFull> {
        waiter.counters.iter().find_map(|counter| {
            let carries = |lease: &&crate::lease::Lease| lease.counters().contains(&counter.key);
            let own = record.holders.iter().filter(carries).count();
            let own = u32::try_from(own).unwrap_or(u32::MAX);
            let present = self.leases(&counter.key).saturating_add(own);
            (present >= counter.maximum).then(|| CounterFull {
                key: counter.key.clone(),
                maximum: counter.maximum,
                present,
                code: counter.code.clone(),
            })
        })
    }
}
