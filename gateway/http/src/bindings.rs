//! Bindings.

pub(crate) mod history;
pub(crate) mod preview;

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use leasehold_core::authorization::Permission;
use leasehold_core::caller::Caller;
use leasehold_core::failure::Failure;
use leasehold_core::governance::JudgedChange;
use leasehold_core::governance::Stored;
use leasehold_core::governance::WrittenBinding;
use leasehold_core::governance::document::BindingDocument;
use leasehold_core::governance::document::BoundPolicyDocument;
use leasehold_core::governance::document::EnforcementName;
use leasehold_core::governance::document::OnError;
use leasehold_domain::Operation;
use leasehold_domain::Precondition;
use leasehold_wire::v1::Problem;
use leasehold_wire::v1::bindings as wire;
use serde::Deserialize;

use super::admin::allowed;
use super::admin::exists;
use super::admin::new_name;
use super::admin::precondition;
use super::extract::Authenticated;
use super::extract::Json;
use super::extract::Path;
use super::extract::Query;
use super::extract::answer;
use crate::services::App;

fn document(name: &str, body: wire::BindingRequest) -> Result<BindingDocument, Failure> {
    if body.name.as_deref().is_some_and(|given| given != name) {
        return Err(Failure::invalid("name: path and body differ"));
    }
    Ok(BindingDocument {
        name: name.to_owned(),
        namespaces: body.namespaces,
        locks: body.locks.unwrap_or_else(|| vec!["**".to_owned()]),
        operations: body.operations,
        order: body.order,
        policies: body
            .policies
            .into_iter()
            .map(bound)
            .collect::<Result<_, _>>()?,
    })
}

fn bound(policy: wire::BoundPolicy) -> Result<BoundPolicyDocument, Failure> {
    Ok(BoundPolicyDocument {
        policy: policy.policy,
        version: policy.version,
        config: policy.config.unwrap_or_else(|| serde_json::json!({})),
        enforcement: match policy.enforcement.as_deref() {
            None | Some("mandatory") => EnforcementName::Mandatory,
            Some("advisory") => EnforcementName::Advisory,
            Some("overridable") => EnforcementName::Overridable,
            Some(_) => {
                return Err(Failure::invalid(
                    "enforcement: advisory, mandatory or overridable",
                ));
            }
        },
        on_error: OnError {
            allow: policy.on_error_allow,
        },
    })
}

/// Shows a binding, with what should be known of its versions by the documents in force here.
fn show(app: &App, stored: Stored<BindingDocument>) -> wire::Binding {
    let policies = stored.document.policies.iter();
    let warnings = policies.flat_map(|bound| {
        let governance = &app.governance;
        governance.version_warnings(&bound.policy, &bound.version)
    });
    let warnings = warnings.collect();
    wire::Binding {
        warnings,
        ..show_document(stored)
    }
}

fn show_document(stored: Stored<BindingDocument>) -> wire::Binding {
    let body = show_body(stored.document);
    wire::Binding {
        name: body.name.unwrap_or_default(),
        namespaces: body.namespaces,
        locks: body.locks.unwrap_or_default(),
        operations: body.operations,
        order: body.order,
        policies: body.policies,
        revision: stored.revision,
        number: None,
        evaluated_operations: Vec::new(),
        changes: Vec::new(),
        undeclared_roles: Vec::new(),
        warnings: Vec::new(),
    }
}

/// Shows what a binding says in the form in which it is written.
fn show_body(document: BindingDocument) -> wire::BindingRequest {
    let show_bound = |policy: BoundPolicyDocument| {
        let enforcement = match policy.enforcement {
            EnforcementName::Advisory => "advisory",
            EnforcementName::Mandatory => "mandatory",
            EnforcementName::Overridable => "overridable",
        };
        wire::BoundPolicy {
            policy: policy.policy,
            version: policy.version,
            config: Some(policy.config),
            enforcement: Some(enforcement.to_owned()),
            on_error_allow: policy.on_error.allow,
        }
    };
    wire::BindingRequest {
        name: Some(document.name),
        namespaces: document.namespaces,
        locks: Some(document.locks),
        operations: document.operations,
        order: document.order,
        policies: document.policies.into_iter().map(show_bound).collect(),
        revision: None,
        reason: None,
    }
}

/// A binding as the answer to its write, with what it judges now.
fn show_written(document: BindingDocument, written: WrittenBinding) -> wire::Binding {
    let revision = written.revision;
    wire::Binding {
        number: Some(written.number),
        evaluated_operations: names(&written.judges),
        changes: written
            .changes
            .into_iter()
            .map(show_evaluation_change)
            .collect(),
        undeclared_roles: written.undeclared_roles.into_iter().collect(),
        warnings: written.warnings,
        ..show_document(Stored { document, revision })
    }
}

