//! Authorization: what a caller may do, by its roles and by which namespaces it can see.
//!
//! Policies come after it, for operations on locks. What is refused here is in the ledger before it
//! is answered.

mod permission;

use std::sync::Arc;

use leasehold_domain::CapReached;
use leasehold_domain::DenialKind;
use leasehold_domain::LockRef;
use leasehold_domain::NamespaceName;

pub use self::permission::Permission;
use crate::authentication::KeyScope;
use crate::caller::Caller;
use crate::denials::DenialRecorder;
use crate::denials::Denied;
use crate::denials::Reason;
use crate::failure::Failure;
use crate::failure::FailureKind;
use crate::governance::document::NamespaceDocument;
use crate::governance::document::Visibility;
use crate::stores::OpenStore;
use crate::telemetry::Metrics;

/// What was asked for, as the ledger tells of it if it is refused.
#[derive(Debug)]
pub struct Asked {
    /// The operation, such as `DELETE /v1/bindings/{binding}`: never what the caller made up.
    pub operation: String,
    /// What it was asked for, such as `DELETE /v1/bindings/a`.
    pub of: String,
}

/// The stage that every operation passes.
#[derive(Debug)]
pub struct Authorization {
    denials: Arc<DenialRecorder>,
    metrics: Arc<Metrics>,
}

impl Authorization {
    /// Records what it refuses in these denials.
    #[must_use]
    pub fn new(denials: Arc<DenialRecorder>, metrics: Arc<Metrics>) -> Self {
        Self { denials, metrics }
    }

    /// Whether the caller may do this.
    ///
    /// # Errors
    /// `forbidden` if it has none of the roles that this needs; that is in the ledger then. Or it
    /// could not be recorded.
    pub async fn allow(
        &self,
        caller: &Caller,
        permission: Permission,
        asked: Asked,
    ) -> Result<(), Failure> {
        let is_scoped = caller.scope.is_some();
        if permission.is_open_to(&caller.principal) && !is_scoped {
            return Ok(());
        }
        let roles: Vec<&str> = permission
            .roles()
            .iter()
            .map(|role| role.as_str())
            .collect();
        let mut message = format!("this needs role {}", roles.join(" or "));
        if is_scoped {
            message += ", and a key without a scope";
        }
        let summary = format!("denied: {}: {message}", asked.of);
        self.refuse(caller, asked.operation, summary).await?;
        Err(Failure::new(FailureKind::Forbidden, message))
    }

    /// The answer about a namespace that is not there, or that the caller cannot see: both are
    /// recorded, so that the time of the answer does not tell one from the other.
    pub async fn unseen(
        &self,
        caller: &Caller,
        operation: &str,
        namespace: &NamespaceName,
    ) -> Failure {
        let summary = format!(
            "denied: {operation} in {namespace}: there is no such namespace that the caller can see"
        );
        match self.refuse(caller, operation.to_owned(), summary).await {
            Ok(()) => Failure::no_namespace(namespace),
            Err(failure) => failure,
        }
    }

    /// The answer to an acquire of something new in a namespace that has as much as its cap allows,
    /// once that is recorded in the ledger of the namespace's store.
    pub(crate) async fn beyond_cap(
        &self,
        store: &Arc<OpenStore>,
        caller: &Caller,
        lock: &LockRef,
        reached: CapReached,
    ) -> Failure {
        let (namespace, cap) = (&lock.namespace, reached.cap);
        self.metrics.refused_by_cap(cap);
        let failure = Failure::cap_reached(namespace, reached);
        let denied = Denied {
            principal: caller.principal.clone(),
            request_id: caller.request_id.clone(),
            operation: format!("acquire in {namespace} beyond the cap of {}", cap.as_str()),
            summary: format!("denied: acquire of {lock}: {}", failure.message),
            reason: Reason::Cap {
                namespace: namespace.clone(),
                store: store.clone(),
            },
        };
        match self.denials.record(denied).await {
            Ok(()) => failure,
            Err(unrecorded) => unrecorded,
        }
    }

    /// The answer to a request about a policy version that cannot be put to use, once that is
    /// recorded; other failures are answered as they are.
    pub async fn unusable(&self, caller: &Caller, asked: Asked, failure: Failure) -> Failure {
        if failure.kind != FailureKind::PolicyVersionUnusable {
            return failure;
        }
        let denied = Denied {
            principal: caller.principal.clone(),
            request_id: caller.request_id.clone(),
            operation: asked.operation,
            summary: format!("refused: {}: {}", asked.of, failure.message),
            reason: Reason::Standing,
        };
        match self.denials.record(denied).await {
            Ok(()) => failure,
            Err(unrecorded) => unrecorded,
        }
    }

    /// The answer to a caller that has the role but not the right, once that is recorded.
    pub async fn refused(&self, caller: &Caller, operation: String, failure: Failure) -> Failure {
        let summary = format!("denied: {operation}: {}", failure.message);
        match self.refuse(caller, operation, summary).await {
            Ok(()) => failure,
            Err(unrecorded) => unrecorded,
        }
    }

    async fn refuse(
        &self,
        caller: &Caller,
        operation: String,
        summary: String,
    ) -> Result<(), Failure> {
        self.metrics.denied(DenialKind::Role);
        let denied = Denied {
            principal: caller.principal.clone(),
            request_id: caller.request_id.clone(),
            operation,
            summary,
            reason: Reason::Role,
        };
        self.denials.record(denied).await
    }
}

/// Whether a caller can see a namespace. One that nobody owns is everybody's.
#[must_use]
pub fn sees(caller: &Caller, namespace: &NamespaceDocument) -> bool {
    let owner = namespace.team.as_ref();
    let covers = |scope: &Arc<KeyScope>| scope.covers(&namespace.name, owner);
    if !caller.scope.as_ref().is_none_or(covers) {
        return false;
    }
    let principal = &caller.principal;
    let is_of = |team| principal.team.as_ref() == Some(team);
    let owns = match &namespace.team {
        Some(owner) => is_of(owner),
        None => namespace.visibility == Visibility::Team,
    };
    let is_shown = match &namespace.visibility {
        Visibility::Team => false,
        Visibility::Everyone => true,
        Visibility::Teams(teams) => teams.iter().any(is_of),
    };
    owns || is_shown || Permission::SeeEveryNamespace.is_open_to(principal)
}

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) mod fixture {
    use leasehold_domain::Clock;

    use super::*;

    /// Records what it refuses in this store.
    pub(crate) fn authorization(
        store: &Arc<OpenStore>,
        clock: Arc<dyn Clock>,
    ) -> Arc<Authorization> {
        let denials = DenialRecorder::new(store.clone(), clock);
        Arc::new(Authorization::new(denials, Arc::new(Metrics::new())))
    }
}
