//! Is it alive, can it serve, what does it count.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header;
use axum::response::IntoResponse;
use axum::response::Response;
use leasehold_wire::v1::health as wire;

use super::extract::answer;
use super::extract::draw_request_id;
use crate::app::App;

/// `GET /healthz`: the process answers.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "operation",
    responses((status = 200))
)]
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: it can serve, and how far the ledger is behind.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "operation",
    responses((status = 200, body = wire::Readiness), (status = 503, body = wire::Readiness))
)]
pub(crate) async fn readyz(State(app): State<Arc<App>>) -> Response {
    let health = app.pipeline.health().await;
    let ledger = app.ledger.head().cursor;
    let draining = *app.shutdown.borrow();
    let incident = app.pipeline.incident();
    let ready = health.ready && incident.is_none() && !draining;
    let body = wire::Readiness {
        ready,
        backend: wire::BackendHealth {
            ready: health.ready && incident.is_none(),
            detail: match (draining, &incident) {
                (true, _) => "draining".to_owned(),
                (false, Some(_)) => format!("safe mode; {}", health.detail),
                (false, None) => health.detail,
            },
            incident: incident.map(|incident| incident.to_string()),
        },
        ledger: wire::LedgerHealth {
            cursor: ledger.0,
            lag_events: health.newest.0.saturating_sub(ledger.0),
        },
    };
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    answer(status, &draw_request_id(), &body)
}

/// `GET /metrics`: Prometheus' text format.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operation",
    responses((status = 200))
)]
pub(crate) async fn metrics(State(app): State<Arc<App>>) -> Response {
    let ledger = app.ledger.head().cursor;
    let lag = app.pipeline.lag(ledger, app.clock.wall()).await;
    let health = app.pipeline.health().await;
    let text = app.metrics.encode(&health, lag);
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    (StatusCode::OK, [(header::CONTENT_TYPE, kind)], text).into_response()
}
