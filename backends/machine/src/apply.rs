//! The pure function: one record, one command.

mod acquire;
mod cancel;
mod expire;
mod holder;
mod relocate;
mod revoke;
mod serve;

use leasehold_domain::Action;
use leasehold_domain::Command;
use leasehold_domain::CounterFull;
use leasehold_domain::EndCause;
use leasehold_domain::FencingToken;
use leasehold_domain::LeaseId;
use leasehold_domain::LockRef;
use leasehold_domain::LockSettings;
use leasehold_domain::Millis;
use leasehold_domain::Operation;
use leasehold_domain::Outcome;
use leasehold_domain::Rejection;
use leasehold_domain::Subject;
use leasehold_domain::Transition;
use leasehold_domain::WallMillis;

use crate::EndedRequest;
use crate::LockRecord;
use crate::Moment;
use crate::cap_usage::CapCheck;
use crate::counters::OtherLeases;
use crate::shared_policies::SharedPolicies;

/// Applies one command to one lock: expires what is due, does the work, grants what became free.
///
/// Deterministic, without I/O, clock or randomness. Never ends a lease before its time.
/// `expect.revision` is checked against the record as it is before anything expires;
/// `expect.usage` and `expect.caps` are not, because one record does not know what others have:
/// [`crate::State`] does. Of `expect.counters`, only this record's leases count.
/// Without a change of the record there are no transitions, and its revision stays.
pub fn apply(record: &mut LockRecord, command: &Command, at: Moment) -> (Outcome, Vec<Transition>) {
    let shared = &mut SharedPolicies::default();
    let applied = apply_with(record, command, at, Context::default(), shared);
    (applied.outcome, applied.transitions)
}

/// What a command came to on one record.
pub(crate) struct OneApplied {
    pub(crate) outcome: Outcome,
    pub(crate) transitions: Vec<Transition>,
    /// Acquires whose leases it ended.
    pub(crate) ended: Vec<EndedRequest>,
}

impl OneApplied {
    fn unchanged(outcome: Outcome) -> Self {
        Self {
            outcome,
            transitions: Vec::new(),
            ended: Vec::new(),
        }
    }
}

/// What a command needs to know besides the record of its lock.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Context<'a> {
    pub(crate) queueing: Queueing,
    /// Whether a tick only ends what is over, and grants nothing yet.
    pub(crate) only_expires: bool,
    /// How the lease ended that the same acquire was granted before, if the store remembers one.
    pub(crate) past: Option<EndCause>,
    /// The check against the caps of the namespace; `None` if the command has no caps.
    pub(crate) cap_check: Option<CapCheck>,
    /// The leases of other locks that count.
    pub(crate) others: OtherLeases<'a>,
}

/// Whether an acquire may enter the queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Queueing {
    /// If it asks for it.
    #[default]
    AsAsked,
    /// Not even then: it is one of several, of which all or none are granted.
    Never,
}

/// Applies one command as [`apply`] does, with what the store knows besides.
pub(crate) fn apply_with(
    record: &mut LockRecord,
    command: &Command,
    at: Moment,
    context: Context<'_>,
    shared: &mut SharedPolicies,
) -> OneApplied {
    let expected = command.expect.as_ref().and_then(|expect| expect.revision);
    if expected.is_some_and(|revision| revision != record.revision) {
        return OneApplied::unchanged(Outcome::Stale);
    }
    if command.action == Action::Export {
        let exported = relocate::export(record, at.now, at.token_floor);
        return OneApplied::unchanged(exported);
    }
    let mut step = Step::new(record, &command.lock, at, shared);
    step.past = context.past;
    step.cap_check = context.cap_check;
    step.others = context.others;
    let outcome = match &command.action {
        // Between two stores time stands still, and nothing is granted.
        Action::Import { record, .. } => step.import(record),
        Action::Evict { .. } => step.evict(),
        _ => {
            step.expire();
            let outcome = step.work(command, context.queueing);
            if !context.only_expires {
                step.serve();
            }
            outcome
        }
    };
    step.finish();
    OneApplied {
        outcome,
        transitions: step.transitions,
        ended: step.ended,
    }
}

/// The counters that the lease of an acquire will carry.
fn counters(command: &Command) -> &[leasehold_domain::Counter] {
    let expect = command.expect.as_ref();
    expect.map_or(&[], |expect| &expect.counters)
}

