//! The records, in the order of their names, with what is derived from them: deadlines, usage,
//! counts.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use imbl::OrdMap;
use leasehold_domain::Command;
use leasehold_domain::Counts;
use leasehold_domain::LockName;
use leasehold_domain::LockRef;
use leasehold_domain::Millis;
use leasehold_domain::NamespaceName;
use leasehold_domain::Subject;
use leasehold_domain::TeamName;
use leasehold_domain::Transition;
use leasehold_domain::Usage;

use super::usage::UsageTable;
use crate::LockRecord;
use crate::Moment;
use crate::apply::Context;
use crate::apply::OneApplied;
use crate::apply::apply_with;
use crate::cap_usage::CapUsage;
use crate::counters::CounterTable;
use crate::counters::OtherLeases;
use crate::counters::RecordCounters;
use crate::shared_policies::SharedPolicies;

/// The records by namespace and name: the part that is stored. A clone shares all records with
/// its original until either changes them.
pub(crate) type Records = BTreeMap<NamespaceName, OrdMap<LockName, LockRecord>>;

/// Changes every record. Each is taken out and put back, since the map has no mutable iterator.
pub(crate) fn map_records(records: Records, mut change: impl FnMut(&mut LockRecord)) -> Records {
    let changed = records.into_iter().map(|(namespace, locks)| {
        let locks = locks.into_iter().map(|(lock, mut record)| {
            change(&mut record);
            (lock, record)
        });
        (namespace, locks.collect())
    });
    changed.collect()
}

/// The records and their indexes.
///
/// *Invariants.* No record is idle at the time of its last write. `deadlines` has each record's
/// next deadline, except of namespaces in `still`, and nothing else. `usage` and `counts` are those of the records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LockTable {
    pub(crate) records: Records,
    deadlines: BTreeSet<(Millis, LockRef)>,
    /// Namespaces whose records have no entry in `deadlines`.
    still: BTreeSet<NamespaceName>,
    pub(super) usage: BTreeMap<NamespaceName, UsageTable>,
    counts: Counts,
    /// Shared by all leases and waiters of the records.
    pub(crate) policies: SharedPolicies,
}

impl LockTable {
    /// Builds the indexes of stored records, which share these policies.
    pub(crate) fn index(records: Records, policies: SharedPolicies) -> Self {
        let mut table = Self {
            policies,
            ..Self::default()
        };
        let mut deadlines = Vec::new();
        for (namespace, locks) in records {
            let usage = table.usage.entry(namespace.clone()).or_default();
            let mut indexed = OrdMap::new();
            for (lock, mut record) in locks {
                let cap_usage = CapUsage::of(&record);
                usage.cap_usage = usage.cap_usage.shifted(CapUsage::default(), cap_usage);
                let counters = RecordCounters::of(&record);
                let none = RecordCounters::default();
                usage.counters.shift(&lock, &none, &counters);
                table.counts.locks += 1;
                table.counts.leases += record.holders.len() as u64;
                table.counts.waiters += record.queue_len() as u64;
                for lease in &mut record.holders {
                    usage.add(&lease.party.subject, lease.party.team.as_ref());
                    usage.share_names(&mut lease.party);
                }
                let reference = LockRef::new(namespace.clone(), lock.clone());
                deadlines.extend(record.next_deadline().map(|at| (at, reference)));
                indexed.insert(lock, record);
            }
            table.records.insert(namespace, indexed);
        }
        table.deadlines = deadlines.into_iter().collect();
        table
    }

    pub(crate) fn get(&self, lock: &LockRef) -> Option<&LockRecord> {
        self.records.get(&lock.namespace)?.get(&lock.lock)
    }

    /// Applies a command to its record, which is made for it if need be.
    pub(crate) fn apply(
        &mut self,
        command: &Command,
        at: Moment,
        context: Context<'_>,
    ) -> OneApplied {
        let LockRef { namespace, lock } = &command.lock;
        let usage = self.usage.get(namespace);
        let table = usage.map(|usage| &usage.counters);
        let record = self
            .records
            .get_mut(namespace)
            .and_then(|l| l.get_mut(lock));
        let Some(record) = record else {
            let mut record = LockRecord::default();
            let others = OtherLeases {
                table,
                ..OtherLeases::default()
            };
            let context = Context { others, ..context };
            let applied = apply_with(&mut record, command, at, context, &mut self.policies);
            self.replace(&command.lock, record, &applied.transitions, at.now);
            return applied;
        };
        let (before, used) = (record.next_deadline(), CapUsage::of(record));
        let carried = RecordCounters::of(record);
        let context = Context {
            others: OtherLeases {
                table,
                own: Some(&carried),
                added: &[],
            },
            ..context
        };
        let applied = apply_with(record, command, at, context, &mut self.policies);
        let (after, uses) = (record.next_deadline(), CapUsage::of(record));
        let carries = RecordCounters::of(record);
        let idle = record.is_idle(at.now);
        self.shift(namespace, used, uses);
        self.shift_counters(&command.lock, &carried, &carries);
        if !applied.transitions.is_empty() {
            self.count(&command.lock, &applied.transitions);
        }
        if idle {
            self.remove(&command.lock, before);
        } else if before != after {
            self.reschedule(&command.lock, before, after);
        }
        applied
    }

