//! Claims: the acquires that hang on one waiter, or on the lease that it became.
//!
//! A client that waits may ask again with the same `request_id`, of the same gateway or of another,
//! while the request before still hangs somewhere. Each of them is a claim, named by the lease id
//! that it drew. A gateway whose client has gone cancels its own claim and no other: the waiter
//! keeps its place, and the lease stays, as long as one claim stands.

use leasehold_domain::LeaseId;
use leasehold_domain::Millis;
use leasehold_domain::limits::CLAIMS_PER_LEASE_MAX;
use leasehold_stored::formed;
use leasehold_stored::record as form;

/// One acquire that was not cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claim {
    /// The lease id that the acquire drew.
    pub(crate) drawn: LeaseId,
    /// Of a waiter: the end of its poll, and slack. 0 of a lease: a claim that stood at the grant
    /// may have been answered, so it stands until it is cancelled.
    pub(crate) until: Millis,
}

/// The claims on one waiter or lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claims {
    standing: Vec<Claim>,
    /// There were more than are counted: then nobody can know that all were cancelled.
    uncounted: bool,
}

impl Claims {
    /// Of the acquire that drew the lease's own id.
    pub(crate) fn first(drawn: LeaseId, until: Millis) -> Self {
        Self {
            standing: vec![Claim { drawn, until }],
            uncounted: false,
        }
    }

    /// Adds a claim, or lengthens it; whether that changed anything.
    pub(crate) fn add(&mut self, drawn: LeaseId, until: Millis) -> bool {
        let mut standing = self.standing.iter_mut();
        if let Some(claim) = standing.find(|claim| claim.drawn == drawn) {
            let longer = until > claim.until;
            claim.until = claim.until.max(until);
            return longer;
        }
        if self.standing.len() < CLAIMS_PER_LEASE_MAX {
            self.standing.push(Claim { drawn, until });
            return true;
        }
        !std::mem::replace(&mut self.uncounted, true)
    }

    /// Gives each claim another end.
    pub(crate) fn move_ends(&mut self, until: impl Fn(Millis) -> Millis) {
        for claim in &mut self.standing {
            claim.until = until(claim.until);
        }
    }

    /// Takes a claim away.
    pub(crate) fn cancel(&mut self, drawn: &LeaseId) {
        self.standing.retain(|claim| claim.drawn != *drawn);
    }

    /// Forgets polls that are over.
    pub(crate) fn fade(&mut self, now: Millis) {
        self.standing.retain(|claim| !claim.until.is_over(now));
    }

    /// The claims that a lease takes over from its waiter; none if that is only its own.
    pub(crate) fn at_grant(mut self, lease_id: &LeaseId, now: Millis) -> Option<Self> {
        self.fade(now);
        for claim in &mut self.standing {
            claim.until = Millis::default();
        }
        (!self.is_only(lease_id)).then_some(self)
    }

    /// Whether this is the state of a lease about which nothing needs to be kept.
    pub(crate) fn is_only(&self, lease_id: &LeaseId) -> bool {
        let own = |claim: &Claim| claim.drawn == *lease_id;
        !self.uncounted && self.standing.len() == 1 && self.standing.iter().all(own)
    }

    pub(crate) fn has(&self, drawn: &LeaseId) -> bool {
        self.standing.iter().any(|claim| claim.drawn == *drawn)
    }

    /// Whether certainly nobody is there any more.
    pub(crate) fn is_empty(&self) -> bool {
        self.standing.is_empty() && !self.uncounted
    }

    /// When the last counted poll is over; none if some are not counted.
    pub(crate) fn last_until(&self) -> Option<Millis> {
        let last = self.standing.iter().map(|claim| claim.until).max();
        last.filter(|_| !self.uncounted)
    }

    #[cfg(test)]
    pub(crate) fn standing_mut(&mut self) -> &mut [Claim] {
        &mut self.standing
    }

    #[cfg(test)]
    pub(crate) fn standing(&self) -> &[Claim] {
        &self.standing
    }
}

/// The claims on a lease, if they are others than the one that drew its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LeaseClaims {
    pub(crate) lease_id: LeaseId,
    pub(crate) claims: Claims,
}

formed!(struct Claim => form::Claim { drawn, until });
formed!(struct Claims => form::Claims { standing, uncounted });
formed!(struct LeaseClaims => form::LeaseClaims { lease_id, claims });
