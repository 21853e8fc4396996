//! Policy versions, and what all administrative handlers share.

use std::sync::Arc;

use axum::extract::Request;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::http::header;
use axum::response::Response;
use leasehold_core::authorization::Permission;
use leasehold_core::caller::Caller;
use leasehold_core::failure::Failure;
use leasehold_core::failure::FailureKind;
use leasehold_core::failure::Fault;
use leasehold_core::governance::Stored;
use leasehold_core::governance::document::PolicyDocument;
use leasehold_core::pipeline::PolicyFailure;
use leasehold_core::telemetry::rfc3339;
use leasehold_domain::Precondition;
use leasehold_domain::limits;
use leasehold_wire::v1::Problem;
use leasehold_wire::v1::error::ErrorCode;
use leasehold_wire::v1::policies as wire_policies;

use super::extract::Authenticated;
use super::extract::Path;
use super::extract::answer;
use super::extract::read;
use super::problem::Refusal;
use super::problem::respond;
use super::problem::settle;
use crate::services::App;

/// Runs a handler for a caller that may do this.
pub(crate) async fn allowed<F, Fut>(
    who: Authenticated,
    permission: Permission,
    handle: F,
) -> Response
where
    F: FnOnce(Caller) -> Fut,
    Fut: Future<Output = Result<Response, Refusal>>,
{
    match who.allowed(permission).await {
        Ok(caller) => {
            let request_id = caller.request_id.clone();
            settle(handle(caller).await, &request_id)
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

fn show_policy(stored: Stored<PolicyDocument>) -> wire_policies::PolicyVersion {
    let document = stored.document;
    wire_policies::PolicyVersion {
        policy: document.policy,
        version: document.version,
        digest: document.digest,
        operations: document.operations,
        needs_lock: document.needs_lock,
        needs_usage: document.needs_usage,
        config_schema: document.config_schema,
        uploaded_by: document.uploaded_by,
        uploaded_at: document.uploaded_at,
        failures: Vec::new(),
    }
}

fn show_failure(failure: PolicyFailure) -> wire_policies::PolicyFailure {
    wire_policies::PolicyFailure {
        at: rfc3339(failure.at),
        binding: failure.binding.to_string(),
        enforcement: failure.enforcement.as_str().to_owned(),
        operation: failure.operation.as_str().to_owned(),
        lock: failure.lock.to_string(),
        kind: failure.kind.to_owned(),
        detail: failure.detail.into(),
        decision_id: format!("{:032x}", failure.decision),
    }
}

/// `PUT /v1/policies/{policy}/versions/{version}`.
#[utoipa::path(
    put,
    path = "/v1/policies/{policy}/versions/{version}",
    tag = "policies",
    params(("policy" = String, Path, description = "Name of the policy"), ("version" = String, Path, description = "Semantic version")),
    request_body(content = Vec<u8>, content_type = "application/wasm"),
    responses((status = 201, body = wire_policies::PolicyVersion), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn upload_policy(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Path((policy, version)): Path<(String, String)>,
    headers: HeaderMap,
    request: Request,
) -> Response {
    allowed(who, Permission::ChangePolicies, async |caller: Caller| {
        let kind = headers
            .get(header::CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok());
        if !matches!(kind, Some("application/wasm" | "application/octet-stream")) {
            let message = "content-type: must be application/wasm or application/octet-stream";
            return Err(Refusal::new(ErrorCode::UnsupportedMediaType, message));
        }
        let _place = app.governance.admit_upload()?;
        let wasm = read(request.into_body(), &app, limits::MODULE_BYTES_MAX).await?;
        let named = Some((policy.as_str(), version.as_str()));
        let stored = app
            .governance
            .upload_policy(&caller, named, Arc::from(&*wasm))
            .await?;
        Ok(answer(
            StatusCode::CREATED,
            &caller.request_id,
            &show_policy(stored),
        ))
    })
    .await
}

/// `DELETE /v1/policies/{policy}/versions/{version}`.
///
/// Refused with `policy_version_in_use` while a binding names the version, or while a lease is held
/// that was granted or renewed under it.
#[utoipa::path(
    delete,
    path = "/v1/policies/{policy}/versions/{version}",
    tag = "policies",
    params(("policy" = String, Path, description = "Name of the policy"), ("version" = String, Path, description = "Semantic version")),
    responses((status = 200, body = wire_policies::PolicyVersion), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn delete_policy(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Path((policy, version)): Path<(String, String)>,
) -> Response {
    allowed(who, Permission::ChangePolicies, async |caller: Caller| {
        let deleted = app
            .pipeline
            .delete_policy_version(&caller, &policy, &version);
        let shown = show_policy(deleted.await?);
        Ok(answer(StatusCode::OK, &caller.request_id, &shown))
    })
    .await
}

/// `GET /v1/policies`.
#[utoipa::path(
    get,
    path = "/v1/policies",
    tag = "policies",
    responses((status = 200, body = wire_policies::PolicyList), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn list_policies(State(app): State<Arc<App>>, who: Authenticated) -> Response {
    let request_id = who.request_id();
    match app.governance.policies().await {
        Ok(rows) => {
            let policies = rows.into_iter().map(show_policy).collect();
            answer(
                StatusCode::OK,
                request_id,
                &wire_policies::PolicyList {
                    policies,
                    contracts: leasehold_core::governance::policy_contracts(),
                },
            )
        }
        Err(failure) => respond(failure, request_id),
    }
}

/// `GET /v1/policies/{policy}/versions/{version}`.
#[utoipa::path(
    get,
    path = "/v1/policies/{policy}/versions/{version}",
    tag = "policies",
    params(("policy" = String, Path, description = "Name of the policy"), ("version" = String, Path, description = "Semantic version")),
    responses((status = 200, body = wire_policies::PolicyVersion), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn get_policy(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Path((policy, version)): Path<(String, String)>,
) -> Response {
    let caller = who.by_header();
    let request_id = &caller.request_id;
    match app.governance.version(&policy, &version).await {
        Ok(Some(stored)) => {
            let mut shown = show_policy(stored);
            if Fault::is_told_to(&caller.principal) {
                let failures = app.pipeline.policy_failures(&caller, &policy, &version);
                shown.failures = failures.into_iter().map(show_failure).collect();
            }
            answer(StatusCode::OK, request_id, &shown)
        }
        Ok(None) => {
            let message = format!("there is no policy {policy}@{version}");
            respond(Failure::new(FailureKind::NotFound, message), request_id)
        }
        Err(failure) => respond(failure, request_id),
    }
}
