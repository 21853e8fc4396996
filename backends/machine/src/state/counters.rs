//! Expired leases that still count: they end before a counter refuses anything.

use std::collections::BTreeSet;

use leasehold_domain::Action;
use leasehold_domain::Command;
use leasehold_domain::Counter;
use leasehold_domain::CounterKey;
use leasehold_domain::LockRef;
use leasehold_domain::Millis;
use leasehold_domain::NamespaceName;

use super::State;
use crate::LockRecord;

impl State {
    /// Returns how many leases of a namespace carry a counter.
    #[must_use]
    pub fn counted(&self, namespace: &NamespaceName, key: &CounterKey) -> u32 {
        self.locks
            .counters(namespace)
            .map_or(0, |table| table.leases(key))
    }

    /// Returns the other locks that these commands may change, because they have leases with the same
    /// counters that have expired at `now`. A backend that stores each record by itself must expect
    /// changes of all of them.
    #[must_use]
    pub fn locks_to_expire<'a>(
        &self,
        commands: impl IntoIterator<Item = &'a Command>,
        now: Millis,
    ) -> BTreeSet<LockRef> {
        self.locks_with_expired_leases(commands, now, |_, _| true)
    }

    /// Returns the locks whose leases must end before these commands are carried out: they carry a
    /// full counter that one of the commands, or a waiter, asks for. Their waiters are asked about,
    /// too, because they will be served.
    pub(super) fn locks_that_must_expire<'a>(
        &self,
        commands: impl IntoIterator<Item = &'a Command>,
        now: Millis,
    ) -> BTreeSet<LockRef> {
        self.locks_with_expired_leases(commands, now, |state, (namespace, counter)| {
            state.counted(namespace, &counter.key) >= counter.maximum
        })
    }

    fn locks_with_expired_leases<'a>(
        &self,
        commands: impl IntoIterator<Item = &'a Command>,
        now: Millis,
        is_asked: impl Fn(&Self, (&NamespaceName, &Counter)) -> bool,
    ) -> BTreeSet<LockRef> {
        let mut found = BTreeSet::new();
        for command in commands {
            let namespace = &command.lock.namespace;
            let Some(table) = self.locks.counters(namespace) else {
                continue;
            };
            let waiting = self.locks.get(&command.lock);
            let mut asked: Vec<&Counter> = counters(command).iter().collect();
            asked.extend(waiting.into_iter().flat_map(waiters_counters));
            while let Some(counter) = asked.pop() {
                if !is_asked(self, (namespace, counter)) {
                    continue;
                }
                for lock in table.due(&counter.key, now) {
                    let lock = LockRef::new(namespace.clone(), lock.clone());
                    if found.contains(&lock) {
                        continue;
                    }
                    asked.extend(self.locks.get(&lock).into_iter().flat_map(waiters_counters));
                    found.insert(lock);
                }
            }
        }
        found
    }
}

impl LockRecord {
    /// Returns the counters that count for this lock: of its leases, and of those who wait for it.
    pub fn counters(&self) -> impl Iterator<Item = &CounterKey> {
        let leases = self.holders.iter().flat_map(|lease| lease.counters());
        leases.chain(waiters_counters(self).map(|counter| &counter.key))
    }

    /// Returns the counters of those who wait for this lock: whether one of them is granted depends
    /// on the leases of other locks.
    pub fn asked_counters(&self) -> impl Iterator<Item = &CounterKey> {
        waiters_counters(self).map(|counter| &counter.key)
    }

    /// Returns the counters that more, or fewer, of a lock's leases carry after a change.
    #[must_use]
    pub fn changed_counters(before: Option<&Self>, after: Option<&Self>) -> Vec<CounterKey> {
        let of = |record: Option<&Self>| record.map(crate::counters::RecordCounters::of);
        let (before, after) = (
            of(before).unwrap_or_default(),
            of(after).unwrap_or_default(),
        );
        let changed = crate::counters::RecordCounters::differences(&before, &after);
        changed.into_iter().map(|(key, _)| key).collect()
    }
}

fn waiters_counters(record: &LockRecord) -> impl Iterator<Item = &Counter> {
    record.waiters().flat_map(|waiter| waiter.counters.iter())
}

/// The counters that the lease of an acquire will carry; none for another command.
fn counters(command: &Command) -> &[Counter] {
    let acquires = matches!(
        command.action,
        Action::Acquire { .. } | Action::AcquireOnce { .. }
    );
    match &command.expect {
        Some(expect) if acquires => &expect.counters,
        _ => &[],
    }
}
