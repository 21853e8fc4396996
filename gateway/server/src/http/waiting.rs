//! What a gateway says while it waits for its cluster: that it lives, and that it is not ready.

use axum::Router;
use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use leasehold_wire::v1::error::ErrorCode;
use leasehold_wire::v1::health as wire;
use leasehold_wire::v1::paths;

use super::extract;
use super::health;
use super::problem;
use crate::config::Config;
use crate::listener::ListenError;
use crate::listener::Listener;
use crate::pipeline::failure::Failure;
use crate::telemetry::Metrics;

const DETAIL: &str = "waits to take part in its cluster";

/// Listens where the API will be. It must be drained before that listens itself.
///
/// # Errors
/// The address cannot be bound, or certificate and key cannot be used.
pub(crate) async fn listen(config: &Config, metrics: &Metrics) -> Result<Listener, ListenError> {
    let router = Router::new()
        .route(paths::HEALTHZ, get(health::healthz))
        .route(paths::READYZ, get(readyz))
        .fallback(unavailable);
    let (address, tls) = (config.listen.address, config.listen.tls.as_ref());
    let open = metrics.connections().clone();
    Listener::bind(address, tls, &config.limits, router, open).await
}

async fn readyz() -> Response {
    let body = wire::Readiness {
        ready: false,
        backend: wire::BackendHealth {
            ready: false,
            detail: DETAIL.to_owned(),
            incident: None,
        },
        ledger: wire::LedgerHealth {
            cursor: 0,
            lag_events: 0,
        },
        stores: Vec::new(),
    };
    let status = StatusCode::SERVICE_UNAVAILABLE;
    extract::answer(status, &extract::draw_request_id(), &body)
}

async fn unavailable(headers: HeaderMap) -> Response {
    let failure = Failure::new(ErrorCode::Unavailable, format!("this gateway {DETAIL}"));
    problem::respond(failure, &extract::request_id(&headers))
}
