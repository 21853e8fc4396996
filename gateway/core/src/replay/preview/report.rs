//! The result of a preview.

use std::collections::BTreeMap;

use leasehold_domain::Cursor;
use leasehold_domain::Operation;
use leasehold_domain::Principal;
use leasehold_domain::limits::REPLAY_DIFFERENCES_MAX;
use leasehold_domain::limits::REPLAY_GROUPS_MAX;

use crate::replay::ReplayDifference;
use crate::rollouts::Difference;

/// A part of a preview.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PreviewReport {
    /// Recorded decisions that the binding judged, or would judge.
    pub decisions: u64,
    /// Decisions that would be the same.
    pub agreed: u64,
    /// Decisions that would differ, by kind.
    pub differences: BTreeMap<Difference, u64>,
    /// Decisions of which it is not known, by reason.
    pub unknown: BTreeMap<&'static str, u64>,
    /// By operation and team, for the first [`REPLAY_GROUPS_MAX`] pairs.
    pub groups: BTreeMap<GroupKey, PreviewGroup>,
    /// Decisions of further pairs.
    pub ungrouped: u64,
    /// The first [`REPLAY_DIFFERENCES_MAX`] differences.
    pub first: Vec<ReplayDifference>,
    /// The ledger is complete up to this event, or up to the last one that was asked for.
    pub complete_to: Cursor,
    /// Where the next part begins; `None` if this was the last.
    pub next: Option<Cursor>,
}

/// An operation, and the team that asked for it.
pub(super) type GroupKey = (&'static str, Option<String>);

/// The decisions of one operation and team.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PreviewGroup {
    /// How many.
    pub decisions: u64,
    /// Those that would differ, by kind.
    pub differences: BTreeMap<Difference, u64>,
    /// Those of which it is not known.
    pub unknown: u64,
}

impl PreviewReport {
    /// Counts a decision. Returns its group, or nothing if there are too many groups.
    pub(super) fn count(
        &mut self,
        principal: &Principal,
        operation: Operation,
    ) -> Option<GroupKey> {
        self.decisions += 1;
        let team = principal.team.as_ref().map(ToString::to_string);
        let key = (operation.as_str(), team);
        if self.groups.len() >= REPLAY_GROUPS_MAX && !self.groups.contains_key(&key) {
            self.ungrouped += 1;
            return None;
        }
        self.groups.entry(key.clone()).or_default().decisions += 1;
        Some(key)
    }

    /// Counts a decision of which it is not known what it would be.
    pub(super) fn unknown(&mut self, group: Option<GroupKey>, reason: &'static str) {
        *self.unknown.entry(reason).or_default() += 1;
        if let Some(group) = group.and_then(|key| self.groups.get_mut(&key)) {
            group.unknown += 1;
        }
    }

    /// Counts a decision that was evaluated.
    pub(super) fn judged(&mut self, group: Option<GroupKey>, difference: Option<ReplayDifference>) {
        let Some(difference) = difference else {
            self.agreed += 1;
            return;
        };
        *self.differences.entry(difference.kind).or_default() += 1;
        if let Some(group) = group.and_then(|key| self.groups.get_mut(&key)) {
            *group.differences.entry(difference.kind).or_default() += 1;
        }
        if self.first.len() < REPLAY_DIFFERENCES_MAX {
            self.first.push(difference);
        }
    }
}
