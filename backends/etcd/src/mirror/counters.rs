//! Counters: which of their keys a write depends on, and which it puts.
//!
//! How many leases carry a counter is in the leases; the counter's key holds nothing. It is put by
//! every write that changes that number, and its revision is a condition of every write that
//! depends on it. So a lease that carries no counter touches no such key.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use leasehold_domain::Action;
use leasehold_domain::Command;
use leasehold_domain::CounterKey;
use leasehold_domain::LockRef;
use leasehold_domain::Millis;
use leasehold_domain::NamespaceName;
use leasehold_machine::LockRecord;

use super::Mirror;
use crate::group::Touched;
use crate::keys::Keys;
use crate::keys::counter_number;
use crate::proto::Compare;
use crate::proto::KeyValue;
use crate::proto::Operation;
use crate::proto::PutRequest;
use crate::transaction::Part;

/// The counters of one group's write, by the numbers of their keys.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Those that it depends on, with the revisions of which the mirror is.
    asked: BTreeMap<u16, i64>,
    /// Those that more, or fewer, leases carry after it.
    changed: BTreeSet<u16>,
}

impl Counters {
    /// Adds what became of the counters of one lock.
    pub(super) fn change(
        &mut self,
        namespace: &NamespaceName,
        before: Option<&LockRecord>,
        after: Option<&LockRecord>,
    ) {
        let changed = LockRecord::changed_counters(before, after);
        let numbers = changed.iter().map(|key| counter_number(namespace, key));
        self.changed.extend(numbers);
    }

    pub(super) fn changed(&self) -> impl Iterator<Item = u16> {
        self.changed.iter().copied()
    }

    /// Returns those that were written by others since.
    pub(super) fn lost(&self, known: &BTreeMap<u16, i64>) -> impl Iterator<Item = u16> {
        let is_lost =
            |(number, revision): &(&u16, &i64)| known.get(number).unwrap_or(&0) != *revision;
        let lost = self.asked.iter().filter(is_lost);
        lost.map(|(number, _)| *number)
    }

    /// Adds the conditions, and the keys to put.
    pub(super) fn add_to(&self, part: &mut Part, keys: &Keys) {
        let asked = self.asked.iter();
        let unchanged =
            asked.map(|(number, revision)| Compare::unchanged(keys.counter(*number), *revision));
        part.compares.extend(unchanged);
        let put = self.changed.iter().map(|number| {
            Operation::Put(PutRequest {
                key: keys.counter(*number),
                ..PutRequest::default()
            })
        });
        part.operations.extend(put);
    }
}

impl Mirror {
    /// Notes which revision a counter's key has.
    pub(super) fn put_counter(&mut self, number: u16, kv: &KeyValue) {
        let known = self.counters.entry(number).or_default();
        *known = kv.mod_revision.max(*known);
    }

    /// Returns the locks that commands may change although none of them is about it.
    pub(super) fn locks_to_expire(&self, commands: &[Command], now: Millis) -> BTreeSet<LockRef> {
        let now = now.max(self.state.now());
        self.state.locks_to_expire(commands, now)
    }

    /// Adds the counters that the commands' acquires carry, and that those carry who wait for these
    /// locks.
    pub(super) fn ask_counters<'a>(
        &self,
        commands: &[Command],
        locks: impl IntoIterator<Item = &'a LockRef>,
        counters: &mut Counters,
    ) {
        let mut ask = |namespace: &NamespaceName, key: &CounterKey| {
            let number = counter_number(namespace, key);
            let revision = self.counters.get(&number).copied().unwrap_or_default();
            counters.asked.entry(number).or_insert(revision);
        };
        for command in commands {
            let expect = command.expect.iter();
            let carried = expect.flat_map(|expect| &expect.counters);
            carried.for_each(|counter| ask(&command.lock.namespace, &counter.key));
        }
        for lock in locks {
            let record = self.state.record(lock).into_iter();
            let waiting = record.flat_map(LockRecord::asked_counters);
            waiting.for_each(|key| ask(&lock.namespace, key));
        }
    }

    /// Returns what commands touch: their locks, those whose expired leases count, and the counters that they
    /// depend on or may change.
    pub(crate) fn touched(&self, commands: &[Command], now: Millis) -> BTreeSet<Touched> {
        let expiring = self.locks_to_expire(commands, now);
        let mut touched = BTreeSet::new();
        for lock in commands
            .iter()
            .map(|command| &command.lock)
            .chain(&expiring)
        {
            touched.insert(Touched::Lock(lock.clone()));
            let counters = self.state.record(lock).into_iter();
            let counters = counters.flat_map(LockRecord::counters);
            let number = |key| Touched::Counter(counter_number(&lock.namespace, key));
            touched.extend(counters.map(number));
        }
        for command in commands {
            let counters = command.expect.iter().flat_map(|expect| &expect.counters);
            let number = |counter: &leasehold_domain::Counter| {
                Touched::Counter(counter_number(&command.lock.namespace, &counter.key))
            };
            touched.extend(counters.map(number));
        }
        touched
    }
}

/// A command that only ends what is over of a lock, and grants what became free.
pub(crate) fn tick(lock: &LockRef) -> Command {
    Command {
        lock: lock.clone(),
        action: Action::Tick,
        cause: None,
        expect: None,
    }
}
