//! What time does: leases and waits end, blocks are lifted, memory fades.

use leasehold_domain::DrainCause;
use leasehold_domain::EndCause;
use leasehold_domain::Millis;
use leasehold_domain::Transition;
use leasehold_domain::limits::COOLDOWN_MS_MAX;
use leasehold_domain::limits::ENDED_LEASE_MEMORY_MS;
use leasehold_domain::limits::ENDED_LEASES_PER_LOCK_MAX;

use super::Step;
use crate::EndedRequest;
use crate::ended::RequestKey;
use crate::lease::EndedLease;
use crate::lease::Lease;
use crate::record::RESERVATION_MS_MAX;
use crate::record::Reservation;
use crate::waiter::Waiter;

impl Step<'_> {
    /// Ends what is due at `now`, in the order in which it became due, waits after leases.
    pub(super) fn expire(&mut self) {
        let now = self.now;
        self.lift_blocks();
        let over = |lease: &Lease| lease.deadline.is_over(now);
        if self.record.holders.iter().any(over) {
            let due = self.record.holders.extract_if(.., |l| over(l));
            let mut due: Vec<Lease> = due.collect();
            due.sort_by_key(|lease| lease.deadline);
            for lease in due {
                let cause = lease.end_by_time();
                self.end(lease, cause);
            }
        }
        let over = |waiter: &Waiter| waiter.deadline.is_over(now);
        if self.record.waiters().any(|w| over(w)) {
            let queue = std::mem::take(&mut self.record.rest_mut().queue);
            let (mut due, rest): (Vec<_>, Vec<_>) = queue.into_iter().partition(|w| over(w));
            self.record.rest_mut().queue = rest.into();
            due.sort_by_key(|waiter| waiter.deadline);
            for waiter in due {
                self.end_wait(&waiter, true);
            }
        }
    }

    /// What is past its time says nothing any more.
    fn lift_blocks(&mut self) {
        let now = self.now;
        let Some(rest) = self.record.rest.as_deref_mut() else {
            return;
        };
        if rest.cooldown_until > Millis::default() && rest.cooldown_until <= now {
            rest.cooldown_until = Millis::default();
            self.changed = true;
        }
        if rest.reservations.iter().any(|r| r.until <= now) {
            rest.reservations.retain(|r| r.until > now);
            self.changed = true;
        }
        rest.ended
            .retain(|ended| ended.at.plus(ENDED_LEASE_MEMORY_MS) > now);
    }

    /// Ends a lease that was taken out of the holders.
    pub(super) fn end(&mut self, lease: Lease, cause: EndCause) {
        let now = self.now;
        if let Some(rest) = self.record.rest.as_deref_mut() {
            rest.claims.retain(|c| c.lease_id != lease.lease_id);
        }
        self.tell(Transition::Ended {
            handle: lease.lease_id.handle(),
            owner: lease.party.owner(),
            mode: lease.mode,
            token: lease.token,
            cause,
            since: lease.since,
            held_ms: lease.granted.until(now),
            late_ms: lease.deadline.over_from().until(now),
            renewals: lease.renewals,
        });
        match cause {
            EndCause::Expired | EndCause::HeldTooLong => self.cool_down(&lease),
            EndCause::Released | EndCause::GivenBack | EndCause::Transferred => {
                self.reserve_for_successor(&lease);
            }
            EndCause::Revoked | EndCause::Unknown | EndCause::Moved => {}
        }
        self.remember(lease, cause);
    }

    pub(super) fn end_wait(&mut self, waiter: &Waiter, expired: bool) {
        self.tell(Transition::WaitEnded {
            handle: waiter.lease_id.handle(),
            owner: waiter.party.owner(),
            expired,
            refused: None,
        });
    }

    /// The cooldown counts from when the lease was over, not from the tick that saw it late.
    fn cool_down(&mut self, lease: &Lease) {
        let cooldown_ms = self.record.settings().cooldown_ms;
        if cooldown_ms == 0 {
            return;
        }
        self.cool_down_until(lease.deadline.over_from().plus(cooldown_ms));
    }

    /// Returns until when a released lease keeps the lock from being granted. A policy's longest
    /// hold bounds the cooldown, too: otherwise a holder could keep others out beyond it. A lease
    /// that drains leaves no cooldown, because whoever revoked or transferred it has decided that
    /// the lock becomes free.
    pub(super) fn cooldown_of_release(&self, lease: &Lease, cooldown_ms: u64) -> Millis {
        if lease.drain.is_some() {
            return self.now;
        }
        let cooldown_ms = cooldown_ms.min(COOLDOWN_MS_MAX);
        Lease::lasting(self.now, cooldown_ms, lease.hold_until)
    }

    /// Starts a cooldown, or extends the one that lasts; never shortens it.
    pub(super) fn cool_down_until(&mut self, until: Millis) {
        if until > self.now && until > self.record.cooldown_until() {
            self.record.rest_mut().cooldown_until = until;
            self.tell(Transition::CoolingDown {
                remaining_ms: self.now.until(until),
            });
        }
    }

    fn reserve_for_successor(&mut self, lease: &Lease) {
        let Some(DrainCause::Transfer { to }) = lease.drain.as_deref() else {
            return;
        };
        let until = self.now.plus(lease.ttl_ms.min(RESERVATION_MS_MAX));
        let rest = self.record.rest_mut();
        match rest.reservations.iter_mut().find(|r| r.to == *to) {
            Some(standing) => standing.until = standing.until.max(until),
            None => rest.reservations.push(Reservation {
                to: to.clone(),
                until,
            }),
        }
        self.reserved.push(to.clone());
    }

    fn remember(&mut self, lease: Lease, cause: EndCause) {
        let at = self.now;
        // A grant that nobody was there to take was never answered: its client may ask again.
        if cause != EndCause::GivenBack {
            let key = RequestKey::of(self.lock, &lease.party.subject, &lease.request_id);
            self.ended.push(EndedRequest { key, at, cause });
        }
        let ended = &mut self.record.rest_mut().ended;
        if ended.len() >= ENDED_LEASES_PER_LOCK_MAX {
            ended.remove(0);
        }
        if ended.len() == ended.capacity() {
            ended.reserve_exact(1);
        }
        ended.push(EndedLease {
            lease_id: lease.lease_id,
            subject: lease.party.subject,
            at,
            cause,
        });
    }

    /// Tells of the reservations of this step whose successor was not granted in it.
    pub(super) fn tell_reservations(&mut self) {
        for to in std::mem::take(&mut self.reserved) {
            let standing = self.record.reservations().iter().find(|r| r.to == to);
            if let Some(until) = standing.map(|r| r.until) {
                let remaining_ms = self.now.until(until);
                self.tell(Transition::Reserved { to, remaining_ms });
            }
        }
    }
}
