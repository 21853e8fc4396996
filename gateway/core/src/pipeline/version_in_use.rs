//! What needs a policy version that is to be deleted: the bindings that name it, and the leases that
//! are held under it.
//!
//! A lease keeps a digest of its rule, which does not tell versions. The ledger tells them: it has the
//! decision that granted a lease, and that of the last renewal under another rule.

use leasehold_backend_api::Hold;
use leasehold_domain::HolderView;
use leasehold_domain::ListQuery;
use leasehold_domain::LockRef;
use leasehold_domain::LockView;
use leasehold_domain::WallMillis;
use leasehold_domain::limits;

use super::Pipeline;
use crate::authorization::sees;
use crate::caller::Caller;
use crate::failure::Failure;
use crate::failure::FailureKind;
use crate::governance::Stored;
use crate::governance::document::NamespaceDocument;
use crate::governance::document::PolicyDocument;
use crate::stores::Ledgers;

/// How often a deletion is tried against bindings that are written at the same time.
const ATTEMPTS_MAX: usize = 4;
const RETRY_AFTER_MS: u64 = 1_000;
/// A moment after all events, however far the clocks of gateways differ; the ledger compares it only.
const LATEST: WallMillis = WallMillis(u64::MAX / 2);

impl Pipeline {
    /// Deletes a policy version that nothing needs. A binding that is written at the same time is
    /// either seen, or refused because the version is gone.
    ///
    /// # Errors
    /// `not_found`: there is no such version. `policy_version_in_use`: a binding names it, a lease is
    /// held that was granted or renewed under it, or of a lease that is held this cannot be told.
    /// `unavailable`: a store, or its ledger, cannot tell now.
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
                let store = self.inner.stores.get(&document.store)?;
                let page = store.door.list(query).await?;
                self.check_locks(caller, version, document, &page.rows)
                    .await?;
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Checks the leases of some locks of a namespace.
    async fn check_locks(
        &self,
        caller: &Caller,
        version: &PolicyDocument,
        namespace: &NamespaceDocument,
        locks: &[LockView],
    ) -> Result<(), Failure> {
        if locks.iter().all(|lock| lock.holders.is_empty()) {
            return Ok(());
        }
        let store = self.inner.stores.get(&namespace.store)?;
        let newest = store.door.health().await.newest;
        let ledgers = self.inner.stores.ledgers(namespace.stores());
        store.ledger_follows().await;
        if store.ledger.head().cursor < newest || !ledgers.missing.is_empty() {
            return Err(untold(version));
        }
        for lock in locks {
            for holder in &lock.holders {
                let problem = match is_under(&ledgers, &lock.lock, holder, version).await? {
                    Some(false) => continue,
                    Some(true) => "was granted or renewed under it",
                    None => {
                        "may have been granted under it: the ledger has no decision about that lease"
                    }
                };
                let of_lock = match sees(caller, namespace) {
                    true => format!("of {}", lock.lock),
                    false => "in a namespace that you do not see".to_owned(),
                };
                let id = PolicyDocument::id(&version.policy, &version.version);
                let message =
                    format!("policy {id} is in use: a lease {of_lock} that is held {problem}");
                return Err(Failure::new(FailureKind::PolicyVersionInUse, message));
            }
        }
        Ok(())
    }
}

/// Returns whether a version judged the grant of a lease that is held, or its last renewal under
/// another rule; `None` if the ledgers do not tell.
async fn is_under(
    ledgers: &Ledgers,
    lock: &LockRef,
    holder: &HolderView,
    version: &PolicyDocument,
) -> Result<Option<bool>, Failure> {
    let mut at = LATEST;
    for _ in 0..2 {
        let (holds, _) = ledgers.holders(lock, at).await?;
        let hold = holds.into_iter().map(|(_, hold)| hold);
        let hold = { hold }.find(|hold| hold.handle == holder.handle);
        let Some(Hold {
            under: Some(under),
            from,
            ..
        }) = hold
        else {
            return Ok(None);
        };
        let mut verdicts = under.decision.verdicts.iter();
        if verdicts.any(|verdict| {
            *verdict.policy == *version.policy && *verdict.version == *version.version
        }) {
            return Ok(Some(true));
        }
        at = from;
    }
    Ok(Some(false))
}

/// The failure of a deletion about whose leases the ledger, or a store, cannot tell now.
fn untold(version: &PolicyDocument) -> Failure {
    let id = PolicyDocument::id(&version.policy, &version.version);
    let message = format!(
        "whether a lease is held under policy {id} cannot be told now: a store is not open, or its \
         ledger is behind it; try again"
    );
    Failure {
        retry_after_ms: Some(RETRY_AFTER_MS),
        ..Failure::new(FailureKind::Unavailable, message)
    }
}

#[cfg(test)]
mod tests;
