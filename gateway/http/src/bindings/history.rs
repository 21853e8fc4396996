//! The revisions of a binding.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use leasehold_core::authorization::Permission;
use leasehold_core::caller::Caller;
use leasehold_core::failure::Failure;
use leasehold_core::failure::FailureKind;
use leasehold_core::governance::BindingRevision;
use leasehold_core::governance::FieldChange;
use leasehold_core::governance::document::RevisionOrigin;
use leasehold_domain::limits::PAGE_ROWS_MAX;
use leasehold_wire::v1::Problem;
use leasehold_wire::v1::bindings as wire;
use serde::Deserialize;

use super::show_body;
use super::show_written;
use crate::admin::allowed;
use crate::extract::Authenticated;
use crate::extract::Path;
use crate::extract::Query;
use crate::extract::RawJson;
use crate::extract::answer;
use crate::services::App;

/// How many revisions a page has if the request names no number.
const PAGE_DEFAULT: usize = 20;

/// Options of `GET /v1/bindings/{binding}/revisions`.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RevisionsOptions {
    /// Only revisions with a lower number: `next_before` of the page before.
    before: Option<u64>,
    /// Most revisions of the page; 20 if absent.
    limit: Option<usize>,
}

/// Options of `GET /v1/bindings/{binding}/revisions/{number}`.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RevisionOptions {
    /// Compare with the revision of this number; absent: with the one before.
    against: Option<u64>,
}

/// `GET /v1/bindings/{binding}/revisions`: newest first, also of a binding that was deleted.
#[utoipa::path(
    get,
    path = "/v1/bindings/{binding}/revisions",
    operation_id = "list_binding_revisions",
    tag = "bindings",
    params(("binding" = String, Path, description = "Name of the binding"), RevisionsOptions),
    responses((status = 200, body = wire::BindingRevisionList), (status = "default", body = Problem, content_type = "application/problem+json"))
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
            let limit = options.limit.unwrap_or(PAGE_DEFAULT);
            if !(1..=PAGE_ROWS_MAX).contains(&limit) {
                let message = format!("limit: must be 1 to {PAGE_ROWS_MAX}");
                return Err(Failure::invalid(message).into());
            }
            let governance = &app.governance;
            let page = governance.binding_revisions(&name, options.before, limit);
            let page = page.await?;
            let brief = |revision: BindingRevision| {
                let changed = revision.changes.iter().map(|one| one.path.clone());
                let changed = changed.collect();
                wire::BindingRevision {
                    changed,
                    changes: Vec::new(),
                    body: None,
                    ..show(revision)
                }
            };
            let body = wire::BindingRevisionList {
                revisions: page.revisions.into_iter().map(brief).collect(),
                next_before: page.next,
                unrecorded: page.is_unrecorded,
            };
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
    responses((status = 200, body = wire::BindingRevision), (status = "default", body = Problem, content_type = "application/problem+json"))
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
            let number = number.parse().map_err(|_| {
                let message = format!("binding {name} has no revision {number:?}");
                Failure::new(FailureKind::NotFound, message)
            })?;
            let governance = &app.governance;
            let revision = governance.binding_revision(&name, number, options.against);
            let body = show(revision.await?);
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
        let wire::RestoreBindingRequest { revision, reason } = body.parse()?;
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
        request_body = wire::RestoreBindingRequest,
        responses((status = 200, body = wire::Binding), (status = "default", body = Problem, content_type = "application/problem+json"))
    )]
    #[expect(dead_code, reason = "describes a verb")]
    pub(crate) fn restore() {}
}

fn show(revision: BindingRevision) -> wire::BindingRevision {
    let document = revision.document;
    let (rollout, restored) = match &document.origin {
        RevisionOrigin::Rollout(name) => (Some(name.clone()), None),
        RevisionOrigin::Restore(number) => (None, Some(*number)),
        RevisionOrigin::Put | RevisionOrigin::Delete | RevisionOrigin::RecordedLater => {
            (None, None)
        }
    };
    wire::BindingRevision {
        number: document.number,
        at: document.at,
        by: document.by,
        origin: document.origin.as_str().to_owned(),
        rollout,
        restored,
        reason: document.reason,
        body: document.body.map(show_body),
        against: revision.against,
        changed: Vec::new(),
        changes: revision.changes.into_iter().map(show_change).collect(),
    }
}

pub(super) fn show_change(change: FieldChange) -> wire::FieldChange {
    wire::FieldChange {
        path: change.path,
        before: change.before,
        after: change.after,
    }
}
