//! Commands and ticks on many locks.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use leasehold_domain::Action;
use leasehold_domain::Atomicity;
use leasehold_domain::Cause;
use leasehold_domain::Command;
use leasehold_domain::CounterFull;
use leasehold_domain::CounterKey;
use leasehold_domain::Decision;
use leasehold_domain::Effect;
use leasehold_domain::EndCause;
use leasehold_domain::Event;
use leasehold_domain::EventKind;
use leasehold_domain::LockRef;
use leasehold_domain::Note;
use leasehold_domain::Outcome;
use leasehold_domain::Transition;

use super::Applied;
use super::State;
use crate::EndedRequest;
use crate::LockRecord;
use crate::Moment;
use crate::apply::Context;
use crate::apply::Queueing;
use crate::apply::apply_with;
use crate::counters::OtherLeases;
use crate::counters::RecordCounters;
use crate::ended::RequestKey;

/// What commands leave besides their outcomes.
#[derive(Default)]
struct Told {
    events: Vec<Event>,
    ended: Vec<EndedRequest>,
}

/// Copies of records on which commands are tried, with the transitions of each.
pub(super) type Copies<'a> = BTreeMap<&'a LockRef, (LockRecord, Vec<Transition>)>;

impl State {
    /// Carries out commands in order, then records the notes. With
    /// [`Atomicity::AllOrNothing`], a failing command leaves all locks as they were, and no
    /// event of a command is made; the notes are recorded all the same.
    pub fn execute(
        &mut self,
        commands: &[Command],
        atomicity: Atomicity,
        notes: &[Note],
        at: Moment,
    ) -> Applied {
        let at = self.begin(at);
        let mut told = Told {
            events: Vec::with_capacity(commands.len() + notes.len()),
            ended: Vec::new(),
        };
        let outcomes = match atomicity {
            Atomicity::Each => {
                let each = commands.iter();
                each.map(|c| self.run(c, at, &mut told)).collect()
            }
            Atomicity::AllOrNothing => self.run_together(commands, at, &mut told),
        };
        let Told { mut events, ended } = told;
        for note in notes {
            let kind = match note {
                Note::Denied(cause) => EventKind::Denied(cause.clone()),
                Note::Governance(change) => EventKind::Governance(change.clone()),
            };
            events.push(self.event(at, kind));
        }
        Applied {
            outcomes,
            events,
            ended,
        }
    }

    /// Expires and grants what is due at `at.now`, on at most `locks_max` locks, in the order of
    /// their deadlines and then names; forgets idle records that are due. Call it again while
    /// [`State::next_deadline`] is not after `at.now`.
    pub fn tick(&mut self, at: Moment, locks_max: usize) -> Vec<Event> {
        let at = self.begin(at);
        let mut told = Told::default();
        for _ in 0..locks_max {
            let Some(lock) = self.locks.due(at.now) else {
                break;
            };
            self.run(&tick(lock), at, &mut told);
        }
        told.events
    }

    /// Carries out a command. Leases of other locks that are over end before it, if they carry a
    /// counter that would refuse something else; what waits for those locks is served after it.
    fn run(&mut self, command: &Command, at: Moment, told: &mut Told) -> Outcome {
        let mut over = self.locks_that_must_expire([command], at.now);
        over.remove(&command.lock);
        if !over.is_empty() && self.is_stale(command) {
            return Outcome::Stale;
        }
        self.expire_only(&over, at, told);
        let outcome = self.run_alone(command, at, told, false);
        self.serve_expired(over, at, told);
        outcome
    }

    /// Ends what is over of these locks, and grants nothing yet.
    fn expire_only(&mut self, over: &BTreeSet<LockRef>, at: Moment, told: &mut Told) {
        for lock in over {
            self.run_alone(&tick(lock.clone()), at, told, true);
        }
    }

    /// Grants what became free of these locks.
    fn serve_expired(&mut self, over: BTreeSet<LockRef>, at: Moment, told: &mut Told) {
        for lock in over {
            self.run_alone(&tick(lock), at, told, false);
        }
    }

