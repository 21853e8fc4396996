//! The routes, and the listeners that serve them.

use std::sync::Arc;

use axum::Router;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;
use axum::routing::post;
use axum::routing::put;
use leasehold_core::failure::Failure;
use leasehold_core::failure::FailureKind;
use leasehold_wire::v1::error::ErrorCode;
use leasehold_wire::v1::paths;

use super::approvals;
use super::audit;
use super::backup;
use super::bindings;
use super::cluster;
use super::count;
use super::extract;
use super::health;
use super::incidents;
use super::keys;
use super::locks;
use super::namespaces;
use super::openapi;
use super::policies;
use super::policy_trust;
use super::problem;
use super::problem::Refusal;
use super::replay;
use super::resolve;
use super::reviews;
use super::rollouts;
use super::watch;
use crate::listener::ListenError;
use crate::listener::Listener;
use crate::services::App;

/// What service teams use.
fn data_routes() -> Router<Arc<App>> {
    Router::new()
        .route(paths::LOCKS, get(locks::list))
        .route(paths::LOCKS_ACQUIRE, post(locks::acquire_many))
        .route(paths::LOCKS_WATCH, get(watch::namespace))
        .route(paths::LEASES_RENEW, post(locks::renew_many))
        .route(
            paths::LOCK,
            get(locks::get).post(locks::post).put(locks::declare),
        )
        .route(paths::HEALTHZ, get(health::healthz))
        .route(paths::READYZ, get(health::readyz))
        .route(paths::OPENAPI, get(openapi::serve))
}

/// What administrators, policy authors and auditors use, and what Prometheus scrapes.
fn admin_routes() -> Router<Arc<App>> {
    Router::new()
        .route(
            paths::NAMESPACES,
            get(namespaces::list_namespaces).post(namespaces::create_namespace),
        )
        .route(
            paths::NAMESPACE,
            get(namespaces::get_namespace)
                .put(namespaces::put_namespace)
                .post(namespaces::verbs::post)
                .delete(namespaces::delete_namespace),
        )
        .route(paths::NAMESPACE_REVISIONS, get(namespaces::history::list))
        .route(paths::NAMESPACE_REVISION, get(namespaces::history::get))
        .route(paths::KEYS, get(keys::list_keys).post(keys::create_key))
        .route(paths::KEY, post(keys::rotate_key).delete(keys::revoke_key))
        .route(paths::CLUSTER, get(cluster::status))
        .route(paths::CLUSTER_INIT, post(cluster::init))
        .route(paths::CLUSTER_JOIN, post(cluster::join))
        .route(paths::CLUSTER_LEAVE, post(cluster::leave))
        .route(paths::CLUSTER_REPLACE, post(cluster::replace))
        .route(
            paths::CLUSTER_TRANSFER_LEADER,
            post(cluster::transfer_leader),
        )
        .route(paths::CLUSTER_RAISE_LEVEL, post(cluster::raise_level))
        .route(paths::CLUSTER_FORGET_GATEWAY, post(cluster::forget_gateway))
        .route(paths::INCIDENTS, get(incidents::list))
        .route(
            paths::INCIDENT,
            get(incidents::get).post(incidents::acknowledge),
        )
        .route(paths::BACKUP, get(backup::take))
        .route(paths::AUDIT_EVENTS, get(audit::events))
        .route(paths::AUDIT_HOLDERS, get(audit::holders))
        .route(paths::AUDIT_VERIFY, get(audit::verify))
        .merge(evidence_routes())
        .route(paths::METRICS, get(health::metrics))
        .merge(policy_routes())
}

/// What people check without trusting us.
fn evidence_routes() -> Router<Arc<App>> {
    Router::new()
        .route(paths::AUDIT_LOG_KEY, get(audit::evidence::log_key))
        .route(paths::AUDIT_CHECKPOINT, get(audit::evidence::checkpoint))
        .route(paths::AUDIT_PROOF, get(audit::evidence::proof))
        .route(paths::AUDIT_CONSISTENCY, get(audit::evidence::consistency))
        .route(paths::AUDIT_EXPORT, get(audit::evidence::export))
}

