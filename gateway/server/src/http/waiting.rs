//! What a gateway says while it waits for its cluster or its store: that it lives, and that it is
//! not ready.

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

/// Listens where the API will be, and says what the gateway does. It must be drained before that
/// listens itself.
///
/// # Errors
/// The address cannot be bound, or certificate and key cannot be used.
pub(crate) async fn listen(
    config: &Config,
    metrics: &Metrics,
    does: &'static str,
) -> Result<Listener, ListenError> {
    let router = Router::new()
        .route(paths::HEALTHZ, get(health::healthz))
        .route(paths::READYZ, get(move || readyz(does)))
        .fallback(move |headers| unavailable(headers, does));
    let (address, tls) = (config.listen.address, config.listen.tls.as_ref());
    let open = metrics.connections().clone();
    Listener::bind(address, tls, &config.limits, router, open).await
}

async fn readyz(does: &str) -> Response {
    let body = wire::Readiness {
        ready: false,
        backend: wire::BackendHealth {
            ready: false,
            detail: does.to_owned(),
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

async fn unavailable(headers: HeaderMap, does: &str) -> Response {
    let failure = Failure::new(ErrorCode::Unavailable, format!("this gateway {does}"));
    problem::respond(failure, &extract::request_id(&headers))
}
