//! Versions in use that could not be put to new use now: their signatures have expired, or a key was
//! revoked, or they were withdrawn: they go on judging. Or they were killed, and fail. Operators are
//! told.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::Weak;
use std::time::Duration;

use leasehold_domain::WallMillis;
use leasehold_domain::limits::POLICY_EXPIRY_CHECK_EVERY_MS;

use super::Governance;
use super::document::PolicyDocument;
use super::standing::Standing;
use super::standing::StandingProblem;

/// Least time between two checks, however often documents change.
const CHECK_PAUSE_MIN: Duration = Duration::from_millis(200);

/// A version in use that could not be put to new use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnusableVersion {
    /// The policy.
    pub policy: String,
    /// The version.
    pub version: String,
    /// Why.
    pub problem: StandingProblem,
}

/// What the newest check has found, by policy and version.
#[derive(Debug, Default)]
pub(super) struct Alerts(Mutex<BTreeMap<(String, String), StandingProblem>>);

/// Checks the versions in use whenever documents change, and when the time of a statement begins or
/// ends, until governance is gone.
pub(super) async fn watch(governance: Weak<Governance>) -> ControlFlow<()> {
    let Some(mut changed) = governance.upgrade().map(|all| all.changed.subscribe()) else {
        return ControlFlow::Break(());
    };
    loop {
        let Some(governance) = governance.upgrade() else {
            return ControlFlow::Break(());
        };
        let now = governance.clock.wall();
        let next = governance.check_versions_in_use(now);
        drop(governance);
        // Clocks may be set: none is slept through for long.
        let most = Duration::from_millis(POLICY_EXPIRY_CHECK_EVERY_MS);
        let due = next.map(|next| Duration::from_millis(next.0.saturating_sub(now.0)));
        let pause = due.map_or(most, |due| due.min(most)).max(CHECK_PAUSE_MIN);
        tokio::time::sleep(CHECK_PAUSE_MIN).await;
        let rest = pause.saturating_sub(CHECK_PAUSE_MIN);
        if let Ok(Err(_)) = tokio::time::timeout(rest, changed.changed()).await {
            return ControlFlow::Break(());
        }
    }
}

impl Governance {
    /// Returns the versions in use that could not be put to new use, as of the newest check.
    #[must_use]
    pub fn unusable_versions(&self) -> Vec<UnusableVersion> {
        let found = self.alerts.0.lock();
        let found = found.unwrap_or_else(PoisonError::into_inner);
        let row =
            |((policy, version), problem): (&(String, String), &StandingProblem)| UnusableVersion {
                policy: policy.clone(),
                version: version.clone(),
                problem: problem.clone(),
            };
        found.iter().map(row).collect()
    }

    /// Returns what people should know of a version, by the documents in force on this gateway.
    #[must_use]
    pub fn version_warnings(&self, policy: &str, version: &str) -> Vec<String> {
        let standing = self.replica().standing(policy, version, self.clock.wall());
        let id = PolicyDocument::id(policy, version);
        standing.map_or_else(Vec::new, |standing| standing.warnings(&id))
    }

    /// Checks all versions that bindings and open rollouts name. Returns the next moment at which the
    /// time alone may change what is found.
    fn check_versions_in_use(&self, now: WallMillis) -> Option<WallMillis> {
        let (mut found, mut next) = (BTreeMap::new(), None);
        let in_use = self.replica().versions_in_use();
        for (policy, version) in in_use {
            // One at a time, so that writes do not wait for all of them.
            let standing = self.replica().standing(&policy, &version, now);
            let Some(Standing {
                problem,
                changes_at,
                ..
            }) = standing
            else {
                continue;
            };
            next = next.into_iter().chain(changes_at).min();
            if let Some(problem) = problem {
                found.insert((policy, version), problem);
            }
        }
        let before = self.alerts.0.lock();
        let mut before = before.unwrap_or_else(PoisonError::into_inner);
        for ((policy, version), problem) in &found {
            let known = before.get(&(policy.clone(), version.clone()));
            if known.is_none_or(|known| known.kind() != problem.kind()) {
                let kind = problem.kind();
                match problem {
                    StandingProblem::Killed(_) => {
                        tracing::warn!(policy.name = %policy, policy.version = %version, reason = kind, %problem, "governance.policy in use was killed; it fails wherever it would judge");
                    }
                    _ => {
                        tracing::warn!(policy.name = %policy, policy.version = %version, reason = kind, %problem, "governance.policy in use cannot be put to new use; it goes on judging");
                    }
                }
            }
        }
        for ((policy, version), _) in before.iter().filter(|(id, _)| !found.contains_key(*id)) {
            tracing::info!(policy.name = %policy, policy.version = %version, "governance.policy can be put to new use again, or is not in use");
        }
        *before = found;
        next
    }
}