fn names(operations: &[Operation]) -> Vec<String> {
    let names = operations.iter().map(|one| one.as_str().to_owned());
    names.collect()
}

fn show_evaluation_change(change: JudgedChange) -> wire::EvaluationChange {
    wire::EvaluationChange {
        policy: change.policy,
        from: change.from,
        to: change.to,
        newly_evaluated: names(&change.added),
        no_longer_evaluated: names(&change.removed),
    }
}

/// `POST /v1/bindings`.
#[utoipa::path(
    post,
    path = "/v1/bindings",
    operation_id = "create_binding",
    tag = "bindings",
    request_body = wire::BindingRequest,
    responses((status = 201, body = wire::Binding), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Json(body): Json<wire::BindingRequest>,
) -> Response {
    allowed(who, Permission::ChangeBindings, async |caller: Caller| {
        let name = new_name(body.name.as_ref(), body.revision)?;
        let reason = body.reason.clone();
        let document = document(&name, body)?;
        let written = app
            .governance
            .put_binding_for(&caller, &document, Precondition::Absent, reason.as_deref())
            .await
            .map_err(exists)?;
        Ok(answer(
            StatusCode::CREATED,
            &caller.request_id,
            &show_written(document, written),
        ))
    })
    .await
}

/// `PUT /v1/bindings/{binding}`.
#[utoipa::path(
    put,
    path = "/v1/bindings/{binding}",
    operation_id = "put_binding",
    tag = "bindings",
    params(("binding" = String, Path, description = "Name of the binding")),
    request_body = wire::BindingRequest,
    responses((status = 200, body = wire::Binding), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn put(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Path(name): Path<String>,
    Json(body): Json<wire::BindingRequest>,
) -> Response {
    allowed(who, Permission::ChangeBindings, async |caller: Caller| {
        let condition = precondition(body.revision);
        let reason = body.reason.clone();
        let document = document(&name, body)?;
        let written = app
            .governance
            .put_binding_for(&caller, &document, condition, reason.as_deref())
            .await?;
        Ok(answer(
            StatusCode::OK,
            &caller.request_id,
            &show_written(document, written),
        ))
    })
    .await
}

/// `GET /v1/bindings`.
#[utoipa::path(
    get,
    path = "/v1/bindings",
    operation_id = "list_bindings",
    tag = "bindings",
    responses((status = 200, body = wire::BindingList), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn list(State(app): State<Arc<App>>, who: Authenticated) -> Response {
    allowed(who, Permission::ReadBindings, async |caller: Caller| {
        let bindings = app
            .governance
            .bindings()
            .await?
            .into_iter()
            .map(|stored| show(&app, stored))
            .collect();
        Ok(answer(
            StatusCode::OK,
            &caller.request_id,
            &wire::BindingList { bindings },
        ))
    })
    .await
}

/// `GET /v1/bindings/{binding}`.
#[utoipa::path(
    get,
    path = "/v1/bindings/{binding}",
    operation_id = "get_binding",
    tag = "bindings",
    params(("binding" = String, Path, description = "Name of the binding")),
    responses((status = 200, body = wire::Binding), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Path(name): Path<String>,
) -> Response {
    allowed(who, Permission::ReadBindings, async |caller: Caller| {
        let stored = app.governance.binding(&name).await?;
        Ok(answer(
            StatusCode::OK,
            &caller.request_id,
            &show(&app, stored),
        ))
    })
    .await
}

/// Options of `DELETE /v1/bindings/{binding}`.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeleteOptions {
    /// Why; the revision and the ledger keep it.
    reason: Option<String>,
    /// Delete it only if it has this revision.
    revision: Option<u64>,
}

/// `DELETE /v1/bindings/{binding}`. Its revisions stay, and can be restored.
#[utoipa::path(
    delete,
    path = "/v1/bindings/{binding}",
    operation_id = "delete_binding",
    tag = "bindings",
    params(("binding" = String, Path, description = "Name of the binding"), DeleteOptions),
    responses((status = 200, body = wire::Binding), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Path(name): Path<String>,
    Query(options): Query<DeleteOptions>,
) -> Response {
    allowed(who, Permission::ChangeBindings, async |caller: Caller| {
        let (governance, reason) = (&app.governance, options.reason.as_deref());
        let condition = precondition(options.revision);
        let deleted = governance.delete_binding_for(&caller, &name, condition, reason);
        let (stored, number) = Box::pin(deleted).await?;
        let body = wire::Binding {
            number: Some(number),
            ..show(&app, stored)
        };
        Ok(answer(StatusCode::OK, &caller.request_id, &body))
    })
    .await
}