/// One application of one command to one record.
struct Step<'a> {
    record: &'a mut LockRecord,
    lock: &'a LockRef,
    now: Millis,
    wall: WallMillis,
    token_floor: u64,
    /// The one token that this step may make, once it has made it.
    token: Option<FencingToken>,
    /// The acquire that this step is about: if it is granted at once, it did not wait.
    arriving: Option<LeaseId>,
    /// The waiter whose client asks in this step, and so is there.
    asking: Option<LeaseId>,
    /// Reservations made in this step: told of if the successor is not granted in it.
    reserved: Vec<Subject>,
    /// Whether the record changed. Forgetting what is past its time is no change.
    changed: bool,
    transitions: Vec<Transition>,
    /// How the lease of the same acquire ended before this step.
    past: Option<EndCause>,
    shared: &'a mut SharedPolicies,
    cap_check: Option<CapCheck>,
    /// The leases of other locks that count.
    others: OtherLeases<'a>,
    /// The counter that refused the acquire that this step is about.
    refused: Option<Box<CounterFull>>,
    /// Acquires whose leases this step ended.
    ended: Vec<EndedRequest>,
}

impl<'a> Step<'a> {
    fn new(
        record: &'a mut LockRecord,
        lock: &'a LockRef,
        at: Moment,
        shared: &'a mut SharedPolicies,
    ) -> Self {
        let now = at.now.max(record.clock);
        Self {
            record,
            lock,
            now,
            wall: at.wall,
            token_floor: at.token_floor,
            token: None,
            arriving: None,
            asking: None,
            reserved: Vec::new(),
            changed: false,
            transitions: Vec::new(),
            past: None,
            cap_check: None,
            others: OtherLeases::default(),
            refused: None,
            shared,
            ended: Vec::new(),
        }
    }

    fn work(&mut self, command: &Command, queueing: Queueing) -> Outcome {
        let Some(cause) = command.cause.as_deref() else {
            return match command.action {
                Action::Tick => Outcome::Ticked,
                _ => Outcome::Rejected(Rejection::Impossible),
            };
        };
        let subject = &cause.principal.subject;
        match &command.action {
            Action::Tick => Outcome::Ticked,
            Action::Acquire {
                lease_id,
                mode,
                ttl_ms,
                wait_ms,
                max_hold_ms,
            }
            | Action::AcquireOnce {
                lease_id,
                mode,
                ttl_ms,
                wait_ms,
                max_hold_ms,
            } => self.acquire(acquire::Asked {
                cause,
                once: matches!(command.action, Action::AcquireOnce { .. }),
                lease_id: *lease_id,
                mode: *mode,
                ttl_ms: *ttl_ms,
                wait_ms: wait_ms.filter(|_| queueing == Queueing::AsAsked),
                max_hold_ms: *max_hold_ms,
                counters: counters(command),
            }),
            Action::Renew {
                lease_id,
                ttl_ms,
                max_hold_ms,
                record,
            } => self.renew(
                subject,
                lease_id,
                holder::Renewal {
                    ttl_ms: *ttl_ms,
                    max_hold_ms: *max_hold_ms,
                    record: *record,
                    decision: cause.decision.as_deref(),
                    confirms: cause.request.operation == Operation::Acquire,
                },
            ),
            Action::Release { lease_id } => self.release(subject, lease_id, 0),
            Action::ReleaseWithCooldown {
                lease_id,
                cooldown_ms,
            } => self.release(subject, lease_id, *cooldown_ms),
            Action::Revoke { target, grace_ms } => self.revoke(subject, target, *grace_ms),
            Action::Transfer {
                lease_id,
                to,
                grace_ms,
            } => self.transfer(subject, lease_id, to, *grace_ms),
            Action::CancelWait { lease_id } => self.cancel_wait(subject, lease_id),
            Action::Configure(settings) => self.configure(settings),
            Action::Export | Action::Import { .. } | Action::Evict { .. } => {
                Outcome::Rejected(Rejection::Impossible)
            }
        }
    }

    /// New settings hold for what comes; nobody who holds loses anything by them.
    fn configure(&mut self, settings: &LockSettings) -> Outcome {
        if settings.limit == 0 {
            return Outcome::Rejected(Rejection::Impossible);
        }
        if *self.record.settings() == *settings {
            return Outcome::Configured;
        }
        let is_default = *settings == LockSettings::default();
        self.record.rest_mut().settings = (!is_default).then(|| Box::new(settings.clone()));
        self.tell(Transition::Configured {
            settings: settings.clone(),
        });
        self.dismiss_oversized(settings.limit);
        Outcome::Configured
    }

    /// Records a transition, which is a change.
    fn tell(&mut self, transition: Transition) {
        self.changed = true;
        self.transitions.push(transition);
    }

    fn finish(&mut self) {
        self.tell_reservations();
        self.record.tidy();
        if self.changed {
            let revision = &mut self.record.revision;
            // A record that was deleted and made anew goes on above its old revisions, because
            // the floor grows with every write of the store.
            *revision = if *revision == 0 {
                self.token_floor.saturating_add(1)
            } else {
                revision.saturating_add(1)
            };
            self.record.clock = self.now;
        }
    }
}
