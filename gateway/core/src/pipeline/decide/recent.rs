//! The newest failures of each policy version in this gateway, for its author: the ledger has them
//! too, but authors do not read the ledger.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use leasehold_domain::Enforcement;
use leasehold_domain::LockRef;
use leasehold_domain::Operation;
use leasehold_domain::WallMillis;
use leasehold_domain::limits::FAILURES_PER_POLICY_VERSION_MAX;
use leasehold_domain::limits::POLICY_VERSIONS_WITH_FAILURES_MAX;

/// A policy that failed to decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyFailure {
    /// When, by this gateway's clock.
    pub at: WallMillis,
    /// The binding by which it ran.
    pub binding: Arc<str>,
    /// How binding its answer would have been.
    pub enforcement: Enforcement,
    /// What was asked.
    pub operation: Operation,
    /// Of which lock.
    pub lock: LockRef,
    /// The kind of the failure.
    pub kind: &'static str,
    /// What exactly happened.
    pub detail: Box<str>,
    /// The decision, to be found in the ledger by its id.
    pub decision: u128,
}

type Version = (Arc<str>, Arc<str>);

/// The newest failures by policy and version.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<HashMap<Version, VecDeque<PolicyFailure>>>);

impl Recent {
    /// Keeps a failure. The oldest one of the version makes room, and the version that has not failed
    /// for the longest time.
    pub(super) fn add(&self, version: Version, failure: PolicyFailure) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.contains_key(&version) && all.len() >= POLICY_VERSIONS_WITH_FAILURES_MAX {
            let newest = |(_, failures): &(&Version, &VecDeque<PolicyFailure>)| {
                failures.back().map(|failure| failure.at)
            };
            let stalest = all.iter().min_by_key(newest).map(|(of, _)| of.clone());
            stalest.and_then(|stalest| all.remove(&stalest));
        }
        let failures = all.entry(version).or_default();
        if failures.len() >= FAILURES_PER_POLICY_VERSION_MAX {
            failures.pop_front();
        }
        failures.push_back(failure);
    }

    /// The failures of one version, oldest first.
    pub(super) fn of(&self, policy: &str, version: &str) -> Vec<PolicyFailure> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = all.get(&(Arc::from(policy), Arc::from(version)));
        found.into_iter().flatten().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(at: u64) -> PolicyFailure {
        PolicyFailure {
            at: WallMillis(at),
            binding: "b".into(),
            enforcement: Enforcement::Mandatory,
            operation: Operation::Acquire,
            lock: "demo/a".parse().unwrap(),
            kind: "trap",
            detail: "".into(),
            decision: 1,
        }
    }

    #[test]
    fn only_the_newest_are_kept() {
        let recent = Recent::default();
        let version = |n: usize| (Arc::from("p"), Arc::from(n.to_string()));
        for at in 0..FAILURES_PER_POLICY_VERSION_MAX as u64 + 3 {
            recent.add(version(0), failure(at));
        }
        let kept = recent.of("p", "0");
        assert_eq!(kept.len(), FAILURES_PER_POLICY_VERSION_MAX);
        assert_eq!(kept[0].at, WallMillis(3));
        for n in 1..=POLICY_VERSIONS_WITH_FAILURES_MAX {
            recent.add(version(n), failure(1_000 + n as u64));
        }
        assert_eq!(recent.of("p", "0"), [], "it failed longest ago");
        assert_eq!(recent.of("p", "1").len(), 1);
    }
}
