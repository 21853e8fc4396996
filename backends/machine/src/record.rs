//! Everything that is stored about one lock.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use leasehold_domain::FencingToken;
use leasehold_domain::LeasePolicies;
use leasehold_domain::LockSettings;
use leasehold_domain::Millis;
use leasehold_domain::Mode;
use leasehold_domain::RequestId;
use leasehold_domain::Subject;
use leasehold_domain::limits::ENDED_LEASE_MEMORY_MS;
use leasehold_domain::limits::TOKEN_MAX;
use leasehold_stored::Formed;
use leasehold_stored::Invalid;
use leasehold_stored::formed;
use leasehold_stored::record as form;

use crate::claim::LeaseClaims;
use crate::lease::EndedLease;
use crate::lease::Lease;
use crate::lease::PolicyList;
use crate::shared_policies::SharedPolicies;
use crate::waiter::Waiter;

mod change;
mod rebase;

pub use self::change::{ChangeParts, Misfit, RecordChange};

/// Longest time, in milliseconds, that a lock waits for the successor of a transfer.
pub const RESERVATION_MS_MAX: u64 = 600_000;

/// Idle records are forgotten in steps of this, so that one tick forgets many.
const FORGET_STEP_MS: u64 = 1_000;

/// Everything that is stored about one lock; the default is a lock that nobody ever touched.
///
/// There may be very many records that hold one plain lease each, so all else is in one box that
/// is there only when it is needed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LockRecord {
    /// Logical time of the last change.
    pub(crate) clock: Millis,
    pub(crate) revision: u64,
    /// 0 if the record gave out none.
    pub(crate) last_token: u64,
    /// In the order of their grants: one exclusive, or shared ones.
    pub(crate) holders: Vec<Lease>,
    pub(crate) rest: Option<Box<Rest>>,
}

/// What a plainly held lock does not have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Rest {
    /// First come, first served. Shared with copies of the record: a store takes one before each
    /// write, and most waiters stay as they are.
    pub(crate) queue: VecDeque<Arc<Waiter>>,
    /// Nothing is granted before this.
    pub(crate) cooldown_until: Millis,
    /// Until these have run out or been taken, only these successors are granted.
    pub(crate) reservations: Vec<Reservation>,
    /// Oldest first.
    pub(crate) ended: Vec<EndedLease>,
    /// None if they are the default.
    pub(crate) settings: Option<Box<LockSettings>>,
    /// Of the few leases that were asked for more than once.
    pub(crate) claims: Vec<LeaseClaims>,
}

/// After a transfer the lock waits for its successor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reservation {
    pub(crate) to: Subject,
    pub(crate) until: Millis,
}

impl<'a> Formed<'a> for LockRecord {
    type Form = form::Record<'a>;

    fn form(&'a self) -> Self::Form {
        let Self {
            clock,
            revision,
            last_token,
            holders,
            rest,
        } = self;
        let mut policies = PolicyList::default();
        let holders = holders.iter().map(|lease| lease.form(&mut policies));
        form::Record {
            clock: clock.0,
            revision: *revision,
            last_token: *last_token,
            holders: holders.collect(),
            rest: rest.form(),
            policies: policies.form(),
        }
    }

    fn restore(mut form: Self::Form) -> Result<Self, Invalid> {
        let policies: Vec<LeasePolicies> = Formed::restore(std::mem::take(&mut form.policies))?;
        let policies: Vec<_> = policies.into_iter().map(Arc::new).collect();
        Self::restore_with(form, &policies)
    }
}

