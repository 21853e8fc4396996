//! The locks that a change of a binding touches: those that are held or waited for now.

use std::collections::BTreeMap;

use leasehold_domain::ListQuery;
use leasehold_domain::LockView;
use leasehold_domain::NamespaceName;
use leasehold_domain::StoreName;
use leasehold_domain::limits;

use super::Pipeline;
use crate::failure::Failure;
use crate::governance::BindingCandidate;

/// The locks that a change of a binding touches.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TouchedLocks {
    /// Locks that are held or waited for.
    pub locks: u64,
    /// Their leases.
    pub leases: u64,
    /// Their waiters.
    pub waiters: u64,
    /// Leases and waiters by team; `None` for principals without one.
    pub teams: BTreeMap<Option<String>, u64>,
    /// The first of these locks, by namespace and name.
    pub first: Vec<String>,
    /// Whether there are more locks than were looked at.
    pub more: bool,
}

impl Pipeline {
    /// Returns the stores whose namespaces a change of a binding touches.
    #[must_use]
    pub fn touched_stores(&self, candidate: &BindingCandidate) -> Vec<StoreName> {
        let plan = self.inner.governance.plan();
        let named = plan
            .namespaces()
            .filter(|one| candidate.names(&one.document.name));
        let mut stores: Vec<_> = named.map(|one| one.document.store.clone()).collect();
        stores.sort_unstable();
        stores.dedup();
        stores
    }

    /// Counts the locks of one store that a change of a binding touches. Looks at
    /// [`limits::PREVIEW_LOCKS_MAX`] locks at most.
    ///
    /// # Errors
    /// The store cannot answer.
    pub async fn touched_locks(
        &self,
        candidate: &BindingCandidate,
        store: &StoreName,
    ) -> Result<TouchedLocks, Failure> {
        let plan = self.inner.governance.plan();
        let named = plan.namespaces().map(|one| one.document);
        let named = named.filter(|one| one.store == *store && candidate.names(&one.name));
        let mut names: Vec<NamespaceName> = named.map(|one| one.name.clone()).collect();
        names.sort_unstable();
        let door = &self.inner.stores.get(store)?.door;
        let mut touched = TouchedLocks::default();
        let mut rows = 0;
        for namespace in names {
            let mut after = None;
            loop {
                if rows >= limits::PREVIEW_LOCKS_MAX {
                    touched.more = true;
                    return Ok(touched);
                }
                let query = ListQuery::all_of(namespace.clone(), after, limits::PAGE_ROWS_MAX);
                let page = door.list(query).await?;
                rows += page.rows.len();
                for view in &page.rows {
                    if candidate.covers(&view.lock) {
                        touched.add(view);
                    }
                }
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        Ok(touched)
    }
}

impl TouchedLocks {
    fn add(&mut self, view: &LockView) {
        if view.holders.is_empty() && view.queue.is_empty() {
            return;
        }
        self.locks += 1;
        self.leases += view.holders.len() as u64;
        self.waiters += view.queue.len() as u64;
        let holders = view.holders.iter().map(|holder| &holder.owner);
        let waiters = view.queue.iter().map(|waiter| &waiter.owner);
        for owner in holders.chain(waiters) {
            let team = owner.team.as_ref().map(ToString::to_string);
            *self.teams.entry(team).or_default() += 1;
        }
        if self.first.len() < limits::PREVIEW_LOCKS_SHOWN_MAX {
            self.first.push(view.lock.to_string());
        }
    }
}
