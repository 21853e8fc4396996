//! Which policies and versions have labels of their own. Anybody who may upload a policy makes new
//! ones, and each set of labels is a time series for ever; so there is a limit.

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::PoisonError;
use std::sync::RwLock;

use leasehold_domain::limits::POLICY_LABEL_SETS_MAX;

/// What stands for all that came after the limit was reached.
const OTHER: (&str, &str) = ("other", "other");

/// The policies and versions that were seen first.
#[derive(Debug, Default)]
pub(super) struct PolicyLabels(RwLock<Known>);

#[derive(Debug, Default)]
struct Known {
    versions: HashMap<Box<str>, HashSet<Box<str>>>,
    count: usize,
}

impl PolicyLabels {
    /// The labels of a policy's version: its own, or those that all later ones share.
    pub(super) fn of<'a>(&self, policy: &'a str, version: &'a str) -> (&'a str, &'a str) {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if known.has(policy, version) {
            return (policy, version);
        }
        if known.count >= POLICY_LABEL_SETS_MAX {
            return OTHER;
        }
        drop(known);
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        // Another may have come between the locks.
        if known.has(policy, version) || known.add(policy, version) {
            (policy, version)
        } else {
            OTHER
        }
    }
}

impl Known {
    fn has(&self, policy: &str, version: &str) -> bool {
        let versions = self.versions.get(policy);
        versions.is_some_and(|versions| versions.contains(version))
    }

    /// Whether there was room.
    fn add(&mut self, policy: &str, version: &str) -> bool {
        if self.count >= POLICY_LABEL_SETS_MAX {
            return false;
        }
        let versions = self.versions.entry(policy.into()).or_default();
        versions.insert(version.into());
        self.count += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_come_after_the_limit_share_their_labels() {
        let labels = PolicyLabels::default();
        for n in 0..POLICY_LABEL_SETS_MAX {
            let (policy, version) = (format!("p{}", n % 7), format!("1.0.{n}"));
            assert_eq!(labels.of(&policy, &version), (&*policy, &*version));
        }
        for (policy, version) in [("p0", "2.0.0"), ("new", "1.0.0")] {
            assert_eq!(labels.of(policy, version), OTHER);
        }
        assert_eq!(labels.of("p0", "1.0.0"), ("p0", "1.0.0"), "known before");
    }
}
