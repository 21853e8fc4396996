//! How many leases everybody holds, kept up to date by each transition.

use std::collections::BTreeMap;

use leasehold_domain::Owner;
use leasehold_domain::Subject;
use leasehold_domain::TeamName;
use leasehold_domain::Usage;

use crate::cap_usage::CapUsage;
use crate::counters::CounterTable;
use crate::lease::Party;

/// Leases by subject and by team, in one namespace. Nobody is listed who holds nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct UsageTable {
    subjects: BTreeMap<Subject, u32>,
    teams: BTreeMap<TeamName, u32>,
    /// How much of its caps the namespace uses.
    pub(crate) cap_usage: CapUsage,
    /// The counters that the namespace's leases carry.
    pub(crate) counters: CounterTable,
}

impl UsageTable {
    pub(crate) fn of(&self, subject: &Subject, team: Option<&TeamName>) -> Usage {
        let team = team.and_then(|team| self.teams.get(team));
        Usage {
            subject_leases: self.subjects.get(subject).copied().unwrap_or(0),
            team_leases: team.copied().unwrap_or(0),
        }
    }

    /// Counts a lease that is held now.
    pub(crate) fn add(&mut self, subject: &Subject, team: Option<&TeamName>) {
        count(&mut self.subjects, subject);
        if let Some(team) = team {
            count(&mut self.teams, team);
        }
    }

    /// Lets a lease share the names with the other leases of its holder, so that many leases of
    /// one holder keep its name once.
    pub(crate) fn share_names(&self, party: &mut Party) {
        if let Some((subject, _)) = self.subjects.get_key_value(&party.subject) {
            party.subject = subject.clone();
        }
        if let Some(team) = &mut party.team
            && let Some((shared, _)) = self.teams.get_key_value(team)
        {
            *team = shared.clone();
        }
    }

    /// Counts a lease that is held no more.
    pub(crate) fn remove(&mut self, owner: &Owner) {
        discount(&mut self.subjects, &owner.subject);
        if let Some(team) = &owner.team {
            discount(&mut self.teams, team);
        }
    }
}

fn count<K: Ord + Clone>(counts: &mut BTreeMap<K, u32>, key: &K) {
    match counts.get_mut(key) {
        Some(count) => *count += 1,
        None => {
            counts.insert(key.clone(), 1);
        }
    }
}

fn discount<K: Ord>(counts: &mut BTreeMap<K, u32>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(key);
        }
    }
}