    /// Puts a record that was changed by `transitions` in its place, or drops it if it is idle.
    pub(crate) fn replace(
        &mut self,
        lock: &LockRef,
        record: LockRecord,
        transitions: &[Transition],
        now: Millis,
    ) {
        let before = self.get(lock).map(LockRecord::next_deadline);
        let used = self.get(lock).map(CapUsage::of).unwrap_or_default();
        let carried = self.get(lock).map(RecordCounters::of).unwrap_or_default();
        // Of an idle record this is nothing.
        self.shift(&lock.namespace, used, CapUsage::of(&record));
        self.shift_counters(lock, &carried, &RecordCounters::of(&record));
        if record.is_idle(now) {
            if !transitions.is_empty() {
                self.count(lock, transitions);
            }
            if let Some(deadline) = before {
                self.remove(lock, deadline);
            }
            return;
        }
        let after = record.next_deadline();
        if before.is_none() {
            self.counts.locks += 1;
        }
        let namespace = self.records.entry(lock.namespace.clone()).or_default();
        namespace.insert(lock.lock.clone(), record);
        self.count(lock, transitions);
        let before = before.flatten();
        if before != after {
            self.reschedule(lock, before, after);
        }
    }

    /// Puts a record in its place, or takes it away, and follows by its content: no transition
    /// tells what changed.
    pub(crate) fn put(&mut self, lock: &LockRef, record: Option<LockRecord>) {
        if let Some(old) = self.get(lock) {
            let (deadline, waiters) = (old.next_deadline(), old.queue_len());
            let used = CapUsage::of(old);
            let carried = RecordCounters::of(old);
            let owners: Vec<_> = old.holders.iter().map(|l| l.party.owner()).collect();
            self.counts.leases -= owners.len() as u64;
            self.counts.waiters -= waiters as u64;
            self.shift(&lock.namespace, used, CapUsage::default());
            self.shift_counters(lock, &carried, &RecordCounters::default());
            let usage = self.usage.entry(lock.namespace.clone()).or_default();
            for owner in &owners {
                usage.remove(owner);
            }
            self.remove(lock, deadline);
        }
        let Some(mut record) = record else {
            return;
        };
        record.share_policies(&mut self.policies);
        self.counts.locks += 1;
        self.counts.leases += record.holders.len() as u64;
        self.counts.waiters += record.queue_len() as u64;
        self.shift(&lock.namespace, CapUsage::default(), CapUsage::of(&record));
        self.shift_counters(
            lock,
            &RecordCounters::default(),
            &RecordCounters::of(&record),
        );
        let usage = self.usage.entry(lock.namespace.clone()).or_default();
        for lease in &mut record.holders {
            usage.add(&lease.party.subject, lease.party.team.as_ref());
            usage.share_names(&mut lease.party);
        }
        let deadline = record.next_deadline();
        let locks = self.records.entry(lock.namespace.clone()).or_default();
        locks.insert(lock.lock.clone(), record);
        self.reschedule(lock, None, deadline);
    }

    /// Time stands still in these namespaces, and in no others.
    pub(crate) fn stand_still(&mut self, still: BTreeSet<NamespaceName>) {
        if still == self.still {
            return;
        }
        let before = std::mem::replace(&mut self.still, still);
        let changed: Vec<_> = before.symmetric_difference(&self.still).cloned().collect();
        for namespace in changed {
            let stops = self.still.contains(&namespace);
            let Some((namespace, locks)) = self.records.get_key_value(&namespace) else {
                continue;
            };
            for (lock, record) in locks {
                let Some(at) = record.next_deadline() else {
                    continue;
                };
                let entry = (at, LockRef::new(namespace.clone(), lock.clone()));
                match stops {
                    true => self.deadlines.remove(&entry),
                    false => self.deadlines.insert(entry),
                };
            }
        }
    }

    /// The locks whose deadlines are due, in the order of those.
    pub(crate) fn all_due(&self, now: Millis, most: usize) -> Vec<LockRef> {
        let due = self.deadlines.iter().take_while(|(at, _)| *at <= now);
        due.take(most).map(|(_, lock)| lock.clone()).collect()
    }