    /// Whether the record has changed since the decision on the command.
    fn is_stale(&self, command: &Command) -> bool {
        let expected = command.expect.as_ref().and_then(|expect| expect.revision);
        let revision = self.locks.get(&command.lock).map_or(0, |r| r.revision);
        expected.is_some_and(|expected| expected != revision)
    }

    fn run_alone(
        &mut self,
        command: &Command,
        at: Moment,
        told: &mut Told,
        only_expires: bool,
    ) -> Outcome {
        let Some(at) = self.admitted(command, at) else {
            return Outcome::Moved;
        };
        if !self.usage_is_as_expected(command) {
            return Outcome::Stale;
        }
        let context = Context {
            past: self.past(command, at, &[]),
            cap_check: self.cap_check(command),
            only_expires,
            ..Context::default()
        };
        let applied = self.locks.apply(command, at, context);
        for ended in applied.ended {
            self.ended.add(ended);
            told.ended.push(ended);
        }
        self.tell(command, applied.transitions, at, &mut told.events);
        self.tell_denial(command, &applied.outcome, at, &mut told.events);
        applied.outcome
    }

    /// Returns how the lease ended that the same acquire was granted before. `ended` are those
    /// that this batch has ended, and that are not remembered yet.
    fn past(&self, command: &Command, at: Moment, ended: &[EndedRequest]) -> Option<EndCause> {
        let is_once = matches!(command.action, Action::AcquireOnce { .. });
        if !is_once || self.ended.is_empty() && ended.is_empty() {
            return None;
        }
        let cause = command.cause.as_deref()?;
        let subject = &cause.principal.subject;
        let key = RequestKey::of(&command.lock, subject, &cause.request_id);
        let in_batch = ended.iter().rev().find(|ended| ended.key == key);
        let in_batch = in_batch.map(|ended| ended.cause);
        in_batch.or_else(|| self.ended.cause(&key, at.now))
    }

    /// Tries all commands on copies, which take the place of the records if none failed.
    fn run_together(
        &mut self,
        commands: &[Command],
        at: Moment,
        all_told: &mut Told,
    ) -> Vec<Outcome> {
        // Not on copies: what is over ends, whatever becomes of the commands.
        let over = self.locks_that_must_expire(commands, at.now);
        self.expire_only(&over, at, all_told);
        let outcomes = self.try_together(commands, at, all_told);
        for (command, outcome) in commands.iter().zip(&outcomes) {
            self.tell_denial(command, outcome, at, &mut all_told.events);
        }
        self.serve_expired(over, at, all_told);
        outcomes
    }

    fn try_together(
        &mut self,
        commands: &[Command],
        at: Moment,
        all_told: &mut Told,
    ) -> Vec<Outcome> {
        let mut copies = Copies::new();
        let mut outcomes = Vec::with_capacity(commands.len());
        let mut told = Vec::with_capacity(commands.len());
        let mut ended: Vec<EndedRequest> = Vec::new();
        for command in commands {
            let Some(at) = self.admitted(command, at) else {
                outcomes.push(Outcome::Moved);
                continue;
            };
            if !self.usage_is_as_expected(command) {
                outcomes.push(Outcome::Stale);
                continue;
            }
            let stored = self.locks.get(&command.lock).map(RecordCounters::of);
            let added = self.counters_added(&command.lock, &copies);
            let cap_check = self.cap_check_with_copies(command, &copies);
            let usage = self.locks.usage.get(&command.lock.namespace);
            let context = Context {
                queueing: Queueing::Never,
                past: self.past(command, at, &ended),
                cap_check,
                others: OtherLeases {
                    table: usage.map(|usage| &usage.counters),
                    own: stored.as_ref(),
                    added: &added,
                },
                ..Context::default()
            };
            let (record, all) = copies.entry(&command.lock).or_insert_with(|| {
                let records = self.locks.records.get(&command.lock.namespace);
                let record = records.and_then(|r| r.get(&command.lock.lock)).cloned();
                (record.unwrap_or_default(), Vec::new())
            });
            let applied = apply_with(record, command, at, context, &mut self.locks.policies);
            all.extend_from_slice(&applied.transitions);
            ended.extend(applied.ended);
            told.push((command, applied.transitions));
            outcomes.push(applied.outcome);
        }
        if outcomes.iter().any(is_failure) {
            let failed_or = |outcome| match is_failure(&outcome) {
                true => outcome,
                false => Outcome::NotAttempted,
            };
            return outcomes.into_iter().map(failed_or).collect();
        }
        for (lock, (record, transitions)) in copies {
            self.locks.replace(lock, record, &transitions, at.now);
        }
        for (command, transitions) in told {
            self.tell(command, transitions, at, &mut all_told.events);
        }
        ended.iter().for_each(|one| self.ended.add(*one));
        all_told.ended.extend(ended);
        outcomes
    }

