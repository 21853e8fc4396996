//! What a holder asks of its lease: renew, release, transfer.

use leasehold_domain::Decision;
use leasehold_domain::DrainCause;
use leasehold_domain::EndCause;
use leasehold_domain::LeaseId;
use leasehold_domain::LeasePolicies;
use leasehold_domain::Outcome;
use leasehold_domain::Subject;
use leasehold_domain::Transition;

use super::Step;
use crate::lease::Lease;
use crate::shared_policies::SharedPolicies;

/// What a renewal asks for.
#[derive(Clone, Copy)]
pub(super) struct Renewal<'a> {
    pub(super) ttl_ms: Option<u64>,
    pub(super) max_hold_ms: Option<u64>,
    pub(super) record: bool,
    pub(super) decision: Option<&'a Decision>,
    /// Whether an acquire was judged again whose grant had waited. The decision grants the lease
    /// then, in place of the one by which it was queued.
    pub(super) confirms: bool,
}

impl Renewal<'_> {
    /// Records the decision in the lease, whose policies are shared. Returns whether the lease is
    /// held by another rule from now on.
    fn keep_decision(self, lease: &mut Lease, shared: &mut SharedPolicies) -> bool {
        // A renewal without a decision says nothing about the rule.
        let Some(decision) = self.decision else {
            return false;
        };
        let policies = lease.policies.as_deref();
        if self.confirms {
            lease.policies = Some(shared.share(LeasePolicies::granted_by(decision)));
        } else if let Some(policies) = policies.filter(|known| !known.is_renewed_by(decision)) {
            lease.policies = Some(shared.share(policies.renewed_by(decision)));
        }
        let is_other = decision.rule.is_some() && decision.rule != lease.rule;
        if is_other {
            lease.rule = decision.rule;
        }
        is_other
    }
}

/// What stands under a lease id.
pub(super) enum Found {
    /// A lease, at this index of the holders.
    Held(usize),
    /// A waiter, at this index of the queue.
    Waiting(usize),
    /// A lease that is over.
    Ended(EndCause),
    /// Another principal's.
    Foreign,
}

