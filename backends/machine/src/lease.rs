//! What a record keeps of leases: of those that are held, and for a while of those that ended.

use std::collections::BTreeMap;

use leasehold_domain::Cause;
use leasehold_domain::DrainCause;
use leasehold_domain::EndCause;
use leasehold_domain::FencingToken;
use leasehold_domain::LeaseId;
use leasehold_domain::Millis;
use leasehold_domain::Mode;
use leasehold_domain::Owner;
use leasehold_domain::Renewals;
use leasehold_domain::RequestId;
use leasehold_domain::RuleDigest;
use leasehold_domain::Subject;
use leasehold_domain::TeamName;
use leasehold_domain::WallMillis;
use leasehold_stored::formed;
use leasehold_stored::record as form;

/// A lease that is held. There may be very many, so its rare parts are boxed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) lease_id: LeaseId,
    /// The request that asked for it: a repetition gets this lease.
    pub(crate) request_id: RequestId,
    pub(crate) party: Party,
    pub(crate) mode: Mode,
    pub(crate) token: FencingToken,
    pub(crate) since: WallMillis,
    pub(crate) granted: Millis,
    /// It ends by time at the first write whose `now` is after this.
    pub(crate) deadline: Millis,
    /// What a renewal without a ttl of its own lengthens it to.
    pub(crate) ttl_ms: u64,
    /// The end of its longest hold, by policy.
    pub(crate) hold_until: Option<Millis>,
    pub(crate) drain: Option<Box<DrainCause>>,
    pub(crate) renewals: Renewals,
    /// Whether it stood in the queue before it was granted.
    pub(crate) waited: bool,
    /// The rule of the decision by which it is held now.
    pub(crate) rule: Option<RuleDigest>,
}

impl Lease {
    /// How it ends if it ends by time.
    pub(crate) fn end_by_time(&self) -> EndCause {
        match self.drain.as_deref() {
            Some(DrainCause::Revoked { .. }) => EndCause::Revoked,
            Some(DrainCause::Transfer { .. }) => EndCause::Transferred,
            None if self.hold_until.is_some_and(|end| self.deadline >= end) => {
                EndCause::HeldTooLong
            }
            None => EndCause::Expired,
        }
    }

    /// The point up to which a lease may last that is granted or renewed at `now`.
    pub(crate) fn lasting(now: Millis, ttl_ms: u64, hold_until: Option<Millis>) -> Millis {
        let end = now.plus(ttl_ms);
        hold_until.map_or(end, |hold| end.min(hold))
    }
}

/// Who holds or waits. The same as an [`Owner`], in fewer bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Party {
    pub(crate) subject: Subject,
    pub(crate) team: Option<TeamName>,
    /// What only some callers give.
    details: Option<Box<Details>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Details {
    instance: Option<Box<str>>,
    labels: BTreeMap<Box<str>, Box<str>>,
    value: Option<Box<str>>,
    reason: Option<Box<str>>,
}

impl Party {
    pub(crate) fn of(cause: &Cause) -> Self {
        let request = &cause.request;
        let plain = request.instance.is_none()
            && request.labels.is_empty()
            && request.value.is_none()
            && request.reason.is_none();
        let details = (!plain).then(|| {
            Box::new(Details {
                instance: request.instance.clone(),
                labels: request.labels.clone(),
                value: request.value.clone(),
                reason: request.reason.clone(),
            })
        });
        Self {
            subject: cause.principal.subject.clone(),
            team: cause.principal.team.clone(),
            details,
        }
    }

    pub(crate) fn owner(&self) -> Owner {
        let details = self.details.as_deref();
        Owner {
            subject: self.subject.clone(),
            team: self.team.clone(),
            instance: details.and_then(|d| d.instance.clone()),
            labels: details.map(|d| d.labels.clone()).unwrap_or_default(),
            value: details.and_then(|d| d.value.clone()),
            reason: details.and_then(|d| d.reason.clone()),
        }
    }
}

/// A lease that ended, remembered so that its holder can be told how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EndedLease {
    pub(crate) lease_id: LeaseId,
    pub(crate) subject: Subject,
    pub(crate) at: Millis,
    pub(crate) cause: EndCause,
}

formed!(struct Lease => form::Lease<'a> {
    lease_id, request_id, party, mode, token, since, granted, deadline, ttl_ms, hold_until, drain,
    renewals, waited, rule,
});
formed!(struct Party => form::Party<'a> { subject, team, details });
formed!(struct Details => form::Details<'a> { instance, labels, value, reason });
formed!(struct EndedLease => form::EndedLease<'a> { lease_id, subject, at, cause });