    /// Returns what the copies of other locks of the namespace have added to its counters.
    fn counters_added(&self, lock: &LockRef, copies: &Copies<'_>) -> Vec<(CounterKey, i64)> {
        let others = copies.iter();
        let others =
            others.filter(|(other, _)| other.namespace == lock.namespace && **other != lock);
        let added = others.flat_map(|(other, (copy, _))| {
            let before = self.locks.get(other).map(RecordCounters::of);
            RecordCounters::differences(&before.unwrap_or_default(), &RecordCounters::of(copy))
        });
        added.collect()
    }

    /// Records that a counter refused an acquire: as a denial of the counter's policy.
    fn tell_denial(
        &mut self,
        command: &Command,
        outcome: &Outcome,
        at: Moment,
        events: &mut Vec<Event>,
    ) {
        if let (Outcome::CounterFull(full), Some(cause)) = (outcome, &command.cause) {
            let denied = Arc::new(denied(cause, full));
            events.push(self.event(at, EventKind::Denied(denied)));
        }
    }

    fn tell(
        &mut self,
        command: &Command,
        transitions: Vec<Transition>,
        at: Moment,
        events: &mut Vec<Event>,
    ) {
        if !transitions.is_empty() {
            let kind = EventKind::Lock {
                lock: command.lock.clone(),
                cause: command.cause.clone(),
                transitions,
            };
            events.push(self.event(at, kind));
        }
    }

    fn usage_is_as_expected(&self, command: &Command) -> bool {
        let expected = command.expect.as_ref().and_then(|expect| expect.usage);
        let (Some(expected), Some(cause)) = (expected, command.cause.as_deref()) else {
            return true;
        };
        let principal = &*cause.principal;
        let namespace = &command.lock.namespace;
        self.usage(namespace, &principal.subject, principal.team.as_ref()) == expected
    }
}

fn tick(lock: LockRef) -> Command {
    Command {
        lock,
        action: Action::Tick,
        cause: None,
        expect: None,
    }
}

/// The cause of an acquire that its policies allowed, and a counter of one of them refused.
fn denied(cause: &Cause, full: &CounterFull) -> Cause {
    let decision = cause.decision.as_deref().map(|decision| {
        Arc::new(Decision {
            effect: Effect::Deny(full.denial()),
            ..decision.clone()
        })
    });
    Cause {
        decision,
        ..cause.clone()
    }
}

/// Whether a command of a batch that succeeds or fails as a whole makes it fail. Exhaustive, so
/// that a new outcome must answer.
fn is_failure(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Granted(_)
        | Outcome::Renewed(_)
        | Outcome::Released
        | Outcome::Revoked { .. }
        | Outcome::Transferring { .. }
        | Outcome::Cancelled
        | Outcome::Configured
        | Outcome::Ticked
        | Outcome::Exported { .. }
        | Outcome::Imported
        | Outcome::Evicted => false,
        Outcome::Queued { .. }
        | Outcome::Held { .. }
        | Outcome::Draining(_)
        | Outcome::LeaseLost(_)
        | Outcome::NotHolder
        | Outcome::Rejected(_)
        | Outcome::Stale
        | Outcome::NotAttempted
        | Outcome::Moved
        | Outcome::CounterFull(_) => true,
    }
}