formed!(struct Rest => form::Rest<'a> {
    queue, cooldown_until, reservations, ended, settings, claims,
});
formed!(struct Reservation => form::Reservation<'a> { to, until });

impl LockRecord {
    /// Restores a record whose list of policies this is.
    pub(crate) fn restore_with(
        form: form::Record<'_>,
        policies: &[Arc<LeasePolicies>],
    ) -> Result<Self, Invalid> {
        let holders = form.holders.into_iter();
        let holders = holders.map(|lease| Lease::restore(lease, policies));
        Ok(Self {
            clock: Millis(form.clock),
            revision: form.revision,
            last_token: form.last_token,
            holders: holders.collect::<Result<_, _>>()?,
            rest: Formed::restore(form.rest)?,
        })
    }

    /// Grows with every change of the record, also across its deletion; 0 for a lock without one.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The logical time of its last change.
    #[must_use]
    pub fn clock(&self) -> Millis {
        self.clock
    }

    /// Whether a new acquire has to wait: others do, or one has the lock for itself.
    pub(crate) fn makes_wait(&self) -> bool {
        let exclusive = |lease: &Lease| lease.mode == Mode::Exclusive;
        self.queue_len() > 0 || self.holders.first().is_some_and(exclusive)
    }

    /// When a tick has something to do: a lease or a wait ends, a waiter can be served, or the
    /// record can be forgotten. None if never.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Millis> {
        let ends = self.holders.iter().map(|lease| lease.deadline);
        let held = ends.min().map(Millis::over_from);
        let Some(rest) = self.rest.as_deref() else {
            return held;
        };
        if self.holders.is_empty() && rest.queue.is_empty() {
            return rest.forgettable_from();
        }
        let waits = rest.queue.iter().map(|waiter| waiter.deadline);
        let waits = waits.min().map(Millis::over_from);
        let served = (!rest.queue.is_empty())
            .then(|| rest.blocked_until())
            .flatten();
        [held, waits, served].into_iter().flatten().min()
    }

    /// Whether the record says nothing that the store would miss: it can be deleted. The token
    /// floor keeps the tokens of the next record of that name above the ones of this.
    #[must_use]
    pub fn is_idle(&self, now: Millis) -> bool {
        if !self.holders.is_empty() {
            return false;
        }
        self.rest.as_deref().is_none_or(|rest| {
            rest.queue.is_empty() && rest.forgettable_from().is_some_and(|from| from <= now)
        })
    }

    /// Whether a subject holds a lease that it asked for by this request.
    #[must_use]
    pub fn holds(&self, subject: &Subject, request_id: &RequestId) -> bool {
        let mut leases = self.holders.iter();
        leases.any(|lease| lease.request_id == *request_id && lease.party.subject == *subject)
    }

    pub(crate) fn settings(&self) -> Cow<'_, LockSettings> {
        match self
            .rest
            .as_deref()
            .and_then(|rest| rest.settings.as_deref())
        {
            Some(settings) => Cow::Borrowed(settings),
            None => Cow::Owned(LockSettings::default()),
        }
    }

    /// How many wait.
    #[must_use]
    pub fn queue_len(&self) -> usize {
        self.rest.as_deref().map_or(0, |rest| rest.queue.len())
    }

    /// Who waits, the first first.
    pub fn waiters(&self) -> impl Iterator<Item = &Arc<Waiter>> {
        self.rest.iter().flat_map(|rest| rest.queue.iter())
    }

    pub(crate) fn cooldown_until(&self) -> Millis {
        self.rest
            .as_deref()
            .map_or(Millis::default(), |rest| rest.cooldown_until)
    }

    pub(crate) fn reservations(&self) -> &[Reservation] {
        self.rest
            .as_deref()
            .map_or(&[], |rest| rest.reservations.as_slice())
    }

    pub(crate) fn rest_mut(&mut self) -> &mut Rest {
        self.rest.get_or_insert_default()
    }

    /// Whether a lease of this mode can stand beside those that are held.
    pub(crate) fn admits(&self, mode: Mode) -> bool {
        let Mode::Shared { permits } = mode else {
            return self.holders.is_empty();
        };
        let mut taken = u64::from(permits);
        for lease in &self.holders {
            match lease.mode {
                Mode::Exclusive => return false,
                Mode::Shared { permits } => taken += u64::from(permits),
            }
        }
        taken <= u64::from(self.settings().limit)
    }

    /// The least token above all earlier ones and above the floor, if there is one left.
    pub(crate) fn next_token(&self, floor: u64) -> Option<FencingToken> {
        let token = self.last_token.max(floor).saturating_add(1);
        (token < TOKEN_MAX).then_some(FencingToken(token))
    }

    /// Adds a holder; one lease takes the room of one, not of four.
    pub(crate) fn hold(&mut self, lease: Lease) {
        if self.holders.len() == self.holders.capacity() {
            self.holders.reserve_exact(self.holders.len().max(1));
        }
        self.holders.push(lease);
    }

    /// Lets leases and waiters share their policies with those of other records.
    pub(crate) fn share_policies(&mut self, shared: &mut SharedPolicies) {
        for lease in &mut self.holders {
            shared.replace(&mut lease.policies);
        }
        self.share_policies_of_waiters(shared);
    }

    pub(crate) fn share_policies_of_waiters(&mut self, shared: &mut SharedPolicies) {
        for waiter in self.rest.iter_mut().flat_map(|rest| &mut rest.queue) {
            shared.replace(&mut Arc::make_mut(waiter).policies);
        }
    }

    /// Gives back memory that is not needed after a change.
    pub(crate) fn tidy(&mut self) {
        if self.holders.is_empty() {
            self.holders = Vec::new();
        }
        let Some(rest) = self.rest.as_deref_mut() else {
            return;
        };
        if *rest == Rest::default() {
            self.rest = None;
        } else if rest.queue.is_empty() {
            rest.queue = VecDeque::new();
        }
    }
}

impl Rest {
    /// When cooldown or a reservation no longer keeps the queue waiting.
    fn blocked_until(&self) -> Option<Millis> {
        let reserved = self.reservations.iter().map(|r| r.until).min();
        let cooling = Some(self.cooldown_until).filter(|until| *until > Millis::default());
        [reserved, cooling].into_iter().flatten().min()
    }

    /// When a record without holders and waiters may be deleted; none while it has settings.
    fn forgettable_from(&self) -> Option<Millis> {
        if self.settings.is_some() {
            return None;
        }
        let ended = self.ended.iter().map(|e| e.at.plus(ENDED_LEASE_MEMORY_MS));
        let reserved = self.reservations.iter().map(|r| r.until);
        let from = ended.chain(reserved).max().unwrap_or_default();
        let from = from.max(self.cooldown_until).0;
        Some(Millis(
            from.div_ceil(FORGET_STEP_MS).saturating_mul(FORGET_STEP_MS),
        ))
    }
}

#[cfg(test)]
mod tests;
