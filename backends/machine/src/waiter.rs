//! An acquire that stands in the queue.

use std::sync::Arc;

use leasehold_domain::Counter;
use leasehold_domain::LeaseId;
use leasehold_domain::LeasePolicies;
use leasehold_domain::Millis;
use leasehold_domain::Mode;
use leasehold_domain::RequestId;
use leasehold_domain::RuleDigest;
use leasehold_domain::WallMillis;
use leasehold_domain::limits::WAITER_SLACK_MS;
use leasehold_stored::formed;
use leasehold_stored::record as form;

use crate::claim::Claims;
use crate::lease::Party;
use crate::shift::Shift;

/// An acquire that stands in the queue, with all that its grant will need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiter {
    /// The id that its lease will have.
    pub(crate) lease_id: LeaseId,
    pub(crate) request_id: RequestId,
    pub(crate) party: Party,
    pub(crate) mode: Mode,
    pub(crate) ttl_ms: u64,
    pub(crate) max_hold_ms: Option<u64>,
    pub(crate) since: WallMillis,
    pub(crate) queued: Millis,
    /// The waiter's own lease: it leaves the queue at the first write after this.
    pub(crate) deadline: Millis,
    /// The acquires that wait for it. When all are cancelled, it leaves.
    pub(crate) claims: Claims,
    /// The rule of the decision by which it entered the queue.
    pub(crate) rule: Option<RuleDigest>,
    /// The policy versions of that decision.
    pub(crate) policies: Option<Arc<LeasePolicies>>,
    /// The counters that its lease will carry, with their maxima as of its acquire.
    pub(crate) counters: Vec<Counter>,
}

impl Waiter {
    /// The same waiter with all its times moved: see [`LockRecord::rebased`].
    ///
    /// [`LockRecord::rebased`]: crate::LockRecord::rebased
    pub(crate) fn shift(&mut self, shift: Shift) {
        self.queued = shift.time(self.queued);
        self.deadline = shift.time(self.deadline);
        // 0 is no time but the absence of one.
        self.claims
            .move_ends(|until| match until > Millis::default() {
                true => shift.time(until),
                false => until,
            });
    }

    /// Whether a poll of it lasts at `now`. When the last is over the waiter keeps its place for the
    /// slack, but nobody is there to take a grant.
    pub(crate) fn is_polled(&self, now: Millis) -> bool {
        !self.deadline.is_over(now.plus(WAITER_SLACK_MS))
    }
}

formed!(struct Waiter => form::Waiter<'a> {
    lease_id, request_id, party, mode, ttl_ms, max_hold_ms, since, queued, deadline, claims, rule,
    policies, counters,
});
