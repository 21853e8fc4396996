//! Acquire: try, wait, or find what the same request got before.

use std::sync::Arc;

use leasehold_domain::Cause;
use leasehold_domain::Counter;
use leasehold_domain::LeaseId;
use leasehold_domain::LeasePolicies;
use leasehold_domain::Mode;
use leasehold_domain::Outcome;
use leasehold_domain::Rejection;
use leasehold_domain::Transition;
use leasehold_domain::limits::REQUEST_ID_AGE_MS_MAX;
use leasehold_domain::limits::WAITER_SLACK_MS;
use leasehold_domain::limits::WAITERS_PER_LOCK_MAX;

use super::Step;
use crate::claim::Claims;
use crate::ended::RequestKey;
use crate::lease::Party;
use crate::waiter::Waiter;

/// What an acquire asks for.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) cause: &'a Cause,
    /// Whether a late duplicate of a request whose lease has ended is refused.
    pub(super) once: bool,
    pub(super) lease_id: LeaseId,
    pub(super) mode: Mode,
    pub(super) ttl_ms: u64,
    /// None to only try.
    pub(super) wait_ms: Option<u64>,
    pub(super) max_hold_ms: Option<u64>,
    pub(super) counters: &'a [Counter],
}

impl Asked<'_> {
    fn is_request(&self, party: &Party, request_id: &leasehold_domain::RequestId) -> bool {
        *request_id == self.cause.request_id && party.subject == self.cause.principal.subject
    }
}

