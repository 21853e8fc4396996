//! The revisions of a namespace.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use leasehold_core::authorization::Permission;
use leasehold_core::caller::Caller;
use leasehold_core::governance::document::NamespaceSettings;
use leasehold_wire::v1::Problem;
use leasehold_wire::v1::namespaces as wire;
use leasehold_wire::v1::revisions::Revision;
use leasehold_wire::v1::revisions::RevisionList;

use super::show_caps;
use super::show_default;
use super::show_visibility;
use crate::admin::allowed;
use crate::extract::Authenticated;
use crate::extract::Path;
use crate::extract::Query;
use crate::extract::answer;
use crate::revisions;
use crate::revisions::RevisionOptions;
use crate::revisions::RevisionsOptions;
use crate::services::App;

/// `GET /v1/namespaces/{ns}/revisions`: newest first, also of a namespace that was deleted.
#[utoipa::path(
    get,
    path = "/v1/namespaces/{ns}/revisions",
    operation_id = "list_namespace_revisions",
    tag = "namespaces",
    params(("ns" = String, Path, description = "Namespace"), RevisionsOptions),
    responses((status = 200, body = RevisionList<wire::NamespaceRequest>), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Path(name): Path<String>,
    Query(options): Query<RevisionsOptions>,
) -> Response {
    allowed(
        who,
        Permission::ReadNamespaceHistory,
        async |caller: Caller| {
            let governance = &app.governance;
            let body =
                revisions::page::<NamespaceSettings, _>(governance, &name, options, show_body);
            let body = body.await?;
            Ok(answer(StatusCode::OK, &caller.request_id, &body))
        },
    )
    .await
}

/// `GET /v1/namespaces/{ns}/revisions/{number}`: what the namespace said, and what was changed.
#[utoipa::path(
    get,
    path = "/v1/namespaces/{ns}/revisions/{number}",
    operation_id = "get_namespace_revision",
    tag = "namespaces",
    params(
        ("ns" = String, Path, description = "Namespace"),
        ("number" = u64, Path, description = "Number of the revision"),
        RevisionOptions
    ),
    responses((status = 200, body = Revision<wire::NamespaceRequest>), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Path((name, number)): Path<(String, String)>,
    Query(options): Query<RevisionOptions>,
) -> Response {
    allowed(
        who,
        Permission::ReadNamespaceHistory,
        async |caller: Caller| {
            let (governance, named) = (&app.governance, (&*name, &*number));
            let body =
                revisions::one::<NamespaceSettings, _>(governance, named, options, show_body);
            let body = body.await?;
            Ok(answer(StatusCode::OK, &caller.request_id, &body))
        },
    )
    .await
}

/// Shows settings in the form in which they are written. Without caps a PUT would keep those that the
/// namespace has, so no caps are an empty object.
fn show_body(settings: NamespaceSettings) -> wire::NamespaceRequest {
    wire::NamespaceRequest {
        name: Some(settings.name.to_string()),
        team: settings.team.map(|team| team.to_string()),
        visible_to: show_visibility(&settings.visibility),
        description: settings.description,
        default_decision: Some(show_default(settings.default_decision).to_owned()),
        store: None,
        caps: Some(show_caps(settings.caps).unwrap_or_default()),
        revision: None,
        reason: None,
    }
}
