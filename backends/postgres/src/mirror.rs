//! The gateway's copy of the store as of one version: what the machine works on.

mod changes;

use std::collections::BTreeMap;

use leasehold_backend_api::BackendError;
use leasehold_domain::Action;
use leasehold_domain::Command;
use leasehold_domain::Cursor;
use leasehold_domain::DocumentChange;
use leasehold_domain::DocumentSet;
use leasehold_domain::Event;
use leasehold_domain::LockRef;
use leasehold_domain::Millis;
use leasehold_domain::WallMillis;
use leasehold_domain::limits::TOKENS_PER_WRITE;
use leasehold_machine::EndedRequest;
use leasehold_machine::LockRecord;
use leasehold_machine::Moment;
use leasehold_machine::RecordChange;
use leasehold_machine::State;

pub(crate) use self::changes::Changes;
use self::changes::DocumentName;
use self::changes::LockChange;
use crate::error;
use crate::item::Answer;
use crate::item::Item;
use crate::item::Query;

/// Locks that one tick may end or grant, so that no write is long.
const LOCKS_PER_TICK_MAX: usize = 256;

/// The store as of one version.
#[derive(Debug, Default)]
pub(crate) struct Mirror {
    pub(crate) state: State,
    pub(crate) version: u64,
    /// Logical time of the last write, in microseconds; the state has it in milliseconds.
    pub(crate) now_us: u64,
    /// The timeline that the last write was made on; 0 before anything was read.
    pub(crate) timeline: i32,
    /// The cluster that it was made in.
    pub(crate) system: i64,
    /// Locks that may have been written after the version to which the log was folded, and with
    /// which version they were written last.
    pub(crate) unfolded: BTreeMap<LockRef, u64>,
    /// Acquires whose leases were ended after that version, and by which.
    pub(crate) unfolded_ended: Vec<(u64, EndedRequest)>,
}

/// When and as what a write is tried.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt {
    /// The version that it will have.
    pub(crate) version: u64,
    /// Logical time, in microseconds.
    pub(crate) now_us: u64,
    /// For people.
    pub(crate) wall: WallMillis,
}

/// A write that the mirror shows already and the database does not have yet.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) attempt: Attempt,
    pub(crate) answers: Vec<Answer>,
    pub(crate) events: Vec<Event>,
    /// Whether a document was changed.
    pub(crate) edited: bool,
    /// The documents that were changed without an event.
    untold: Vec<DocumentName>,
    /// The records that changed.
    changed: Vec<LockRef>,
    /// Acquires whose leases it ended.
    ended: Vec<EndedRequest>,
    before: Before,
}

/// What takes a write back.
#[derive(Debug)]
struct Before {
    records: BTreeMap<LockRef, Option<LockRecord>>,
    documents: Option<DocumentSet>,
    now: Millis,
    newest: Cursor,
}

impl Prepared {
    /// Whether there is anything to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.events.is_empty() && !self.edited
    }
}

impl Mirror {
    /// Carries out items in memory, as the machine says.
    pub(crate) fn prepare(&mut self, items: &[Item], attempt: Attempt) -> Prepared {
        let at = Moment {
            level: self.state.level(),
            now: Millis(attempt.now_us / 1_000),
            wall: attempt.wall,
            token_floor: attempt.version.saturating_mul(TOKENS_PER_WRITE),
        };
        let mut prepared = Prepared {
            attempt,
            answers: Vec::with_capacity(items.len()),
            events: Vec::new(),
            edited: false,
            untold: Vec::new(),
            changed: Vec::new(),
            ended: Vec::new(),
            before: Before {
                records: BTreeMap::new(),
                documents: None,
                now: self.state.now(),
                newest: self.state.newest(),
            },
        };
        for item in items {
            let answer = self.carry_out(item, at, &mut prepared);
            prepared.answers.push(answer);
        }
        let changed = prepared.before.records.iter().filter(|(lock, before)| {
            let before = before.as_ref().map(LockRecord::revision);
            before != self.state.record(lock).map(LockRecord::revision)
        });
        prepared.changed = changed.map(|(lock, _)| lock.clone()).collect();
        prepared
    }

    fn carry_out(&mut self, item: &Item, at: Moment, prepared: &mut Prepared) -> Answer {
        match item {
            Item::Batch(batch) => {
                self.remember(batch.commands.iter().map(|c| &c.lock), prepared);
                self.remember_counted(&batch.commands, at.now, prepared);
                let applied =
                    self.state
                        .execute(&batch.commands, batch.atomicity, &batch.notes, at);
                prepared.events.extend(applied.events);
                prepared.ended.extend(applied.ended);
                Answer::Outcomes(applied.outcomes)
            }
            Item::Edits(edits) => {
                let before = self.state.all_documents().clone();
                let revision = before.revision();
                prepared.before.documents.get_or_insert(before);
                let (outcome, events) = self.state.edit(edits, at);
                prepared.edited |= self.state.documents_revision() != revision;
                prepared.events.extend(events);
                prepared.untold.extend(DocumentName::without_event(edits));
                Answer::Edited(outcome)
            }
            Item::Tick => {
                let due = self.state.due(at.now, LOCKS_PER_TICK_MAX);
                self.remember(due.iter(), prepared);
                let tick = |lock| Command {
                    lock,
                    action: Action::Tick,
                    cause: None,
                    expect: None,
                };
                let ticks: Vec<_> = due.into_iter().map(tick).collect();
                self.remember_counted(&ticks, at.now, prepared);
                let each = leasehold_domain::Atomicity::Each;
                let applied = self.state.execute(&ticks, each, &[], at);
                prepared.events.extend(applied.events);
                prepared.ended.extend(applied.ended);
                Answer::Done
            }
            Item::Read(query) => self.read(query, at.now),
            Item::Look => Answer::Done,
        }
    }

