//! Claims: which acquires hang on a waiter or lease, and what ends when one is cancelled.

use std::sync::Arc;

use leasehold_domain::EndCause;
use leasehold_domain::LeaseId;
use leasehold_domain::Millis;
use leasehold_domain::Outcome;
use leasehold_domain::Subject;

use super::Step;
use super::holder::Found;
use crate::claim::Claims;
use crate::claim::LeaseClaims;

impl Step<'_> {
    /// The acquire that drew this id was given the lease: cancelling another takes it from nobody.
    pub(super) fn claim(&mut self, lease_id: LeaseId, drawn: LeaseId) {
        self.changed |= self.with_claims(lease_id, |claims| claims.add(drawn, Millis::default()));
    }

    /// Takes away the claim of one acquire, and what hung on that claim alone.
    pub(super) fn cancel_wait(&mut self, subject: &Subject, drawn: &LeaseId) -> Outcome {
        let mut queue = self.record.waiters();
        let waiting = queue.position(|waiter| waiter.claims.has(drawn));
        drop(queue);
        if let Some(index) = waiting {
            return self.cancel_waiter(subject, drawn, index);
        }
        let mut holders = self.record.holders.iter();
        let held = holders.position(|lease| self.claims_lease(&lease.lease_id, drawn));
        if let Some(index) = held {
            return self.cancel_lease(subject, drawn, index);
        }
        match self.find(subject, drawn) {
            Found::Foreign => Outcome::NotHolder,
            // Cancelled before, or over.
            Found::Held(_) | Found::Waiting(_) | Found::Ended(_) => Outcome::Cancelled,
        }
    }

    fn cancel_waiter(&mut self, subject: &Subject, drawn: &LeaseId, index: usize) -> Outcome {
        let now = self.now;
        let waiter = &mut self.record.rest_mut().queue[index];
        if waiter.party.subject != *subject {
            return Outcome::NotHolder;
        }
        let waiter = Arc::make_mut(waiter);
        waiter.claims.cancel(drawn);
        waiter.claims.fade(now);
        if waiter.claims.is_empty() {
            self.leave_queue(index);
        } else {
            // Nobody waits any longer than those who are left.
            waiter.deadline = waiter.claims.last_until().unwrap_or(waiter.deadline);
            self.changed = true;
        }
        Outcome::Cancelled
    }

    fn cancel_lease(&mut self, subject: &Subject, drawn: &LeaseId, index: usize) -> Outcome {
        let lease = &self.record.holders[index];
        if lease.party.subject != *subject {
            return Outcome::NotHolder;
        }
        let lease_id = lease.lease_id;
        let nobody = self.with_claims(lease_id, |claims| {
            claims.cancel(drawn);
            claims.is_empty()
        });
        if nobody {
            let lease = self.record.holders.remove(index);
            self.end(lease, EndCause::GivenBack);
        }
        self.changed = true;
        Outcome::Cancelled
    }

    fn claims_lease(&self, lease_id: &LeaseId, drawn: &LeaseId) -> bool {
        let kept = self.record.rest.iter().flat_map(|rest| &rest.claims);
        match kept.into_iter().find(|kept| kept.lease_id == *lease_id) {
            Some(kept) => kept.claims.has(drawn),
            None => lease_id == drawn,
        }
    }

    /// Reads or changes the claims on a lease; keeps them only if they are not just its own.
    fn with_claims<T>(&mut self, lease_id: LeaseId, work: impl FnOnce(&mut Claims) -> T) -> T {
        let kept = &mut self.record.rest_mut().claims;
        let index = kept.iter().position(|kept| kept.lease_id == lease_id);
        let index = index.unwrap_or_else(|| {
            let claims = Claims::first(lease_id, Millis::default());
            kept.push(LeaseClaims { lease_id, claims });
            kept.len() - 1
        });
        let claims = &mut kept[index].claims;
        let done = work(claims);
        if claims.is_only(&lease_id) {
            kept.remove(index);
        }
        done
    }
}
