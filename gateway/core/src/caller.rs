//! Who makes a request: after authentication, and under which idempotency key.

use std::collections::BTreeMap;
use std::sync::Arc;

use leasehold_domain::InvalidName;
use leasehold_domain::Principal;
use leasehold_domain::RequestId;
use leasehold_domain::Role;
use leasehold_domain::RoleSet;

use crate::authentication::KeyScope;
use crate::failure::Failure;

/// Who asks, and under which idempotency key.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who, after authentication.
    pub principal: Arc<Principal>,
    /// Where its key is of use; `None` for everywhere.
    pub scope: Option<Arc<KeyScope>>,
    /// The caller's idempotency key, or one that the gateway drew.
    pub request_id: RequestId,
}

impl Caller {
    /// The gateway itself: an actor in the ledger like any other.
    ///
    /// # Errors
    /// `work` is no name.
    pub fn gateway(work: &str) -> Result<Self, Failure> {
        let bad = |error: InvalidName| Failure::internal(error.to_string());
        Ok(Self {
            principal: Arc::new(Principal {
                subject: format!("leasehold:{work}").parse().map_err(bad)?,
                team: None,
                roles: RoleSet::default().with(Role::Administrator),
                claims: BTreeMap::new(),
            }),
            scope: None,
            request_id: work.parse().map_err(bad)?,
        })
    }
}