    fn remember<'a>(&self, locks: impl Iterator<Item = &'a LockRef>, prepared: &mut Prepared) {
        for lock in locks {
            if !prepared.before.records.contains_key(lock) {
                let record = self.state.record(lock).cloned();
                prepared.before.records.insert(lock.clone(), record);
            }
        }
    }

    /// Remembers the locks whose leases these commands may end for a counter.
    fn remember_counted(&self, commands: &[Command], now: Millis, prepared: &mut Prepared) {
        let now = now.max(self.state.now());
        let expiring = self.state.locks_to_expire(commands, now);
        self.remember(expiring.iter(), prepared);
    }

    fn read(&self, query: &Query, now: Millis) -> Answer {
        match query {
            Query::Lock(lock) => Answer::Lock(Box::new(self.state.view(lock, now))),
            Query::Locks(query) => Answer::Locks(self.state.list(query, now)),
            Query::Usage(namespace, subject, team) => {
                Answer::Usage(self.state.usage(namespace, subject, team.as_ref()))
            }
            Query::Holds(lock, subject, request_id) => {
                Answer::Holds(self.state.holds(lock, subject, request_id))
            }
            Query::Document(collection, id) => {
                Answer::Document(self.state.document(collection, id))
            }
            Query::Documents(collection) => Answer::Documents(self.state.documents(collection)),
            Query::Snapshot => Answer::Snapshot(self.state.all_documents().clone()),
            Query::Revision => Answer::Revision(self.state.documents_revision()),
        }
    }

    /// Returns the documents that a write changes.
    pub(crate) fn changed_documents<'a>(
        &'a self,
        prepared: &'a Prepared,
    ) -> Vec<DocumentChange<'a>> {
        let before = prepared.before.documents.as_ref();
        before.map_or_else(Vec::new, |before| {
            self.state.all_documents().changes_since(before)
        })
    }

    /// What has changed of the records, as the log keeps it.
    pub(crate) fn pack_changes(&self, prepared: &Prepared) -> Vec<u8> {
        let change = |lock: &LockRef| {
            let before = prepared.before.records.get(lock).and_then(Option::as_ref);
            let after = self.state.record(lock);
            after.map(|after| RecordChange::between(before, after))
        };
        let changed = prepared.changed.iter();
        let locks = changed.map(|lock| LockChange {
            lock: lock.clone(),
            change: change(lock),
        });
        let changes = Changes {
            locks: locks.collect(),
            ended: prepared.ended.clone(),
            documents: prepared.untold.clone(),
        };
        changes.pack()
    }

    /// Follows what another write left in the log.
    pub(crate) fn follow(&mut self, changes: &[u8]) -> Result<(), BackendError> {
        let changes = Changes::read(changes)?;
        let version = self.version;
        let unfolded = changes.ended.iter().map(|one| (version, *one));
        self.unfolded_ended.extend(unfolded);
        self.state.put_ended(changes.ended);
        for LockChange { lock, change } in changes.locks {
            let changed = self.state.change_record(&lock, change);
            changed.map_err(|misfit| error::corrupt("log", format!("{lock}: {misfit}")))?;
            self.unfolded.insert(lock, self.version);
        }
        Ok(())
    }

    /// The database has the write: so does the mirror for good.
    pub(crate) fn settle(&mut self, prepared: &Prepared) {
        self.version = prepared.attempt.version;
        self.now_us = prepared.attempt.now_us;
        let changed = prepared.changed.iter();
        self.unfolded
            .extend(changed.map(|lock| (lock.clone(), self.version)));
        let ended = prepared.ended.iter();
        self.unfolded_ended
            .extend(ended.map(|one| (self.version, *one)));
    }

    /// The database does not have the write, or nobody knows: takes it back, and answers what it
    /// had come to.
    pub(crate) fn take_back(&mut self, prepared: Prepared) -> Vec<Answer> {
        let before = prepared.before;
        for (lock, record) in before.records {
            self.state.put_record(&lock, record);
        }
        if let Some(documents) = before.documents {
            self.state.put_documents(documents);
        }
        self.state.take_back_ended(&prepared.ended);
        self.state.resume(before.now, before.newest);
        prepared.answers
    }
}

#[cfg(test)]
mod tests;
