//! Reviews of what somebody did alone.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use leasehold_core::authorization::Permission;
use leasehold_core::caller::Caller;
use leasehold_core::failure::Failure;
use leasehold_core::failure::FailureKind;
use leasehold_core::governance::document::ReviewDocument;
use leasehold_core::telemetry::rfc3339;
use leasehold_domain::WallMillis;
use leasehold_wire::v1::Problem;
use leasehold_wire::v1::reviews as wire;

use super::admin::allowed;
use super::extract::Authenticated;
use super::extract::Path;
use super::extract::RawJson;
use super::extract::answer;
use crate::services::App;

fn show(document: ReviewDocument, now: WallMillis) -> wire::Review {
    let state = match &document.closed {
        Some(_) => "closed",
        None if document.is_overdue(now.0) => "overdue",
        None => "open",
    };
    let (closed_by, closed_at, note) = match document.closed {
        Some(closed) => (Some(closed.by), Some(closed.at), Some(closed.note)),
        None => (None, None, None),
    };
    wire::Review {
        id: document.id,
        kind: document.kind,
        subject: document.subject,
        summary: document.summary,
        lock: document.lock,
        reason: document.reason,
        ticket: document.ticket,
        expires_at: document.expires_ms.map(|ms| rfc3339(WallMillis(ms))),
        decision_id: document.decision,
        opened_at: document.opened_at,
        due_at: rfc3339(WallMillis(document.due_ms)),
        state: state.to_owned(),
        closed_by,
        closed_at,
        note,
    }
}

/// `GET /v1/reviews`.
#[utoipa::path(
    get,
    path = "/v1/reviews",
    operation_id = "list_reviews",
    tag = "reviews",
    responses((status = 200, body = wire::ReviewList), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn list(State(app): State<Arc<App>>, who: Authenticated) -> Response {
    allowed(who, Permission::ReadReviews, async |caller: Caller| {
        let mut all = app.governance.reviews().await?;
        all.sort_by_key(|one| (one.document.closed.is_some(), one.document.due_ms));
        let now = app.clock.wall();
        let reviews = all.into_iter().map(|one| show(one.document, now)).collect();
        let body = wire::ReviewList { reviews };
        Ok(answer(StatusCode::OK, &caller.request_id, &body))
    })
    .await
}

/// `GET /v1/reviews/{review}`.
#[utoipa::path(
    get,
    path = "/v1/reviews/{review}",
    operation_id = "get_review",
    tag = "reviews",
    params(("review" = String, Path, description = "Id of the review")),
    responses((status = 200, body = wire::Review), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Path(id): Path<String>,
) -> Response {
    allowed(who, Permission::ReadReviews, async |caller: Caller| {
        let stored = app.governance.review(&id).await?;
        let body = show(stored.document, app.clock.wall());
        Ok(answer(StatusCode::OK, &caller.request_id, &body))
    })
    .await
}

/// `POST /v1/reviews/{review}:close`: somebody else says what they found.
#[utoipa::path(
    post,
    path = "/v1/reviews/{review}:close",
    operation_id = "close_review",
    tag = "reviews",
    params(("review" = String, Path, description = "Id of the review")),
    request_body = wire::CloseReviewRequest,
    responses((status = 200, body = wire::Review), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn close(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Path(path): Path<String>,
    body: RawJson,
) -> Response {
    allowed(who, Permission::CloseReviews, async |caller: Caller| {
        let not_found = || Failure::new(FailureKind::NotFound, "there is no such path");
        let id = path.strip_suffix(":close").ok_or_else(not_found)?;
        let wire::CloseReviewRequest { note } = body.parse()?;
        match app.governance.close_review(&caller, id, &note).await {
            Err(failure) if failure.kind == FailureKind::Forbidden => {
                let operation = "POST /v1/reviews/{review}:close".to_owned();
                let refusing = app.authorization.not_entitled(&caller, operation, failure);
                Err(refusing.await.into())
            }
            closed => {
                let body = show(closed?.document, app.clock.wall());
                Ok(answer(StatusCode::OK, &caller.request_id, &body))
            }
        }
    })
    .await
}
