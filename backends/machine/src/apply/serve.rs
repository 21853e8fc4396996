//! Granting: whose turn it is, and what a grant writes.

use std::sync::Arc;

use leasehold_domain::CounterFull;
use leasehold_domain::Mode;
use leasehold_domain::Renewals;
use leasehold_domain::Transition;

use super::Step;
use crate::PlantedBug;
use crate::claim::LeaseClaims;
use crate::lease::Lease;
use crate::lease::LeaseCounters;
use crate::waiter::Waiter;

impl Step<'_> {
    /// Grants to the first in the queue who is there, as long as that is possible. One that a
    /// counter refuses leaves the queue, and the next is looked at.
    pub(super) fn serve(&mut self) {
        while let Some(index) = self.next_in_turn() {
            let Some(waiter) = self.record.rest_mut().queue.remove(index) else {
                return;
            };
            match self.others.full(self.record, &waiter) {
                None => self.grant(Arc::unwrap_or_clone(waiter)),
                Some(full) => self.refuse(&waiter, full),
            }
        }
    }

    /// Tells of a waiter, which was taken out of the queue, that its turn came and a counter was
    /// full. What was reserved for it is not kept from others any longer.
    fn refuse(&mut self, waiter: &Waiter, full: CounterFull) {
        self.changed |= self.take_reservation(waiter);
        let full = Box::new(full);
        // One that arrives has not been told of as a waiter; the outcome says it.
        if self.arriving != Some(waiter.lease_id) {
            self.tell(Transition::WaitEnded {
                handle: waiter.lease_id.handle(),
                owner: waiter.party.owner(),
                expired: false,
                refused: Some(full.clone()),
            });
        }
        if self.asking == Some(waiter.lease_id) {
            self.refused = Some(full);
        }
    }

    /// Takes away what was reserved for a successor. Returns whether anything was.
    fn take_reservation(&mut self, waiter: &Waiter) -> bool {
        let Some(rest) = self.record.rest.as_deref_mut() else {
            return false;
        };
        let taken = |r: &crate::record::Reservation| r.to == waiter.party.subject;
        let index = rest.reservations.iter().position(taken);
        index.is_some_and(|index| {
            rest.reservations.remove(index);
            true
        })
    }

    /// The waiter to be granted now: the first that is there, or the first such successor of a
    /// transfer. One that does not fit keeps all behind it waiting, so nobody is overtaken for ever.
    /// One that would be granted, but is between two polls, is passed over and keeps its place: else
    /// clients that are gone would be handed the lock one after the other, and each would keep it
    /// until its slack is over.
    fn next_in_turn(&self) -> Option<usize> {
        let rest = self.record.rest.as_deref()?;
        let successor = |w: &Waiter| rest.reservations.iter().any(|r| r.to == w.party.subject);
        let is_there = |w: &Waiter| self.asking == Some(w.lease_id) || w.is_polled(self.now);
        for (index, waiter) in rest.queue.iter().enumerate() {
            if !rest.reservations.is_empty() && !successor(waiter) {
                continue;
            }
            if !self.can_grant(waiter) {
                return None;
            }
            if is_there(waiter) {
                return Some(index);
            }
        }
        None
    }

    /// Whether a grant is possible, not looking at the queue.
    pub(super) fn can_grant(&self, waiter: &Waiter) -> bool {
        if PlantedBug::BlindGrant.is_planted() {
            return true;
        }
        let reservations = self.record.reservations();
        let subject = &waiter.party.subject;
        self.record.cooldown_until() <= self.now
            && (reservations.is_empty() || reservations.iter().any(|r| r.to == *subject))
            && self.record.admits(waiter.mode)
            && self.record.next_token(self.token_floor).is_some()
    }

    /// Makes a waiter a holder. The caller has asked [`Self::can_grant`].
    ///
    /// All grants of one step share a token: no lease ends between two of them, so they hold
    /// together.
    pub(super) fn grant(&mut self, waiter: Waiter) {
        let next = || self.record.next_token(self.token_floor);
        let Some(token) = self.token.or_else(next) else {
            return;
        };
        self.token = Some(token);
        self.record.last_token = token.0;
        let now = self.now;
        let waited = self.arriving != Some(waiter.lease_id);
        self.take_reservation(&waiter);
        let hold_until = waiter.max_hold_ms.map(|ms| now.plus(ms));
        let deadline = Lease::lasting(now, waiter.ttl_ms, hold_until);
        self.tell(Transition::Granted {
            handle: waiter.lease_id.handle(),
            owner: waiter.party.owner(),
            mode: waiter.mode,
            token,
            ttl_ms: now.until(deadline),
            waited_ms: waited.then(|| waiter.queued.until(now)),
            request_id: waiter.request_id.clone(),
        });
        if let Some(claims) = waiter.claims.at_grant(&waiter.lease_id, now) {
            let lease_id = waiter.lease_id;
            let claims = LeaseClaims { lease_id, claims };
            self.record.rest_mut().claims.push(claims);
        }
        self.record.hold(Lease {
            lease_id: waiter.lease_id,
            request_id: waiter.request_id,
            party: waiter.party,
            mode: waiter.mode,
            token,
            since: self.wall,
            granted: now,
            deadline,
            ttl_ms: waiter.ttl_ms,
            hold_until,
            drain: None,
            renewals: Renewals::default(),
            waited,
            rule: waiter.rule,
            policies: waiter.policies,
            counters: LeaseCounters::of(&waiter.counters),
        });
    }

    /// Waiters that want more permits than a lowered limit has could never be served, and would
    /// block all behind them.
    pub(super) fn dismiss_oversized(&mut self, limit: u32) {
        let oversized = |w: &Waiter| matches!(w.mode, Mode::Shared { permits } if permits > limit);
        if !self.record.waiters().any(|w| oversized(w)) {
            return;
        }
        let queue = std::mem::take(&mut self.record.rest_mut().queue);
        let (dismissed, kept): (Vec<_>, Vec<_>) = queue.into_iter().partition(|w| oversized(w));
        self.record.rest_mut().queue = kept.into();
        for waiter in dismissed {
            self.end_wait(&waiter, false);
        }
    }
}
