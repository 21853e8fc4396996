//! Writes: carried out in memory, turned into what etcd shall do, and taken back if it did not.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use leasehold_domain::Atomicity;
use leasehold_domain::Command;
use leasehold_domain::DocumentSet;
use leasehold_domain::Event;
use leasehold_domain::LockRef;
use leasehold_domain::Millis;
use leasehold_machine::EndedRequest;
use leasehold_machine::LockRecord;
use leasehold_machine::Moment;
use leasehold_machine::stored;
use prost::bytes::Bytes;

use super::Known;
use super::Mirror;
use super::counters::Counters;
use super::counters::tick;
use super::queue::Kept;
use super::queue::Step;
use crate::group::Group;
use crate::group::Touched;
use crate::item::Answer;
use crate::item::Item;
use crate::keys::Keys;
use crate::proto::Compare;
use crate::proto::DeleteRangeRequest;
use crate::proto::Operation;
use crate::proto::PutRequest;
use crate::transaction::Part;
use crate::transaction::REQUEST_BYTES_MAX;

/// A lock may take so much in the write that ends or serves its whole queue, which leaves some for
/// conditions and the cause of its end.
const LOCK_BYTES_MAX: usize = REQUEST_BYTES_MAX - 64 * 1_024;

/// What a group came to in memory, before etcd has it.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) group: Group,
    /// By the place of their jobs.
    pub(crate) answers: Vec<(usize, Answer)>,
    pub(crate) events: Vec<Event>,
    /// Acquires whose leases it ended.
    pub(crate) ended: Vec<EndedRequest>,
    /// When it was worked out.
    now: Millis,
    /// How many commands it has.
    pub(crate) commands: usize,
    /// The locks that it touches, as they were.
    before: BTreeMap<LockRef, Before>,
    /// Those of them that no command names, and that may change because of a counter.
    expiring: BTreeSet<LockRef>,
    /// Those of them that it changes, as they are to be kept; none if they are gone.
    changed: BTreeMap<LockRef, Option<Step>>,
    /// The counters that it depends on and changes.
    counters: Counters,
    /// The documents as they were, if it touches them.
    documents: Option<DocumentSet>,
}

/// The keys of one group's write that no other write has, and those that it deletes.
#[derive(Debug)]
pub(crate) struct OwnKeys {
    /// Of its events.
    pub(crate) events: Bytes,
    /// Of the acquires whose leases it ends.
    pub(crate) ended: Bytes,
    /// Keys of other writes' ended acquires whose time is over.
    pub(crate) forgotten: Vec<Bytes>,
}

#[derive(Debug)]
struct Before {
    record: Option<LockRecord>,
    revision: i64,
}

impl Mirror {
    /// Carries out a group in memory, as the machine says.
    pub(crate) fn prepare(
        &mut self,
        group: Group,
        items: &[(usize, &Item)],
        at: Moment,
    ) -> Prepared {
        let mut prepared = Prepared {
            group: Group::default(),
            answers: Vec::with_capacity(group.jobs.len()),
            events: Vec::new(),
            ended: Vec::new(),
            now: at.now,
            commands: 0,
            before: BTreeMap::new(),
            expiring: BTreeSet::new(),
            changed: BTreeMap::new(),
            counters: Counters::default(),
            documents: None,
        };
        let members = items.iter().filter(|(job, _)| group.jobs.contains(job));
        for (job, item) in members {
            prepared.commands += item.weight();
            self.remember(item.locks(), &mut prepared);
            item.locks().for_each(|lock| {
                prepared.expiring.remove(lock);
            });
            self.remember_counted(item.commands(), at.now, &mut prepared);
            let answer = match item {
                Item::Batch(batch) => {
                    let (commands, notes) = (&batch.commands, &batch.notes);
                    let applied = self.state.execute(commands, batch.atomicity, notes, at);
                    prepared.events.extend(applied.events);
                    prepared.ended.extend(applied.ended);
                    Answer::Outcomes(applied.outcomes)
                }
                Item::Edits(edits) => {
                    let before = || self.state.all_documents().clone();
                    prepared.documents.get_or_insert_with(before);
                    let (outcome, events) = self.state.edit(edits, at);
                    prepared.events.extend(events);
                    Answer::Edited(outcome)
                }
                Item::Tick | Item::Read(_) | Item::Look => continue,
            };
            prepared.answers.push((*job, answer));
        }
        self.remember(group.ticks.iter(), &mut prepared);
        let ticks: Vec<_> = group.ticks.iter().map(tick).collect();
        self.remember_counted(&ticks, at.now, &mut prepared);
        let ticked = self.state.execute(&ticks, Atomicity::Each, &[], at);
        prepared.events.extend(ticked.events);
        prepared.ended.extend(ticked.ended);
        prepared.group = group;
        self.compare(&mut prepared);
        prepared
    }

