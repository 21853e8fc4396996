//! Backups: for administrators.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::response::Response;
use leasehold_core::authorization::Permission;
use leasehold_core::caller::Caller;
use leasehold_wire::v1::Problem;

use super::admin::allowed;
use super::extract::Authenticated;
use crate::services::App;

/// `GET /v1/backup`: the store and its ledger as one stream. A stream that is cut off is no backup,
/// and says so when it is read.
#[utoipa::path(
    get,
    path = "/v1/backup",
    operation_id = "take_backup",
    tag = "backup",
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream"), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn take(State(app): State<Arc<App>>, who: Authenticated) -> Response {
    allowed(who, Permission::TakeBackups, async |caller: Caller| {
        let bytes = app.backups.take(&caller).await?;
        let kind = [(header::CONTENT_TYPE, "application/octet-stream")];
        Ok((kind, Body::from_stream(bytes)).into_response())
    })
    .await
}