impl Step<'_> {
    /// The id alone is not enough: it must be the same principal's.
    pub(super) fn find(&self, subject: &Subject, lease_id: &LeaseId) -> Found {
        let own = |owner: &Subject, found: Found| match owner == subject {
            true => found,
            false => Found::Foreign,
        };
        let mut holders = self.record.holders.iter();
        if let Some(index) = holders.position(|lease| lease.lease_id == *lease_id) {
            let owner = &self.record.holders[index].party.subject;
            return own(owner, Found::Held(index));
        }
        let mut queue = self.record.waiters().enumerate();
        if let Some((index, waiter)) = queue.find(|(_, w)| w.lease_id == *lease_id) {
            return own(&waiter.party.subject, Found::Waiting(index));
        }
        let ended = self.record.rest.iter().flat_map(|rest| &rest.ended);
        match ended.rev().find(|ended| ended.lease_id == *lease_id) {
            Some(ended) => own(&ended.subject, Found::Ended(ended.cause)),
            None => Found::Ended(EndCause::Unknown),
        }
    }

    pub(super) fn renew(
        &mut self,
        subject: &Subject,
        lease_id: &LeaseId,
        renewal: Renewal<'_>,
    ) -> Outcome {
        let (now, wall) = (self.now, self.wall);
        let lease = match self.find(subject, lease_id) {
            Found::Held(index) => &mut self.record.holders[index],
            Found::Waiting(_) => return Outcome::LeaseLost(EndCause::Unknown),
            Found::Ended(cause) => return Outcome::LeaseLost(cause),
            Found::Foreign => return Outcome::NotHolder,
        };
        if lease.drain.is_some() {
            return Outcome::Draining(lease.grant(now, false));
        }
        if let Some(ms) = renewal.max_hold_ms {
            lease.hold_until = Some(lease.granted.plus(ms));
        }
        lease.ttl_ms = renewal.ttl_ms.unwrap_or(lease.ttl_ms);
        let lasting = Lease::lasting(now, lease.ttl_ms, lease.hold_until);
        // Never shorter: an answer that came before may have promised what stands already.
        lease.deadline = lease.deadline.max(lasting);
        lease.renewals.count = lease.renewals.count.saturating_add(1);
        lease.renewals.last = wall;
        if lease.renewals.count == 1 {
            lease.renewals.first = wall;
        }
        let other_rule = renewal.keep_decision(lease, self.shared);
        let grant = lease.grant(now, false);
        self.changed = true;
        if renewal.record || other_rule {
            self.tell(Transition::Renewed {
                handle: lease_id.handle(),
                token: grant.token,
                ttl_ms: grant.ttl_ms,
            });
        }
        Outcome::Renewed(grant)
    }

    /// Releases a lease. With `cooldown_ms` above 0 the lock is not granted again for that long.
    pub(super) fn release(
        &mut self,
        subject: &Subject,
        lease_id: &LeaseId,
        cooldown_ms: u64,
    ) -> Outcome {
        match self.find(subject, lease_id) {
            Found::Held(index) => {
                let lease = self.record.holders.remove(index);
                let cooldown_until = self.cooldown_of_release(&lease, cooldown_ms);
                self.end(lease, EndCause::Released);
                self.cool_down_until(cooldown_until);
                Outcome::Released
            }
            // Whoever releases what it waits for does not want it any more.
            Found::Waiting(index) => {
                self.leave_queue(index);
                Outcome::Released
            }
            Found::Ended(EndCause::Released | EndCause::GivenBack) => Outcome::Released,
            Found::Ended(cause) => Outcome::LeaseLost(cause),
            Found::Foreign => Outcome::NotHolder,
        }
    }

    pub(super) fn transfer(
        &mut self,
        subject: &Subject,
        lease_id: &LeaseId,
        to: &Subject,
        grace_ms: u64,
    ) -> Outcome {
        let index = match self.find(subject, lease_id) {
            Found::Held(index) => index,
            // A transfer at once whose answer was lost.
            Found::Ended(EndCause::Transferred) => {
                return Outcome::Transferring {
                    drain_remaining_ms: 0,
                };
            }
            Found::Waiting(_) => return Outcome::LeaseLost(EndCause::Unknown),
            Found::Ended(cause) => return Outcome::LeaseLost(cause),
            Found::Foreign => return Outcome::NotHolder,
        };
        let lease = &self.record.holders[index];
        if matches!(lease.drain.as_deref(), Some(DrainCause::Revoked { .. })) {
            return Outcome::Draining(lease.grant(self.now, false));
        }
        let drain_remaining_ms =
            self.drain(index, DrainCause::Transfer { to: to.clone() }, grace_ms);
        if grace_ms == 0 {
            let lease = self.record.holders.remove(index);
            self.end(lease, EndCause::Transferred);
        }
        Outcome::Transferring { drain_remaining_ms }
    }

    pub(super) fn leave_queue(&mut self, index: usize) {
        if let Some(waiter) = self.record.rest_mut().queue.remove(index) {
            self.end_wait(&waiter, false);
        }
    }

    /// Lets a lease drain for at most `grace_ms`; how long it still may. A lease that drains
    /// already never gets more time. At once (0) tells nothing: the lease's end does.
    pub(super) fn drain(&mut self, index: usize, cause: DrainCause, grace_ms: u64) -> u64 {
        let now = self.now;
        let lease = &mut self.record.holders[index];
        // Renewals stop now, so the time to drain is all that the lease has left: it may be
        // more than its ttl would have been, but not more than its longest hold.
        let mut deadline = Lease::lasting(now, grace_ms, lease.hold_until).max(now);
        if lease.drain.is_some() {
            deadline = deadline.min(lease.deadline);
        }
        if lease.drain.as_deref() == Some(&cause) && lease.deadline == deadline {
            return now.until(deadline);
        }
        lease.deadline = deadline;
        lease.drain = Some(Box::new(cause.clone()));
        if grace_ms > 0 {
            let draining = Transition::Draining {
                handle: lease.lease_id.handle(),
                owner: lease.party.owner(),
                remaining_ms: now.until(deadline),
                cause,
            };
            self.tell(draining);
        }
        now.until(deadline)
    }
}
