//! Reads: one lock, many locks, and whether a token is the current one.

use leasehold_backend_api::Freshness;
use leasehold_domain::HolderView;
use leasehold_domain::LeaseState;
use leasehold_domain::ListQuery;
use leasehold_domain::LockRef;
use leasehold_domain::LockView;
use leasehold_domain::Page;
use leasehold_domain::limits;

use super::Pipeline;
use super::ask;
use crate::caller::Caller;
use crate::failure::Failure;

/// Whether a token is the current one (Chubby's `CheckSequencer`). Nothing else of the lock is told:
/// whoever guards a resource may ask, and need not see the namespace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Validation {
    /// Whether a lease with this token is held now.
    pub current: bool,
    /// Whether new work may be begun under it: it is current, and not draining.
    pub accepts_work: bool,
}

impl Pipeline {
    /// Shows one lock.
    ///
    /// # Errors
    /// There is no such namespace, or the store cannot answer.
    pub async fn get(
        &self,
        caller: &Caller,
        lock: &LockRef,
        freshness: Freshness,
    ) -> Result<LockView, Failure> {
        let store = self.inner.store_of(caller, &lock.namespace, "get").await?;
        store.door.read(lock, freshness).await
    }

    /// Shows locks of a namespace.
    ///
    /// # Errors
    /// There is no such namespace, the limit is out of range, or the store cannot answer.
    pub async fn list(&self, caller: &Caller, query: ListQuery) -> Result<Page<LockView>, Failure> {
        let store = self
            .inner
            .store_of(caller, &query.namespace, "list")
            .await?;
        if query.limit == 0 || query.limit > limits::PAGE_ROWS_MAX {
            return Err(Failure::invalid("limit: must be 1 to 1000"));
        }
        store.door.list(query).await
    }

    /// Says whether a token is the current one, linearizably. No token is current in a namespace
    /// that is not there.
    ///
    /// # Errors
    /// The store cannot answer.
    pub async fn validate(&self, ask: ask::Validate) -> Result<Validation, Failure> {
        let Some(store) = self.inner.locate(&ask.lock.namespace).await? else {
            return Ok(Validation::default());
        };
        let view = store.door.read(&ask.lock, Freshness::Linearizable).await?;
        let mut holders = view.holders.iter();
        let holder = holders.find(|holder| holder.token == ask.token);
        let active = |holder: &HolderView| holder.state == LeaseState::Active;
        Ok(Validation {
            current: holder.is_some(),
            accepts_work: holder.is_some_and(active),
        })
    }
}
