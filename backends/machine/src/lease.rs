//! What a record keeps of leases: of those that are held, and for a while of those that ended.

use std::collections::BTreeMap;
use std::sync::Arc;

use leasehold_domain::Cause;
use leasehold_domain::Counter;
use leasehold_domain::CounterKey;
use leasehold_domain::DrainCause;
use leasehold_domain::EndCause;
use leasehold_domain::FencingToken;
use leasehold_domain::LeaseId;
use leasehold_domain::LeasePolicies;
use leasehold_domain::Millis;
use leasehold_domain::Mode;
use leasehold_domain::Owner;
use leasehold_domain::Renewals;
use leasehold_domain::RequestId;
use leasehold_domain::RuleDigest;
use leasehold_domain::Subject;
use leasehold_domain::TeamName;
use leasehold_domain::WallMillis;
use leasehold_stored::Formed;
use leasehold_stored::Invalid;
use leasehold_stored::formed;
use leasehold_stored::lock::LeasePolicies as LeasePoliciesForm;
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
    /// The policy versions that judged it. `None` if its acquire had no decision, or was recorded by
    /// a build that did not keep them.
    pub(crate) policies: Option<Arc<LeasePolicies>>,
    /// The counters that it carries; `None` if none.
    pub(crate) counters: Option<Box<LeaseCounters>>,
}

/// The counters of one lease, each once. In a box of its own, because most leases carry none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LeaseCounters(Vec<CounterKey>);

impl LeaseCounters {
    /// Returns the counters of a lease whose acquire carried these.
    pub(crate) fn of(asked: &[Counter]) -> Option<Box<Self>> {
        let keys = asked.iter().map(|counter| counter.key.clone());
        Self::boxed(keys.collect())
    }

    fn boxed(keys: Vec<CounterKey>) -> Option<Box<Self>> {
        (!keys.is_empty()).then(|| Box::new(Self(keys)))
    }
}

impl Lease {
    /// The counters that it carries.
    pub(crate) fn counters(&self) -> &[CounterKey] {
        self.counters.as_deref().map_or(&[], |counters| &counters.0)
    }

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

/// The distinct policies of the leases of one record, which are stored once: a lock may have very
/// many holders.
#[derive(Default)]
pub(crate) struct PolicyList<'a>(Vec<&'a Arc<LeasePolicies>>);

impl<'a> PolicyList<'a> {
    /// Returns the number of these policies in the list, from 1; 0 for none.
    fn number(&mut self, policies: Option<&'a Arc<LeasePolicies>>) -> u32 {
        let Some(policies) = policies else {
            return 0;
        };
        let known = self.0.iter().position(|known| *known == policies);
        let index = known.unwrap_or_else(|| {
            self.0.push(policies);
            self.0.len() - 1
        });
        u32::try_from(index + 1).unwrap_or(u32::MAX)
    }

    pub(crate) fn form(&self) -> Vec<LeasePoliciesForm<'a>> {
        self.0.iter().map(|policies| (***policies).form()).collect()
    }
}

impl Lease {
    pub(crate) fn form<'a>(&'a self, list: &mut PolicyList<'a>) -> form::Lease<'a> {
        let Self {
            lease_id,
            request_id,
            party,
            mode,
            token,
            since,
            granted,
            deadline,
            ttl_ms,
            hold_until,
            drain,
            renewals,
            waited,
            rule,
            policies,
            counters,
        } = self;
        form::Lease {
            lease_id: lease_id.form(),
            request_id: request_id.form(),
            party: party.form(),
            mode: mode.form(),
            token: token.form(),
            since: since.form(),
            granted: granted.form(),
            deadline: deadline.form(),
            ttl_ms: *ttl_ms,
            hold_until: hold_until.form(),
            drain: drain.form(),
            renewals: renewals.form(),
            waited: *waited,
            rule: rule.form(),
            policies: list.number(policies.as_ref()),
            counters: counters
                .as_deref()
                .map_or_else(Vec::new, |all| all.0.form()),
        }
    }

    /// `list` has the policies of the record's leases.
    pub(crate) fn restore(
        form: form::Lease<'_>,
        list: &[Arc<LeasePolicies>],
    ) -> Result<Self, Invalid> {
        let policies = match form.policies {
            0 => None,
            number => {
                let unknown = || Invalid::new("a lease has policies that its record does not list");
                Some(list.get(number as usize - 1).ok_or_else(unknown)?.clone())
            }
        };
        Ok(Self {
            lease_id: Formed::restore(form.lease_id)?,
            request_id: Formed::restore(form.request_id)?,
            party: Formed::restore(form.party)?,
            mode: Formed::restore(form.mode)?,
            token: Formed::restore(form.token)?,
            since: Formed::restore(form.since)?,
            granted: Formed::restore(form.granted)?,
            deadline: Formed::restore(form.deadline)?,
            ttl_ms: form.ttl_ms,
            hold_until: Formed::restore(form.hold_until)?,
            drain: Formed::restore(form.drain)?,
            renewals: Formed::restore(form.renewals)?,
            waited: form.waited,
            rule: Formed::restore(form.rule)?,
            policies,
            counters: LeaseCounters::boxed(Formed::restore(form.counters)?),
        })
    }
}

formed!(struct Party => form::Party<'a> { subject, team, details });
formed!(struct Details => form::Details<'a> { instance, labels, value, reason });
formed!(struct EndedLease => form::EndedLease<'a> { lease_id, subject, at, cause });
