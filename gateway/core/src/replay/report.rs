//! The result of a replay.

use std::collections::BTreeMap;

use leasehold_domain::Cursor;
use leasehold_domain::LockRef;
use leasehold_domain::WallMillis;
use leasehold_domain::limits::REPLAY_DIFFERENCES_MAX;
use leasehold_domain::limits::REPLAY_GROUPS_MAX;

use crate::rollouts::Difference;

/// A part of a replay.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplayReport {
    /// Recorded verdicts of the policy.
    pub decisions: u64,
    /// Verdicts for which the candidate gives the recorded answer.
    pub agreed: u64,
    /// Verdicts for which it gives another answer, by kind of difference.
    pub differences: BTreeMap<Difference, u64>,
    /// Verdicts that cannot be evaluated again, by reason.
    pub unknown: BTreeMap<&'static str, u64>,
    /// Verdicts that the recorded module and configuration gave again, with the same answer and fuel.
    pub reproduced: u64,
    /// Verdicts for which they gave another answer or spent other fuel. Expected to be 0.
    pub not_reproduced: u64,
    /// Differences by team and lock, for the first [`REPLAY_GROUPS_MAX`] pairs.
    pub groups: BTreeMap<(Option<String>, LockRef), BTreeMap<Difference, u64>>,
    /// The first [`REPLAY_DIFFERENCES_MAX`] differences.
    pub first: Vec<ReplayDifference>,
    /// The ledger is complete up to this event.
    pub complete_to: Cursor,
    /// Where the next part begins; `None` if this was the last.
    pub next: Option<Cursor>,
}

/// A recorded verdict that a candidate would not give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayDifference {
    /// The kind of difference.
    pub kind: Difference,
    /// The position of the event in the ledger.
    pub cursor: Cursor,
    /// When the request was decided.
    pub at: WallMillis,
    /// The subject that sent the request.
    pub subject: String,
    /// The team of the subject.
    pub team: Option<String>,
    /// The operation.
    pub operation: &'static str,
    /// The lock.
    pub lock: LockRef,
    /// The recorded answer, in words.
    pub recorded: String,
    /// The answer of the candidate, in words.
    pub candidate: String,
}

impl ReplayReport {
    /// Counts a verdict that cannot be evaluated again.
    pub(super) fn unknown(&mut self, reason: &'static str) {
        *self.unknown.entry(reason).or_default() += 1;
    }

    /// Counts a verdict that was evaluated again.
    pub(super) fn judged(&mut self, difference: Option<ReplayDifference>) {
        let Some(difference) = difference else {
            self.agreed += 1;
            return;
        };
        *self.differences.entry(difference.kind).or_default() += 1;
        let group = (difference.team.clone(), difference.lock.clone());
        if self.groups.len() < REPLAY_GROUPS_MAX || self.groups.contains_key(&group) {
            let group = self.groups.entry(group).or_default();
            *group.entry(difference.kind).or_default() += 1;
        }
        if self.first.len() < REPLAY_DIFFERENCES_MAX {
            self.first.push(difference);
        }
    }
}
