//! The revisions of a binding.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use leasehold_core::authorization::Permission;
use leasehold_core::caller::Caller;
use leasehold_core::failure::Failure;
use leasehold_core::failure::FailureKind;
use leasehold_core::governance::document::BindingDocument;
use leasehold_wire::v1::Problem;
use leasehold_wire::v1::bindings as wire;
use leasehold_wire::v1::revisions::RestoreRequest;
use leasehold_wire::v1::revisions::Revision;
use leasehold_wire::v1::revisions::RevisionList;

use super::show_body;
use super::show_written;
use crate::admin::allowed;
use crate::extract::Authenticated;
use crate::extract::Path;
use crate::extract::Query;
use crate::extract::RawJson;
use crate::extract::answer;
use crate::revisions;
use crate::revisions::RevisionOptions;
use crate::revisions::RevisionsOptions;
use crate::services::App;

/// `GET /v1/bindings/{binding}/revisions`: newest first, also of a binding that was deleted.
#[utoipa::path(
    get,
    path = "/v1/bindings/{binding}/revisions",
    operation_id = "list_binding_revisions",
    tag = "bindings",
    params(("binding" = String, Path, description = "Name of the binding"), RevisionsOptions),
    responses((status = 200, body = RevisionList<wire::BindingRequest>), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Path(name): Path<String>,
    Query(options): Query<RevisionsOptions>,
) -> Response {
    allowed(
        who,
        Permission::ReadBindingHistory,
        async |caller: Caller| {
            let governance = &app.governance;
            let body = revisions::page::<BindingDocument, _>(governance, &name, options, show_body);
            let body = body.await?;
            Ok(answer(StatusCode::OK, &caller.request_id, &body))
        },
    )
    .await
}

/// `GET /v1/bindings/{binding}/revisions/{number}`: what the binding said, and what was changed.
#[utoipa::path(
    get,
    path = "/v1/bindings/{binding}/revisions/{number}",
    operation_id = "get_binding_revision",
    tag = "bindings",
    params(
        ("binding" = String, Path, description = "Name of the binding"),
        ("number" = u64, Path, description = "Number of the revision"),
        RevisionOptions
    ),
    responses((status = 200, body = Revision<wire::BindingRequest>), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Path((name, number)): Path<(String, String)>,
    Query(options): Query<RevisionOptions>,
) -> Response {
    allowed(
        who,
        Permission::ReadBindingHistory,
        async |caller: Caller| {
            let (governance, named) = (&app.governance, (&*name, &*number));
            let body = revisions::one::<BindingDocument, _>(governance, named, options, show_body);
            let body = body.await?;
            Ok(answer(StatusCode::OK, &caller.request_id, &body))
        },
    )
    .await
}

/// `POST /v1/bindings/{binding}:…`.
pub(crate) async fn post(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Path(path): Path<String>,
    body: RawJson,
) -> Response {
    allowed(who, Permission::ChangeBindings, async |caller: Caller| {
        let Some(name) = path.strip_suffix(":restore") else {
            return Err(Failure::new(FailureKind::NotFound, "there is no such path").into());
        };
        let RestoreRequest { revision, reason } = body.parse()?;
        let governance = &app.governance;
        let restoring = governance.restore_binding(&caller, name, revision, reason.as_deref());
        let (document, written) = Box::pin(restoring).await?;
        let body = show_written(document, written);
        Ok(answer(StatusCode::OK, &caller.request_id, &body))
    })
    .await
}

/// The verb, for the document.
pub(crate) mod verbs {
    use super::Problem;
    use super::RestoreRequest;
    use super::wire;

    /// `POST /v1/bindings/{binding}:restore`: makes a binding say what one of its revisions said.
    ///
    /// It passes the same checks and approvals as a PUT, also if the binding was deleted.
    #[utoipa::path(
        post,
        path = "/v1/bindings/{binding}:restore",
        operation_id = "restore_binding",
        tag = "bindings",
        params(("binding" = String, Path, description = "Name of the binding")),
        request_body = RestoreRequest,
        responses((status = 200, body = wire::Binding), (status = "default", body = Problem, content_type = "application/problem+json"))
    )]
    #[expect(dead_code, reason = "describes a verb")]
    pub(crate) fn restore() {}
}
