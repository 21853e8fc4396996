//! A record on its way from one store to another.
//!
//! Two stores have nothing in common, so what is exported counts its times from the moment of the
//! export. A lease arrives as if it had been renewed then: its holder may have tried in between, and
//! been refused. Its hold, a drain, a cooldown and a reservation keep the time that they had left.

use std::sync::Arc;

use leasehold_domain::EndCause;
use leasehold_domain::Millis;
use leasehold_domain::Outcome;
use leasehold_domain::Rejection;
use leasehold_domain::Transition;
use leasehold_domain::limits::WAITER_SLACK_MS;
use leasehold_stored::Formed;
use leasehold_stored::formed;
use leasehold_stored::record as form;

use super::Step;
use crate::LockRecord;
use crate::lease::Lease;
use crate::shift::Shift;

struct Exported {
    at: Millis,
    record: LockRecord,
}

formed!(struct Exported => form::Exported<'a> { at, record });

impl Shift {
    fn lease(self, lease: &mut Lease, now: Millis) {
        lease.granted = self.time(lease.granted);
        lease.hold_until = lease.hold_until.map(|until| self.time(until));
        lease.deadline = self.time(lease.deadline);
        if lease.drain.is_none() {
            let lasting = Lease::lasting(now, lease.ttl_ms, lease.hold_until);
            lease.deadline = lease.deadline.max(lasting);
        }
    }

    fn record(self, record: &mut LockRecord, now: Millis) {
        let holders = record.holders.iter_mut();
        holders.for_each(|lease| self.lease(lease, now));
        let Some(rest) = record.rest.as_deref_mut() else {
            return;
        };
        // Time for a client that was told to ask again.
        let soonest = now.plus(WAITER_SLACK_MS);
        for waiter in rest.queue.iter_mut().map(Arc::make_mut) {
            waiter.queued = self.time(waiter.queued);
            waiter.deadline = self.time(waiter.deadline).max(soonest);
            waiter
                .claims
                .move_ends(|until| self.time(until).max(soonest));
        }
        rest.cooldown_until = match rest.cooldown_until > self.from {
            true => self.time(rest.cooldown_until),
            false => Millis::default(),
        };
        for reservation in &mut rest.reservations {
            reservation.until = self.time(reservation.until);
        }
        for ended in &mut rest.ended {
            ended.at = self.time(ended.at);
        }
    }
}

/// The record as bytes, and the floor of this write.
pub(super) fn export(record: &LockRecord, now: Millis, token_floor: u64) -> Outcome {
    let known = *record != LockRecord::default();
    let exported = form::Exported {
        at: now.max(record.clock).0,
        record: record.form(),
    };
    let record = known.then(|| {
        let mut bytes = Vec::new();
        leasehold_stored::encode_into(&exported, &mut bytes);
        Arc::from(bytes)
    });
    Outcome::Exported {
        record,
        token_floor,
    }
}

impl Step<'_> {
    /// Puts an exported record in its place. One that is there has come by the same move, which was
    /// cut off: it is the same but for its times, which count from now.
    pub(super) fn import(&mut self, bytes: &[u8]) -> Outcome {
        let Ok(Exported { at, mut record }) = leasehold_stored::decode(bytes) else {
            return Outcome::Rejected(Rejection::Impossible);
        };
        // The two stores cut milliseconds off at different instants.
        let shift = Shift {
            from: at,
            to: self.now.over_from(),
        };
        shift.record(&mut record, self.now);
        record.share_policies(self.shared);
        let again = *self.record != LockRecord::default();
        if again {
            record.revision = self.record.revision;
        }
        *self.record = record;
        self.changed = true;
        if !again {
            self.tell_arrival();
        }
        Outcome::Imported
    }

    /// Everything that the record says, so that who follows this store alone knows it.
    fn tell_arrival(&mut self) {
        let now = self.now;
        let settings = self
            .record
            .rest
            .as_deref()
            .and_then(|rest| rest.settings.as_deref());
        let mut told: Vec<Transition> = Vec::new();
        told.extend(settings.map(|settings| Transition::Configured {
            settings: settings.clone(),
        }));
        for lease in &self.record.holders {
            let (handle, owner) = (lease.lease_id.handle(), lease.party.owner());
            told.push(Transition::Granted {
                handle,
                owner: owner.clone(),
                mode: lease.mode,
                token: lease.token,
                ttl_ms: now.until(lease.deadline),
                waited_ms: None,
                request_id: lease.request_id.clone(),
            });
            told.extend(lease.drain.as_deref().map(|cause| Transition::Draining {
                handle,
                owner,
                remaining_ms: now.until(lease.deadline),
                cause: cause.clone(),
            }));
        }
        for (index, waiter) in self.record.waiters().enumerate() {
            told.push(Transition::Queued {
                handle: waiter.lease_id.handle(),
                owner: waiter.party.owner(),
                mode: waiter.mode,
                position: u32::try_from(index).unwrap_or(u32::MAX),
            });
        }
        let cooling = self.record.cooldown_until();
        told.extend((cooling > now).then(|| Transition::CoolingDown {
            remaining_ms: now.until(cooling),
        }));
        for reservation in self.record.reservations() {
            told.push(Transition::Reserved {
                to: reservation.to.clone(),
                remaining_ms: now.until(reservation.until),
            });
        }
        self.transitions = told;
    }

    /// Forgets a record that is in another store now.
    pub(super) fn evict(&mut self) -> Outcome {
        let record = std::mem::take(self.record);
        for lease in record.holders {
            self.tell(Transition::Ended {
                handle: lease.lease_id.handle(),
                owner: lease.party.owner(),
                mode: lease.mode,
                token: lease.token,
                cause: EndCause::Moved,
                since: lease.since,
                held_ms: lease.granted.until(self.now),
                late_ms: 0,
                renewals: lease.renewals,
            });
        }
        let queue = record.rest.into_iter().flat_map(|rest| rest.queue);
        for waiter in queue {
            self.end_wait(&waiter, false);
        }
        // The revision goes on from the old one, so that no reader takes nothing for the same.
        self.record.revision = record.revision;
        self.changed |= record.revision > 0;
        Outcome::Evicted
    }
}
