//! What a gateway says while it waits for its cluster or its store: that it lives, and that it is
//! not ready.

use std::sync::Arc;

use axum::Router;
use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use leasehold_core::config::Config;
use leasehold_core::failure::Failure;
use leasehold_core::failure::FailureKind;
use leasehold_core::telemetry::Metrics;
use leasehold_wire::v1::health as wire;
use leasehold_wire::v1::paths;
use tokio::sync::watch;

use super::conform;
use super::extract;
use super::health;
use super::problem;
use crate::limiting::Proxies;
use crate::listener::ListenError;
use crate::listener::Listener;

/// How soon it may be worth asking again.
const RETRY_AFTER_MS: u64 = 1_000;

/// Why a gateway waits, and what callers are told meanwhile.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// What requests are answered with.
    pub kind: FailureKind,
    /// What the gateway does, after "this gateway"; for operators.
    pub does: String,
}

impl Waiting {
    /// The gateway does something that will end by itself.
    pub fn unavailable(does: &str) -> Self {
        Self {
            kind: FailureKind::Unavailable,
            does: does.to_owned(),
        }
    }
}

type Says = watch::Receiver<Waiting>;

/// Listens where the API will be, and says what the gateway does. It must be drained before that
/// listens itself.
///
/// # Errors
/// The address cannot be bound, or certificate and key cannot be used.
pub async fn listen(
    config: &Config,
    metrics: &Metrics,
    says: Says,
) -> Result<Listener, ListenError> {
    let shown = says.clone();
    let router = Router::new()
        .route(paths::HEALTHZ, get(health::healthz))
        .route(paths::READYZ, get(move || readyz(shown)))
        .fallback(move |headers| unavailable(headers, says))
        .layer(axum::middleware::from_fn_with_state(
            Arc::<[String]>::from(config.listen.hosts.as_slice()),
            conform::only,
        ));
    let (address, tls) = (config.listen.address, config.listen.tls.as_ref());
    let with = (Proxies::new(&config.listen.proxies), metrics.connections());
    Listener::bind(address, tls, &config.limits, router, with).await
}

async fn readyz(says: Says) -> Response {
    let body = wire::Readiness {
        ready: false,
        backend: wire::BackendHealth {
            ready: false,
            detail: says.borrow().does.clone(),
            incident: None,
        },
        ledger: wire::LedgerHealth {
            cursor: 0,
            lag_events: 0,
            problem: None,
        },
        stores: Vec::new(),
        governance: None,
    };
    let status = StatusCode::SERVICE_UNAVAILABLE;
    extract::answer(status, &extract::draw_request_id(), &body)
}

async fn unavailable(headers: HeaderMap, says: Says) -> Response {
    let Waiting { kind, does } = says.borrow().clone();
    let failure = Failure {
        retry_after_ms: Some(RETRY_AFTER_MS),
        ..Failure::new(kind, format!("this gateway {does}"))
    };
    problem::respond(failure, &extract::request_id(&headers))
}
