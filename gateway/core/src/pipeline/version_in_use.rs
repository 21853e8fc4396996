//! What needs a policy version that is to be deleted or withdrawn: the bindings that name it, and the
//! leases that are held under it.

use std::time::Duration;

use leasehold_domain::ListQuery;
use leasehold_domain::LockRef;
use leasehold_domain::LockView;
use leasehold_domain::limits;

use super::Pipeline;
use crate::authorization::sees;
use crate::caller::Caller;
use crate::failure::Failure;
use crate::failure::FailureKind;
use crate::governance::Stored;
use crate::governance::document::NamespaceDocument;
use crate::governance::document::PolicyDocument;

/// How often a deletion is tried against bindings that are written at the same time.
const ATTEMPTS_MAX: usize = 4;

/// The leases that are held and were granted or last renewed under a policy version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeasesUnderVersion {
    /// How many there are.
    pub leases: u64,
    /// How many leases may be further ones: the build that granted them did not keep policy versions.
    pub unknown: u64,
    /// The locks of the first of them, of those that the caller sees.
    pub locks: Vec<LockRef>,
    /// Whether there may be more than were counted: there are too many locks, or a store could not be
    /// read in time.
    pub is_partial: bool,
}

impl Pipeline {
    /// Counts the leases under a policy version in all namespaces, whatever store has them. What cannot
    /// be read in time is left out, and the answer says so.
    pub async fn leases_under_version(
        &self,
        caller: &Caller,
        policy: &str,
        version: &str,
    ) -> LeasesUnderVersion {
        let mut under = LeasesUnderVersion::default();
        let limit = Duration::from_millis(limits::POLICY_LEASES_WAIT_MS_MAX);
        let counting = self.count_leases_under(caller, (policy, version), &mut under);
        let in_time = tokio::time::timeout(limit, counting).await.is_ok();
        under.is_partial |= !in_time;
        under
    }

    async fn count_leases_under(
        &self,
        caller: &Caller,
        (policy, version): (&str, &str),
        under: &mut LeasesUnderVersion,
    ) {
        let plan = self.inner.governance.plan();
        let mut rows = 0;
        let namespaces = plan.namespaces().map(|namespace| namespace.document);
        let mut namespaces: Vec<_> = namespaces.collect();
        namespaces.sort_by(|one, other| one.name.cmp(&other.name));
        for document in namespaces {
            let is_seen = sees(caller, document);
            let mut after = None;
            loop {
                if rows >= limits::POLICY_LEASES_ROWS_MAX {
                    under.is_partial = true;
                    return;
                }
                let query = ListQuery::all_of(document.name.clone(), after, limits::PAGE_ROWS_MAX);
                let page = match self.inner.stores.get(&document.store) {
                    Ok(store) => store.door.list(query).await,
                    Err(failure) => Err(failure),
                };
                let Ok(page) = page else {
                    under.is_partial = true;
                    break;
                };
                rows += page.rows.len();
                for lock in &page.rows {
                    under.add((policy, version), lock, is_seen);
                }
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
    }

    /// Deletes a policy version that nothing needs. A binding that is written at the same time is
    /// either seen, or refused because the version is gone.
    ///
    /// # Errors
    /// `not_found`: there is no such version. `policy_version_in_use`: a binding names it, a lease is
    /// held that was granted or last renewed under it, or that was granted by a build that did not
    /// keep policy versions. `unavailable`: a store cannot be read now.
    pub async fn delete_policy_version(
        &self,
        caller: &Caller,
        policy: &str,
        version: &str,
    ) -> Result<Stored<PolicyDocument>, Failure> {
        let governance = &self.inner.governance;
        for _ in 0..ATTEMPTS_MAX {
            let stored = governance.unbound_version(policy, version).await?;
            self.check_no_lease_under(caller, &stored.document).await?;
            match governance.delete_version(caller, &stored).await {
                Ok(()) => return Ok(stored),
                // It was bound, or deleted, meanwhile.
                Err(failure) if failure.kind == FailureKind::PreconditionFailed => {}
                Err(failure) => return Err(failure),
            }
        }
        let id = PolicyDocument::id(policy, version);
        let message = format!("policy {id} was bound and unbound each time that it was to go");
        Err(Failure::new(FailureKind::Conflict, message))
    }

    async fn check_no_lease_under(
        &self,
        caller: &Caller,
        version: &PolicyDocument,
    ) -> Result<(), Failure> {
        self.inner.governance.catch_up().await?;
        let plan = self.inner.governance.plan();
        for namespace in plan.namespaces() {
            let document = namespace.document;
            let store = self.inner.stores.get(&document.store)?;
            let mut after = None;
            loop {
                let query = ListQuery::all_of(document.name.clone(), after, limits::PAGE_ROWS_MAX);
                let page = store.door.list(query).await?;
                for lock in &page.rows {
                    check_leases(caller, version, document, lock)?;
                }
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        Ok(())
    }
}

impl LeasesUnderVersion {
    /// Adds the leases of a lock.
    fn add(&mut self, (policy, version): (&str, &str), lock: &LockView, is_seen: bool) {
        let before = self.leases;
        for holder in &lock.holders {
            match holder.policies.as_deref() {
                Some(policies) => self.leases += u64::from(policies.has(policy, version)),
                None => self.unknown += 1,
            }
        }
        let has_room = self.locks.len() < limits::POLICY_LEASES_LOCKS_SHOWN_MAX;
        if self.leases > before && is_seen && has_room {
            self.locks.push(lock.lock.clone());
        }
    }
}

/// Checks the leases of a lock.
fn check_leases(
    caller: &Caller,
    version: &PolicyDocument,
    namespace: &NamespaceDocument,
    lock: &LockView,
) -> Result<(), Failure> {
    for holder in &lock.holders {
        let problem = match holder.policies.as_deref() {
            Some(policies) if !policies.has(&version.policy, &version.version) => continue,
            Some(_) => "was granted or renewed under it",
            None => "may have been granted under it: it does not keep its policy versions",
        };
        let of_lock = match sees(caller, namespace) {
            true => format!("of {}", lock.lock),
            false => "in a namespace that you do not see".to_owned(),
        };
        let id = PolicyDocument::id(&version.policy, &version.version);
        let message = format!("policy {id} is in use: a lease {of_lock} that is held {problem}");
        return Err(Failure::new(FailureKind::PolicyVersionInUse, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
