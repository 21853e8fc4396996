//! What all administrative handlers share.

use axum::response::Response;
use leasehold_core::authorization::Permission;
use leasehold_core::caller::Caller;
use leasehold_core::failure::Failure;
use leasehold_core::failure::FailureKind;
use leasehold_domain::Precondition;
use leasehold_wire::v1::error::ErrorCode;

use super::extract::Authenticated;
use super::problem::Refusal;
use super::problem::respond;
use super::problem::settle;

/// Runs a handler for a caller that may do this. That a policy version cannot be put to use is in the
/// ledger before it is answered.
pub(crate) async fn allowed<F, Fut>(
    who: Authenticated,
    permission: Permission,
    handle: F,
) -> Response
where
    F: FnOnce(Caller) -> Fut,
    Fut: Future<Output = Result<Response, Refusal>>,
{
    let recorder = who.recorder();
    match who.allowed(permission).await {
        Ok(caller) => {
            let request_id = caller.request_id.clone();
            let handled = match handle(caller.clone()).await {
                Err(refusal) if refusal.code == ErrorCode::PolicyVersionUnusable => {
                    Err(recorder.refused(&caller, refusal.failure).await.into())
                }
                handled => handled,
            };
            settle(handled, &request_id)
        }
        Err((failure, request_id)) => respond(failure, &request_id),
    }
}

/// The condition of a PUT: its body's revision, or none.
pub(crate) fn precondition(revision: Option<u64>) -> Precondition {
    revision.map_or(Precondition::Any, Precondition::Revision)
}

/// The name in the body of a POST that creates a document.
///
/// # Errors
/// It is missing, or the body has a revision, which only a document that exists has.
pub(crate) fn new_name(name: Option<&String>, revision: Option<u64>) -> Result<String, Failure> {
    if revision.is_some() {
        return Err(Failure::invalid("revision: only a PUT may have one"));
    }
    name.cloned()
        .ok_or_else(|| Failure::invalid("name: is missing"))
}

/// The failure of a POST that creates a document: one of that name exists.
pub(crate) fn exists(failure: Failure) -> Failure {
    if failure.kind != FailureKind::PreconditionFailed {
        return failure;
    }
    let message = format!("it exists already: {}", failure.message);
    Failure {
        kind: FailureKind::Conflict,
        message,
        ..failure
    }
}