    /// What has changed of the locks that were touched.
    fn compare(&self, prepared: &mut Prepared) {
        for (lock, before) in &prepared.before {
            let (before, after) = (before.record.as_ref(), self.state.record(lock));
            if before.map(LockRecord::revision) == after.map(LockRecord::revision) {
                continue;
            }
            let fresh = Kept::default();
            let kept = self.known.get(lock).map_or(&fresh, |known| &known.kept);
            let step = after.map(|after| kept.step(before, after));
            prepared.counters.change(&lock.namespace, before, after);
            prepared.changed.insert(lock.clone(), step);
        }
        // Locks whose leases might have had to end for a counter, and did not.
        let (expiring, changed) = (&prepared.expiring, &prepared.changed);
        let is_touched = |lock: &LockRef| !expiring.contains(lock) || changed.contains_key(lock);
        prepared.before.retain(|lock, _| is_touched(lock));
    }

    /// Remembers what commands may change and depend on because of counters.
    fn remember_counted(&self, commands: &[Command], now: Millis, prepared: &mut Prepared) {
        let expiring = self.locks_to_expire(commands, now);
        let new = expiring
            .iter()
            .filter(|lock| !prepared.before.contains_key(lock));
        prepared.expiring.extend(new.cloned());
        self.remember(expiring.iter(), prepared);
        let locks = commands.iter().map(|command| &command.lock);
        self.ask_counters(commands, locks.chain(&expiring), &mut prepared.counters);
    }

