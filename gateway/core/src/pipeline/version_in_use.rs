//! What needs a policy version that is to be deleted: the bindings that name it, and the leases that
//! are held under it.

use leasehold_domain::ListQuery;
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

impl Pipeline {
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
                let query = ListQuery {
                    namespace: document.name.clone(),
                    prefix: String::new(),
                    holder: None,
                    team: None,
                    state: None,
                    after,
                    limit: limits::PAGE_ROWS_MAX,
                };
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
