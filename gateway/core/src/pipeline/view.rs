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
use crate::failure::Failure;

/// Whether a token is the current one (Chubby's `CheckSequencer`).
#[derive(Debug, Clone)]
pub struct Validation {
    /// Whether a lease with this token is held now.
    pub current: bool,
    /// Whether new work may be begun under it: it is current, and not draining.
    pub accepts_work: bool,
    /// The holder, if it is current.
    pub holder: Option<HolderView>,
    /// The greatest token that the lock's record knows.
    pub last_token: u64,
}

impl Pipeline {
    /// Shows one lock.
    ///
    /// # Errors
    /// There is no such namespace, or the store cannot answer.
    pub async fn get(&self, lock: &LockRef, freshness: Freshness) -> Result<LockView, Failure> {
        let store = self.inner.store_of(&lock.namespace).await?;
        store.door.read(lock, freshness).await
    }

    /// Shows locks of a namespace.
    ///
    /// # Errors
    /// There is no such namespace, the limit is out of range, or the store cannot answer.
    pub async fn list(&self, query: ListQuery) -> Result<Page<LockView>, Failure> {
        let store = self.inner.store_of(&query.namespace).await?;
        if query.limit == 0 || query.limit > limits::PAGE_ROWS_MAX {
            return Err(Failure::invalid("limit: must be 1 to 1000"));
        }
        store.door.list(query).await
    }

    /// Says whether a token is the current one, linearizably.
    ///
    /// # Errors
    /// There is no such namespace, or the store cannot answer.
    pub async fn validate(&self, ask: ask::Validate) -> Result<Validation, Failure> {
        let view = self.get(&ask.lock, Freshness::Linearizable).await?;
        let last_token = view.last_token.0;
        let holder = view
            .holders
            .into_iter()
            .find(|holder| holder.token == ask.token);
        let active = |holder: &HolderView| holder.state == LeaseState::Active;
        Ok(Validation {
            current: holder.is_some(),
            accepts_work: holder.as_ref().is_some_and(active),
            holder,
            last_token,
        })
    }
}