    fn remember<'a>(&self, locks: impl Iterator<Item = &'a LockRef>, prepared: &mut Prepared) {
        for lock in locks {
            if !prepared.before.contains_key(lock) {
                let before = Before {
                    record: self.state.record(lock).cloned(),
                    revision: self.revision(lock),
                };
                prepared.before.insert(lock.clone(), before);
            }
        }
    }

    /// What etcd shall do for a group, and on which conditions.
    pub(crate) fn part(&self, prepared: &Prepared, keys: &Keys, own: &OwnKeys) -> Part {
        let mut part = Part::default();
        let mut makes = false;
        for (lock, before) in &prepared.before {
            if !prepared.group.whole {
                let unchanged = Compare::unchanged(keys.lock(lock), before.revision);
                part.compares.push(unchanged);
            }
        }
        for (lock, step) in &prepared.changed {
            makes |= step.is_some() && !self.known.contains_key(lock);
            part.forgets |= step.is_none();
            self.put_lock(lock, step.as_ref(), keys, &mut part);
        }
        if let Some(before) = &prepared.documents {
            self.put_documents(before, keys, &mut part);
        }
        let writes = !prepared.before.is_empty() || !prepared.events.is_empty();
        if prepared.documents.is_some() || writes {
            // Also for locks and notes: a seat among the documents may have closed a namespace, and the
            // feature level may have been raised.
            let unchanged = Compare::unchanged(keys.documents(), self.documents);
            part.compares.push(unchanged);
        }
        if makes {
            // Nothing was deleted that this gateway has not heard of: the tokens of a deleted
            // record of this name are below this write's floor.
            part.compares
                .push(Compare::not_after(keys.forgotten(), self.head));
        }
        prepared.counters.add_to(&mut part, keys);
        if prepared.group.whole {
            part.compares = vec![Compare::unchanged(keys.head(), self.head)];
        }
        if !prepared.events.is_empty() {
            let events = own.events.clone();
            part.operations
                .push(put(events, stored::pack(&prepared.events)));
        }
        if !prepared.ended.is_empty() {
            let ended = own.ended.clone();
            part.operations
                .push(put(ended, stored::pack(&prepared.ended)));
            let gone = own.forgotten.iter().cloned();
            part.operations.extend(gone.map(delete));
        }
        part
    }

    fn put_lock(&self, lock: &LockRef, step: Option<&Step>, keys: &Keys, part: &mut Part) {
        let known = self.known.get(lock);
        let key = keys.lock(lock);
        let Some(step) = step else {
            let waiters = known.into_iter().flat_map(|known| known.kept.numbers());
            let gone = waiters.map(|number| delete(keys.waiter(lock, number)));
            part.operations.extend(gone);
            part.operations.push(delete(key));
            return;
        };
        let head = stored::encode(&step.head);
        // Whoever comes must be able to go again.
        let end_bytes = head.len() + step.kept.end_bytes(keys.waiter(lock, 0).len());
        part.is_too_large |= step.grows && end_bytes > LOCK_BYTES_MAX;
        part.operations.push(put(key, head));
        for (number, value) in &step.put {
            let key = keys.waiter(lock, *number);
            part.operations.push(put(key, value.clone()));
        }
        let gone = step.gone.iter();
        let gone = gone.map(|number| delete(keys.waiter(lock, *number)));
        part.operations.extend(gone);
    }

    fn put_documents(&self, before: &DocumentSet, keys: &Keys, part: &mut Part) {
        let after = self.state.all_documents();
        if after.revision() == before.revision() {
            return;
        }
        for change in after.changes_since(before) {
            let key = keys.document(change.collection, change.id);
            part.operations.push(match change.after {
                Some(document) => put(key, stored::encode(document)),
                None => delete(key),
            });
        }
        let revision = stored::encode(&after.revision());
        part.operations.push(put(keys.documents(), revision));
    }

    /// The keys of ended acquires that the next write deletes.
    pub(crate) fn forgettable(&self, now: Millis) -> Vec<Bytes> {
        self.ended.due(now)
    }

    /// etcd has what a group came to, at this revision.
    pub(crate) fn settle(&mut self, prepared: &Prepared, own: &OwnKeys, revision: i64) {
        if !prepared.ended.is_empty() {
            self.ended.add(own.ended.clone(), prepared.now);
            own.forgotten.iter().for_each(|key| self.ended.remove(key));
        }
        for (lock, step) in &prepared.changed {
            match step {
                Some(step) => {
                    let mine = Known {
                        revision,
                        mine: true,
                        kept: step.kept.clone(),
                    };
                    self.known.insert(lock.clone(), mine);
                }
                None => {
                    self.known.remove(lock);
                }
            }
        }
        let counters = prepared.counters.changed();
        self.counters
            .extend(counters.map(|number| (number, revision)));
        if let Some(before) = &prepared.documents
            && self.state.documents_revision() != before.revision()
        {
            self.documents = revision;
        }
    }

    /// etcd does not have it, or nobody knows.
    pub(crate) fn take_back(&mut self, prepared: &Prepared) {
        self.state.take_back_ended(&prepared.ended);
        for (lock, before) in &prepared.before {
            self.state.put_record(lock, before.record.clone());
        }
        if let Some(documents) = &prepared.documents {
            self.state.put_documents(documents.clone());
        }
    }

    /// Nothing of it is in etcd.
    pub(crate) fn take_back_all(&mut self, prepared: &[Prepared]) {
        for one in prepared {
            self.take_back(one);
        }
    }

    /// The locks and counters of a group that were written by others since.
    pub(crate) fn lost(&self, prepared: &Prepared) -> Vec<Touched> {
        let touched = prepared.before.iter();
        let lost = touched.filter(|(lock, before)| self.revision(lock) != before.revision);
        let locks = lost.map(|(lock, _)| Touched::Lock(lock.clone()));
        let counters = prepared.counters.lost(&self.counters);
        locks.chain(counters.map(Touched::Counter)).collect()
    }
}

fn delete(key: Bytes) -> Operation {
    Operation::Delete(DeleteRangeRequest {
        key,
        ..DeleteRangeRequest::default()
    })
}

fn put(key: Bytes, value: Vec<u8>) -> Operation {
    Operation::Put(PutRequest {
        key,
        value: value.into(),
        prev_kv: false,
    })
}
