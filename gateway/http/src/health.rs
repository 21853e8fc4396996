//! Is it alive, can it serve, what does it count.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header;
use axum::response::IntoResponse;
use axum::response::Response;
use leasehold_core::governance::StandingProblem;
use leasehold_core::governance::UnusableVersion;
use leasehold_core::stores::OpenStore;
use leasehold_core::telemetry::Scraped;
use leasehold_domain::StoreName;
use leasehold_wire::v1::health as wire;

use super::extract::answer;
use super::extract::draw_request_id;
use crate::services::App;

/// `GET /healthz`: the process answers.
#[utoipa::path(
    get,
    path = "/healthz",
    operation_id = "get_health",
    tag = "operation",
    security(),
    responses((status = 200, body = String, content_type = "text/plain"))
)]
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: it can serve, and how far the ledger is behind.
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "get_readiness",
    tag = "operation",
    security(),
    responses((status = 200, body = wire::Readiness), (status = 503, body = wire::Readiness))
)]
pub(crate) async fn readyz(State(app): State<Arc<App>>) -> Response {
    let draining = *app.shutdown.borrow();
    let mut stores = Vec::new();
    for (name, store) in app.stores.all() {
        stores.push(store_health(name, store).await);
    }
    let home = health_of(app.stores.home()).await;
    let governance = wire::GovernanceHealth {
        confirmed: app.governance.is_confirmed(),
        age_ms: u64::try_from(app.governance.plan_age().as_millis()).unwrap_or(u64::MAX),
    };
    let (mut backend, ledger) = home;
    let ready = backend.ready && ledger.problem.is_none() && governance.confirmed && !draining;
    if draining {
        "draining".clone_into(&mut backend.detail);
    }
    let body = wire::Readiness {
        ready,
        backend,
        ledger,
        stores,
        governance: Some(governance),
    };
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    answer(status, &draw_request_id(), &body)
}

async fn store_health(
    name: &StoreName,
    store: Result<&Arc<OpenStore>, String>,
) -> wire::StoreHealth {
    let (backend, ledger) = match store {
        Ok(store) => {
            let (backend, ledger) = health_of(store).await;
            (backend, Some(ledger))
        }
        Err(problem) => {
            // Why is in the log: the text may name hosts, and this answer needs no key.
            tracing::debug!(store = %name, problem, "store is not open");
            let detail = "not open".to_owned();
            let backend = wire::BackendHealth {
                ready: false,
                detail,
                incident: None,
            };
            (backend, None)
        }
    };
    wire::StoreHealth {
        name: name.to_string(),
        backend,
        ledger,
    }
}

async fn health_of(store: &OpenStore) -> (wire::BackendHealth, wire::LedgerHealth) {
    let health = store.door.health().await;
    let ledger = store.ledger.head().cursor;
    let incident = store.door.safe_mode().incident();
    let backend = wire::BackendHealth {
        ready: health.ready && incident.is_none(),
        detail: match &incident {
            Some(_) => format!("safe mode; {}", health.detail),
            None => health.detail,
        },
        incident: incident.map(|incident| incident.to_string()),
    };
    let ledger = wire::LedgerHealth {
        cursor: ledger.0,
        lag_events: health.newest.0.saturating_sub(ledger.0),
        problem: store.ledger_problem(),
    };
    (backend, ledger)
}

/// `GET /metrics`: Prometheus' text format.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "get_metrics",
    tag = "operation",
    security(),
    responses((status = 200, body = String, content_type = "text/plain"))
)]
pub(crate) async fn metrics(State(app): State<Arc<App>>) -> Response {
    let mut scraped = Vec::new();
    for store in app.stores.open() {
        let lag = store.lag(app.clock.wall()).await;
        let health = store.door.health().await;
        let is_failing = store.carrier.problem().is_some();
        let scraped_now = Scraped {
            health,
            lag,
            ledger_is_failing: is_failing,
            unwritten_events: store.carrier.unwritten_events(),
        };
        scraped.push((&store.name, scraped_now));
    }
    let closed = app.stores.all().filter(|(_, store)| store.is_err());
    let closed: Vec<_> = closed.map(|(name, _)| name).collect();
    app.metrics.governance_age(app.governance.plan_age());
    let reviews = app.governance.review_counts();
    app.metrics.reviews(reviews.open, reviews.overdue);
    let unusable = app.governance.unusable_versions();
    let reasons = StandingProblem::KINDS.map(|kind| {
        let of_kind = |version: &&UnusableVersion| version.problem.kind() == kind;
        (kind, unusable.iter().filter(of_kind).count())
    });
    app.metrics.unusable_versions(&reasons);
    app.metrics.verdicts(app.governance.verdict_cache_stats());
    app.metrics
        .missing_modules(app.governance.missing_modules());
    let text = app.metrics.encode(&scraped, &closed);
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    (StatusCode::OK, [(header::CONTENT_TYPE, kind)], text).into_response()
}