impl Step<'_> {
    pub(super) fn acquire(&mut self, asked: Asked<'_>) -> Outcome {
        let settled = self.repeated(&asked);
        let settled = settled.or_else(|| self.too_late(&asked));
        let settled = settled.or_else(|| self.refused(&asked));
        match settled.or_else(|| self.beyond_caps()) {
            Some(outcome) => outcome,
            None => self.arrive(&asked),
        }
    }

    /// The answer to a late duplicate: of a request whose lease has ended, or of one that is so old
    /// that nobody knows.
    fn too_late(&self, asked: &Asked<'_>) -> Option<Outcome> {
        if !asked.once {
            return None;
        }
        let (subject, request_id) = (&asked.cause.principal.subject, &asked.cause.request_id);
        let in_this_step = || {
            let key = RequestKey::of(self.lock, subject, request_id);
            let ended = self.ended.iter().find(|ended| ended.key == key);
            ended.map(|ended| ended.cause)
        };
        let cause = match self.ended.is_empty() {
            true => self.past,
            false => in_this_step().or(self.past),
        };
        if let Some(cause) = cause {
            return Some(Outcome::LeaseLost(cause));
        }
        let made = request_id.made_at()?;
        let age_ms = asked.cause.received.0.saturating_sub(made.0);
        (age_ms > REQUEST_ID_AGE_MS_MAX).then_some(Outcome::Rejected(Rejection::RequestIdTooOld))
    }

    /// The answer to a request that was made before and still stands.
    fn repeated(&mut self, asked: &Asked<'_>) -> Option<Outcome> {
        let mut leases = self.record.holders.iter();
        if let Some(lease) = leases.find(|l| asked.is_request(&l.party, &l.request_id)) {
            if lease.mode != asked.mode {
                return Some(Outcome::Rejected(Rejection::RequestIdReused));
            }
            let outcome = Outcome::Granted(lease.grant(self.now, true));
            let lease_id = lease.lease_id;
            self.claim(lease_id, asked.lease_id);
            return Some(outcome);
        }
        let now = self.now;
        let queue = &mut self.record.rest.as_deref_mut()?.queue;
        let mut waiters = queue.iter_mut();
        let waiter = waiters.find(|w| asked.is_request(&w.party, &w.request_id))?;
        if waiter.mode != asked.mode {
            return Some(Outcome::Rejected(Rejection::RequestIdReused));
        }
        let lease_id = waiter.lease_id;
        self.asking = Some(lease_id);
        if let Some(wait_ms) = asked.wait_ms {
            let until = waiter_deadline(now, wait_ms);
            let waiter = Arc::make_mut(waiter);
            waiter.claims.fade(now);
            self.changed |= waiter.claims.add(asked.lease_id, until);
            if until > waiter.deadline {
                waiter.deadline = until;
                self.changed = true;
            }
            return Some(self.await_turn(lease_id, true));
        }
        let outcome = self.await_turn(lease_id, false);
        // Whoever only tries hangs on nothing, unless its turn has come.
        if matches!(outcome, Outcome::Granted(_)) {
            self.claim(lease_id, asked.lease_id);
        }
        Some(outcome)
    }

    /// The answer to a request that can never be carried out as it is.
    fn refused(&mut self, asked: &Asked<'_>) -> Option<Outcome> {
        let limit = self.record.settings().limit;
        let rejection = match asked.mode {
            Mode::Shared { permits: 0 } => Rejection::Impossible,
            Mode::Shared { permits } if permits > limit => Rejection::TooManyPermits,
            _ if self.record.next_token(self.token_floor).is_none() => Rejection::Impossible,
            // 128 random bits do not repeat by chance.
            _ if self.knows(&asked.lease_id) => Rejection::Impossible,
            _ if asked.wait_ms.is_some() && self.queue_is_full() => Rejection::QueueFull,
            _ => return None,
        };
        Some(Outcome::Rejected(rejection))
    }

    /// Returns the rejection of an acquire that would exceed a cap of the namespace.
    fn beyond_caps(&self) -> Option<Outcome> {
        let reached = self.cap_check?.refusal(self.record)?;
        Some(Outcome::Rejected(Rejection::CapReached(reached)))
    }

    fn knows(&self, lease_id: &LeaseId) -> bool {
        let mut leases = self.record.holders.iter();
        leases.any(|lease| lease.lease_id == *lease_id)
            || self.record.waiters().any(|w| w.lease_id == *lease_id)
    }

    /// Whether the queue is full even after all were served whose turn has come.
    fn queue_is_full(&mut self) -> bool {
        if self.record.queue_len() < WAITERS_PER_LOCK_MAX {
            return false;
        }
        self.serve();
        self.record.queue_len() >= WAITERS_PER_LOCK_MAX
    }

    fn arrive(&mut self, asked: &Asked<'_>) -> Outcome {
        let deadline = waiter_deadline(self.now, asked.wait_ms.unwrap_or(0));
        let decision = asked.cause.decision.as_deref();
        let waiter = Waiter {
            lease_id: asked.lease_id,
            request_id: asked.cause.request_id.clone(),
            party: Party::of(asked.cause),
            mode: asked.mode,
            ttl_ms: asked.ttl_ms,
            max_hold_ms: asked.max_hold_ms,
            since: self.wall,
            queued: self.now,
            deadline,
            claims: Claims::first(asked.lease_id, deadline),
            rule: decision.and_then(|decision| decision.rule),
            policies: decision
                .map(|decision| self.shared.share(LeasePolicies::granted_by(decision))),
            counters: asked.counters.to_vec(),
        };
        self.arriving = Some(waiter.lease_id);
        self.asking = self.arriving;
        // The common case, and the only one that needs no queue.
        if self.record.queue_len() == 0 {
            if self.can_grant(&waiter) {
                if let Some(full) = self.others.full(self.record, &waiter) {
                    return Outcome::CounterFull(Box::new(full));
                }
                self.grant(waiter);
                return self.await_turn(asked.lease_id, false);
            }
            if asked.wait_ms.is_none() {
                return self.held();
            }
        }
        self.record.rest_mut().queue.push_back(Arc::new(waiter));
        self.await_turn(asked.lease_id, asked.wait_ms.is_some())
    }

    /// Serves the queue, and says what that meant for the lease. One that arrives only to try
    /// leaves the queue again.
    fn await_turn(&mut self, lease_id: LeaseId, waits: bool) -> Outcome {
        self.serve();
        let mut newest = self.record.holders.iter().rev();
        if let Some(lease) = newest.find(|lease| lease.lease_id == lease_id) {
            return Outcome::Granted(lease.grant(self.now, false));
        }
        if let Some(full) = self.refused.take() {
            return Outcome::CounterFull(full);
        }
        let arrives = self.arriving == Some(lease_id);
        if !waits {
            if arrives {
                self.record.rest_mut().queue.pop_back();
            }
            return self.held();
        }
        let standing = |w: &Arc<Waiter>| w.lease_id == lease_id;
        let Some(index) = self.record.waiters().position(standing) else {
            return self.held();
        };
        let check = self.cap_check.filter(|_| arrives);
        if let Some(reached) = check.and_then(|check| check.refusal_of_last_waiter(self.record)) {
            self.record.rest_mut().queue.pop_back();
            return Outcome::Rejected(Rejection::CapReached(reached));
        }
        let waiter = &self.record.rest_mut().queue[index];
        let (owner, mode, deadline) = (waiter.party.owner(), waiter.mode, waiter.deadline);
        let position = u32::try_from(index).unwrap_or(u32::MAX);
        if arrives {
            self.tell(Transition::Queued {
                handle: lease_id.handle(),
                owner,
                mode,
                position,
            });
        }
        Outcome::Queued {
            lease_id,
            position,
            holders: self.record.holder_views(self.now),
            wait_remaining_ms: self.now.until(deadline),
        }
    }

    fn held(&self) -> Outcome {
        let reserved = self.record.reservations().first();
        Outcome::Held {
            holders: self.record.holder_views(self.now),
            waiters: u32::try_from(self.record.queue_len()).unwrap_or(u32::MAX),
            cooldown_remaining_ms: self.now.until(self.record.cooldown_until()),
            reserved_for: reserved.map(|r| r.to.clone()),
        }
    }
}

fn waiter_deadline(now: leasehold_domain::Millis, wait_ms: u64) -> leasehold_domain::Millis {
    now.plus(wait_ms.saturating_add(WAITER_SLACK_MS))
}