    /// The lock with the first deadline, if that is due.
    pub(crate) fn due(&self, now: Millis) -> Option<LockRef> {
        let (deadline, lock) = self.deadlines.first()?;
        (*deadline <= now).then(|| lock.clone())
    }

    pub(crate) fn next_deadline(&self) -> Option<Millis> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    pub(crate) fn usage(
        &self,
        namespace: &NamespaceName,
        subject: &Subject,
        team: Option<&TeamName>,
    ) -> Usage {
        let usage = self.usage.get(namespace);
        usage.map_or(Usage::default(), |usage| usage.of(subject, team))
    }

    /// Returns how much of its caps a namespace uses.
    pub(crate) fn cap_usage(&self, namespace: &NamespaceName) -> CapUsage {
        let usage = self.usage.get(namespace);
        usage.map_or(CapUsage::default(), |usage| usage.cap_usage)
    }

    /// Returns the counters that a namespace's leases carry; `None` if they carry none, or time
    /// stands still for them.
    pub(crate) fn counters(&self, namespace: &NamespaceName) -> Option<&CounterTable> {
        let table = &self.usage.get(namespace)?.counters;
        (!table.is_empty() && !self.still.contains(namespace)).then_some(table)
    }

    /// Counts that a lock's leases carry other counters than before.
    fn shift_counters(&mut self, lock: &LockRef, before: &RecordCounters, after: &RecordCounters) {
        if before != after {
            let usage = self.usage.entry(lock.namespace.clone()).or_default();
            usage.counters.shift(&lock.lock, before, after);
        }
    }

    /// Counts that the usage of a lock of the namespace changed from `before` to `after`.
    fn shift(&mut self, namespace: &NamespaceName, before: CapUsage, after: CapUsage) {
        if before == after {
            return;
        }
        let usage = match self.usage.get_mut(namespace) {
            Some(usage) => usage,
            None => self.usage.entry(namespace.clone()).or_default(),
        };
        usage.cap_usage = usage.cap_usage.shifted(before, after);
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    fn remove(&mut self, lock: &LockRef, deadline: Option<Millis>) {
        if let Some(locks) = self.records.get_mut(&lock.namespace) {
            locks.remove(&lock.lock);
            self.counts.locks -= 1;
            if locks.is_empty() {
                self.records.remove(&lock.namespace);
                self.usage.remove(&lock.namespace);
            }
        }
        if let Some(at) = deadline {
            self.deadlines.remove(&(at, lock.clone()));
        }
    }

    /// Moves a record's entry. The entry shares the names with the record's own key, not with
    /// the command, so that each name is in memory once.
    fn reschedule(&mut self, lock: &LockRef, before: Option<Millis>, after: Option<Millis>) {
        let moved = before.and_then(|at| self.deadlines.take(&(at, lock.clone())));
        let Some(at) = after else {
            return;
        };
        if self.still.contains(&lock.namespace) {
            return;
        }
        let lock = moved.map(|(_, lock)| lock).or_else(|| {
            let (namespace, locks) = self.records.get_key_value(&lock.namespace)?;
            let (lock, _) = locks.get_key_value(&lock.lock)?;
            Some(LockRef::new(namespace.clone(), lock.clone()))
        });
        if let Some(lock) = lock {
            self.deadlines.insert((at, lock));
        }
    }

    /// Follows transitions of one lock, whose record is in its place or will be removed.
    fn count(&mut self, lock: &LockRef, transitions: &[Transition]) {
        let usage = self.usage.entry(lock.namespace.clone()).or_default();
        let mut granted = 0;
        for transition in transitions {
            match transition {
                Transition::Granted {
                    owner, waited_ms, ..
                } => {
                    granted += 1;
                    usage.add(&owner.subject, owner.team.as_ref());
                    self.counts.leases += 1;
                    self.counts.waiters -= u64::from(waited_ms.is_some());
                }
                Transition::Ended { owner, .. } => {
                    self.counts.leases -= 1;
                    usage.remove(owner);
                }
                Transition::Queued { .. } => self.counts.waiters += 1,
                Transition::WaitEnded { .. } => self.counts.waiters -= 1,
                Transition::Renewed { .. }
                | Transition::Draining { .. }
                | Transition::CoolingDown { .. }
                | Transition::Reserved { .. }
                | Transition::Configured { .. } => {}
            }
        }
        if granted == 0 {
            return;
        }
        let locks = self.records.get_mut(&lock.namespace);
        let Some(record) = locks.and_then(|locks| locks.get_mut(&lock.lock)) else {
            return;
        };
        // What was granted last stands last.
        for lease in record.holders.iter_mut().rev().take(granted) {
            usage.share_names(&mut lease.party);
        }
    }
}
