//! What a replay has found.

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
    /// Verdicts that were found.
    pub decisions: u64,
    /// Those on which the candidate answers as recorded.
    pub agreed: u64,
    /// Those on which it does not, by kind.
    pub differences: BTreeMap<Difference, u64>,
    /// Those that cannot be judged again, by reason.
    pub unknown: BTreeMap<&'static str, u64>,
    /// Those that the recorded module with the recorded configuration has judged again with the same
    /// answer and the same fuel.
    pub reproduced: u64,
    /// Those that it has judged otherwise. There should be none.
    pub not_reproduced: u64,
    /// Differences by team and lock; those beyond [`REPLAY_GROUPS_MAX`] are not told apart.
    pub groups: BTreeMap<(Option<String>, LockRef), BTreeMap<Difference, u64>>,
    /// The first differences; [`REPLAY_DIFFERENCES_MAX`] at most.
    pub first: Vec<ReplayDifference>,
    /// The ledger has every event up to here.
    pub complete_to: Cursor,
    /// Where the next part begins; `None` if this was the last.
    pub next: Option<Cursor>,
}

/// A recorded verdict that a candidate would not give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayDifference {
    /// How it differs.
    pub kind: Difference,
    /// The event.
    pub cursor: Cursor,
    /// When it was judged.
    pub at: WallMillis,
    /// Who asked.
    pub subject: String,
    /// Of which team.
    pub team: Option<String>,
    /// For what.
    pub operation: &'static str,
    /// On which lock.
    pub lock: LockRef,
    /// What was answered.
    pub recorded: String,
    /// What the candidate answers.
    pub candidate: String,
}

impl ReplayReport {
    /// Counts a verdict that cannot be judged again.
    pub(super) fn unknown(&mut self, reason: &'static str) {
        *self.unknown.entry(reason).or_default() += 1;
    }

    /// Counts a verdict that was judged again.
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