/// What decides who may lock what, and who has agreed to it.
fn policy_routes() -> Router<Arc<App>> {
    Router::new()
        .route(paths::POLICIES, get(policies::list))
        .route(paths::POLICIES_REPLAY, post(replay::replay))
        .route(
            paths::POLICY_VERSION,
            put(policies::push)
                .get(policies::get)
                .post(policies::post)
                .delete(policies::delete),
        )
        .route(
            paths::POLICY_TRUST,
            get(policy_trust::get).put(policy_trust::require),
        )
        .route(paths::POLICY_TRUST_KEYS, post(policy_trust::add))
        .route(paths::POLICY_TRUST_KEY, post(policy_trust::revoke))
        .route(paths::BINDINGS_PREVIEW, post(bindings::preview::preview))
        .route(paths::BINDINGS_RESOLVE, get(resolve::resolve))
        .route(paths::BINDINGS, get(bindings::list).post(bindings::create))
        .route(
            paths::BINDING,
            get(bindings::get)
                .put(bindings::put)
                .post(bindings::history::post)
                .delete(bindings::delete),
        )
        .route(paths::BINDING_REVISIONS, get(bindings::history::list))
        .route(paths::BINDING_REVISION, get(bindings::history::get))
        .route(paths::ROLLOUTS, get(rollouts::list).post(rollouts::start))
        .route(
            paths::ROLLOUT,
            get(rollouts::get)
                .post(rollouts::post)
                .delete(rollouts::delete),
        )
        .route(
            paths::APPROVAL_RULE,
            get(approvals::get_rule).put(approvals::put_rule),
        )
        .route(paths::APPROVALS, get(approvals::list))
        .route(paths::APPROVAL, get(approvals::get).post(approvals::post))
        .route(paths::REVIEWS, get(reviews::list))
        .route(paths::REVIEW, get(reviews::get).post(reviews::close))
}

/// Everything on one listener.
pub fn router(app: &Arc<App>) -> Router {
    finish(data_routes().merge(admin_routes()), app)
}

/// Locks alone, when administration has a listener of its own.
pub(crate) fn data_router(app: &Arc<App>) -> Router {
    finish(data_routes(), app)
}

/// Administration on its own listener; health is there, too.
pub(crate) fn admin_router(app: &Arc<App>) -> Router {
    let health = Router::new()
        .route(paths::HEALTHZ, get(health::healthz))
        .route(paths::READYZ, get(health::readyz));
    finish(admin_routes().merge(health), app)
}

fn finish(routes: Router<Arc<App>>, app: &Arc<App>) -> Router {
    routes
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(axum::middleware::from_fn_with_state(
            count::Gate::new(app.clone()),
            count::count,
        ))
        .with_state(app.clone())
}

/// Binds the listeners that the configuration asks for; the API's own comes first.
///
/// # Errors
/// An address cannot be bound, or certificate and key cannot be used.
pub async fn listen(app: &Arc<App>) -> Result<Vec<Listener>, ListenError> {
    let config = &app.config;
    let bind = async |address, router| {
        let tls = config.listen.tls.as_ref();
        let with = (app.limiter.proxies().clone(), app.metrics.connections());
        Listener::bind(address, tls, &config.limits, router, with).await
    };
    let Some(admin_address) = config.listen.admin_address else {
        return Ok(vec![bind(config.listen.address, router(app)).await?]);
    };
    let data = bind(config.listen.address, data_router(app)).await?;
    let admin = bind(admin_address, admin_router(app)).await?;
    Ok(vec![data, admin])
}

async fn not_found(headers: HeaderMap) -> Response {
    let failure = Failure::new(FailureKind::NotFound, "there is no such path");
    problem::respond(failure, &extract::request_id(&headers))
}

async fn method_not_allowed(headers: HeaderMap) -> Response {
    let failure = Refusal::new(ErrorCode::MethodNotAllowed, "not for this method");
    problem::respond(failure, &extract::request_id(&headers))
}
