//! The policy versions of leases, each distinct list once in memory.

use std::collections::HashSet;
use std::sync::Arc;

use leasehold_domain::LeasePolicies;

/// The number of lists up to which none is dropped.
const LISTS_KEPT: usize = 64;

/// The distinct [`LeasePolicies`] of the leases and waiters of a store. There are few, for any
/// number of leases.
#[derive(Debug, Clone, Default)]
pub(crate) struct SharedPolicies {
    lists: HashSet<Arc<LeasePolicies>>,
    /// Lists that nothing else uses are dropped when there are this many.
    sweep_at: usize,
}

/// Which lists are in memory is no part of a state: equal states may have come about differently.
impl PartialEq for SharedPolicies {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for SharedPolicies {}

impl SharedPolicies {
    /// Returns the list that is shared by all who have an equal one.
    pub(crate) fn share(&mut self, policies: LeasePolicies) -> Arc<LeasePolicies> {
        match self.lists.get(&policies) {
            Some(shared) => shared.clone(),
            None => self.insert(Arc::new(policies)),
        }
    }

    /// Replaces a list by the shared one.
    pub(crate) fn replace(&mut self, policies: &mut Option<Arc<LeasePolicies>>) {
        if let Some(own) = policies {
            *own = match self.lists.get(own) {
                Some(shared) => shared.clone(),
                None => self.insert(own.clone()),
            };
        }
    }

    fn insert(&mut self, policies: Arc<LeasePolicies>) -> Arc<LeasePolicies> {
        if self.lists.len() >= self.sweep_at.max(LISTS_KEPT) {
            self.lists.retain(|list| Arc::strong_count(list) > 1);
            self.sweep_at = self.lists.len() * 2;
        }
        self.lists.insert(policies.clone());
        policies
    }
}

#[cfg(test)]
mod tests {
    use leasehold_domain::PolicyVersion;

    use super::*;

    fn granted(version: usize) -> LeasePolicies {
        let version = PolicyVersion {
            policy: "p".into(),
            version: format!("{version}.0.0").into(),
        };
        LeasePolicies {
            granted: vec![version],
            renewed: None,
        }
    }

    #[test]
    fn equal_lists_are_one_and_unused_ones_are_dropped() {
        let mut shared = SharedPolicies::default();
        let kept = shared.share(granted(0));
        assert!(Arc::ptr_eq(&kept, &shared.share(granted(0))));
        let mut other = Some(Arc::new(granted(0)));
        shared.replace(&mut other);
        assert!(other.is_some_and(|other| Arc::ptr_eq(&kept, &other)));
        for version in 1..1_000 {
            assert_eq!(*shared.share(granted(version)), granted(version));
        }
        assert!(shared.lists.len() <= LISTS_KEPT, "{}", shared.lists.len());
        assert!(Arc::ptr_eq(&kept, &shared.share(granted(0))));
    }
}
