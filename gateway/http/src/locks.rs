//! Locks and leases: wire to domain, one call of the pipeline, domain to wire.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use leasehold_backend_api::Freshness;
use leasehold_core::caller::Caller;
use leasehold_core::failure::Failure;
use leasehold_core::failure::FailureKind;
use leasehold_core::pipeline::ask;
use leasehold_domain::ListQuery;
use leasehold_domain::LockFilter;
use leasehold_domain::LockSettings;
use leasehold_domain::OverrideTerms;
use leasehold_domain::limits;
use leasehold_wire::v1::Problem;
use leasehold_wire::v1::locks as wire;
use leasehold_wire::v1::views::LockList;
use leasehold_wire::v1::views::LockView;
use serde::Deserialize;

use super::extract::Authenticated;
use super::extract::Json;
use super::extract::LockPath;
use super::extract::Path;
use super::extract::Query;
use super::extract::RawJson;
use super::extract::answer;
use super::extract::namespace;
use super::problem::Refusal;
use super::problem::problem;
use super::problem::respond;
use super::problem::settle;
use super::view;
use super::watch::Watcher;
use crate::listener::Peer;
use crate::services::App;

/// `POST …/locks/{lock}:{verb}`.
pub(crate) async fn post(
    State(app): State<Arc<App>>,
    who: Authenticated,
    path: LockPath,
    body: RawJson,
) -> Response {
    match path.verb.as_deref() {
        Some("acquire") => super::lease::acquire(&app, who, path.lock, &body).await,
        Some("renew") => super::lease::renew(&app, who, path.lock, &body).await,
        Some("release") => super::lease::release(&app, who, path.lock, &body).await,
        Some("revoke") => super::lease::revoke(&app, who, path.lock, &body).await,
        Some("transfer") => super::lease::transfer(&app, who, path.lock, &body).await,
        Some("validate") => super::lease::validate(&app, who, path.lock, &body).await,
        verb => {
            let message = match verb {
                Some(verb) => format!("a lock has no verb {verb:?}"),
                None => "a POST to a lock needs a verb, such as :acquire".to_owned(),
            };
            respond(
                Failure::new(FailureKind::NotFound, message),
                who.request_id(),
            )
        }
    }
}

/// Options of `GET …/locks/{lock}`.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct GetOptions {
    freshness: Option<String>,
    max_age_ms: Option<u64>,
}

impl GetOptions {
    fn freshness(&self) -> Result<Freshness, Failure> {
        match self.freshness.as_deref() {
            None | Some("linearizable") => Ok(Freshness::Linearizable),
            Some("stale") => Ok(Freshness::Stale {
                max_age_ms: self.max_age_ms.unwrap_or(u64::MAX),
            }),
            Some(_) => Err(Failure::invalid("freshness: linearizable or stale")),
        }
    }
}

/// `GET …/locks/{lock}`, and `GET …/locks/{lock}:watch`.
#[utoipa::path(
    get,
    path = "/v1/namespaces/{ns}/locks/{lock}",
    operation_id = "get_lock",
    tag = "locks",
    params(("ns" = String, Path, description = "Namespace"), ("lock" = String, Path, description = "Lock; may hold slashes"), GetOptions),
    responses((status = 200, body = LockView), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    who: Authenticated,
    peer: Option<Extension<Peer>>,
    path: LockPath,
    headers: axum::http::HeaderMap,
    Query(options): Query<GetOptions>,
) -> Response {
    match path.verb.as_deref() {
        None => {}
        Some("watch") => {
            let watcher = Watcher::new(who, peer);
            return super::watch::lock(&app, path.lock, &headers, &watcher).await;
        }
        Some(verb) => {
            let message = format!("a lock has no verb {verb:?} for GET");
            return respond(
                Failure::new(FailureKind::NotFound, message),
                who.request_id(),
            );
        }
    }
    let caller = who.by_header();
    let read = async {
        let freshness = options.freshness()?;
        let view = app.pipeline.get(&caller, &path.lock, freshness).await?;
        Ok(answer(
            StatusCode::OK,
            &caller.request_id,
            &view::lock(&view),
        ))
    };
    settle(read.await, &caller.request_id)
}

/// `PUT …/locks/{lock}`.
#[utoipa::path(
    put,
    path = "/v1/namespaces/{ns}/locks/{lock}",
    operation_id = "declare_lock",
    tag = "locks",
    params(("ns" = String, Path, description = "Namespace"), ("lock" = String, Path, description = "Lock; may hold slashes")),
    request_body = wire::DeclareRequest,
    responses((status = 200, body = LockView), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn declare(
    State(app): State<Arc<App>>,
    who: Authenticated,
    path: LockPath,
    Json(body): Json<wire::DeclareRequest>,
) -> Response {
    let caller = match who.caller(None) {
        Ok(caller) => caller,
        Err((failure, request_id)) => return respond(failure, &request_id),
    };
    let declared = async {
        if path.verb.is_some() {
            let message = "a PUT to a lock has no verb";
            return Err(Failure::new(FailureKind::NotFound, message).into());
        }
        let settings = LockSettings {
            limit: body.limit.unwrap_or(limits::PERMITS_MAX),
            cooldown_ms: body.cooldown_ms,
            description: body.description.into(),
        };
        let lock = path.lock.clone();
        app.pipeline
            .declare(&caller, ask::Declare { lock, settings })
            .await?;
        let view = app
            .pipeline
            .get(&caller, &path.lock, Freshness::Linearizable)
            .await?;
        Ok(answer(
            StatusCode::OK,
            &caller.request_id,
            &view::lock(&view),
        ))
    };
    settle(declared.await, &caller.request_id)
}

/// Options of `GET …/locks`.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListOptions {
    #[serde(default)]
    prefix: String,
    holder: Option<String>,
    team: Option<String>,
    state: Option<String>,
    cursor: Option<String>,
    limit: Option<usize>,
}

impl ListOptions {
    fn query(self, namespace: &str) -> Result<ListQuery, Failure> {
        let invalid = |error: leasehold_domain::InvalidName| Failure::invalid(error.to_string());
        let no_place =
            |error: leasehold_domain::InvalidName| Failure::invalid(format!("cursor: {error}"));
        let state = match self.state.as_deref() {
            None => None,
            Some("held") => Some(LockFilter::Held),
            Some("free") => Some(LockFilter::Free),
            Some("contended") => Some(LockFilter::Contended),
            Some("draining") => Some(LockFilter::Draining),
            Some("cooling-down") => Some(LockFilter::CoolingDown),
            Some("reserved") => Some(LockFilter::Reserved),
            Some(_) => {
                let names = "held, free, contended, draining, cooling-down or reserved";
                return Err(Failure::invalid(format!("state: {names}")));
            }
        };
        Ok(ListQuery {
            namespace: super::extract::namespace(namespace)?,
            prefix: self.prefix,
            holder: self
                .holder
                .map(|holder| holder.parse().map_err(invalid))
                .transpose()?,
            team: self
                .team
                .map(|team| team.parse().map_err(invalid))
                .transpose()?,
            state,
            after: self
                .cursor
                .map(|cursor| cursor.parse().map_err(no_place))
                .transpose()?,
            limit: self.limit.unwrap_or(100),
        })
    }
}

/// `GET …/locks`.
#[utoipa::path(
    get,
    path = "/v1/namespaces/{ns}/locks",
    operation_id = "list_locks",
    tag = "locks",
    params(("ns" = String, Path, description = "Namespace"), ListOptions),
    responses((status = 200, body = LockList), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Path(namespace): Path<String>,
    Query(options): Query<ListOptions>,
) -> Response {
    let caller = who.by_header();
    let listed = async {
        let query = options.query(&namespace)?;
        let page = app.pipeline.list(&caller, query).await?;
        let body = LockList {
            locks: page.rows.iter().map(view::lock).collect(),
            next_cursor: page.next.map(|name| name.to_string()),
        };
        Ok(answer(StatusCode::OK, &caller.request_id, &body))
    };
    settle(listed.await, &caller.request_id)
}

/// `POST …/leases:renew`.
#[utoipa::path(
    post,
    path = "/v1/namespaces/{ns}/leases:renew",
    tag = "locks",
    params(("ns" = String, Path, description = "Namespace")),
    request_body = wire::RenewManyRequest,
    responses((status = 200, body = wire::RenewManyResponse), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn renew_many(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Path(ns): Path<String>,
    Json(body): Json<wire::RenewManyRequest>,
) -> Response {
    let caller = match who.caller(body.request_id.as_deref()) {
        Ok(caller) => caller,
        Err((failure, request_id)) => return respond(failure, &request_id),
    };
    let renewed = async {
        let namespace = namespace(&ns)?;
        let ask = |renewal: wire::LeaseRenewal| -> Result<ask::Renew, Failure> {
            Ok(ask::Renew {
                lock: super::lease::lock_of(&namespace, &renewal.lock)?,
                lease_id: super::lease::lease_id(&renewal.lease_id)?,
                ttl_ms: renewal.ttl_ms,
                reason: renewal.reason.map(Into::into),
                override_terms: OverrideTerms::of(renewal.ticket, renewal.override_ttl_ms),
            })
        };
        let asks = body
            .leases
            .into_iter()
            .map(ask)
            .collect::<Result<Vec<_>, _>>()?;
        let results = app.pipeline.renew_many(&caller, asks).await?;
        let id = &caller.request_id;
        let result = |result| match result {
            Ok(held) => {
                let grant = Some(view::grant(held, id.as_str()));
                wire::RenewalResult {
                    grant,
                    problem: None,
                }
            }
            Err(failure) => {
                let problem = Some(Box::new(problem(failure, id)));
                wire::RenewalResult {
                    grant: None,
                    problem,
                }
            }
        };
        let results = results.into_iter().map(result).collect();
        let body = wire::RenewManyResponse {
            results,
            request_id: id.to_string(),
        };
        Ok(answer(StatusCode::OK, id, &body))
    };
    settle(renewed.await, &caller.request_id)
}

/// `POST …/locks:acquire`.
#[utoipa::path(
    post,
    path = "/v1/namespaces/{ns}/locks:acquire",
    tag = "locks",
    params(("ns" = String, Path, description = "Namespace")),
    request_body = wire::AcquireManyRequest,
    responses((status = 201, body = wire::AcquireManyResponse), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn acquire_many(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Path(ns): Path<String>,
    Json(body): Json<wire::AcquireManyRequest>,
) -> Response {
    let caller = match who.caller(body.request_id.as_deref()) {
        Ok(caller) => caller,
        Err((failure, request_id)) => return respond(failure, &request_id),
    };
    settle(
        acquired_many(&app, &caller, &ns, body).await,
        &caller.request_id,
    )
}

async fn acquired_many(
    app: &App,
    caller: &Caller,
    ns: &str,
    body: wire::AcquireManyRequest,
) -> Result<Response, Refusal> {
    let namespace = namespace(ns)?;
    let mode = super::lease::mode(body.mode, body.permits)?;
    let labels: BTreeMap<Box<str>, Box<str>> = super::lease::labels(body.labels);
    let ask = |name: &String| -> Result<ask::Acquire, Failure> {
        Ok(ask::Acquire {
            lock: super::lease::lock_of(&namespace, name)?,
            mode,
            ttl_ms: body.ttl_ms,
            wait_ms: None,
            instance: body.instance.clone().map(Into::into),
            labels: labels.clone(),
            reason: body.reason.clone().map(Into::into),
            value: None,
            override_terms: OverrideTerms::of(body.ticket.clone(), body.override_ttl_ms),
        })
    };
    let acquires = body.locks.iter().map(ask).collect::<Result<Vec<_>, _>>()?;
    let ask = ask::AcquireMany {
        namespace: namespace.clone(),
        acquires,
    };
    let held = app.pipeline.acquire_many(caller, ask).await?;
    let id = caller.request_id.as_str();
    let one = |(lock, held)| wire::LockGrant {
        lock,
        grant: view::grant(held, id),
    };
    let grants = body.locks.into_iter().zip(held).map(one).collect();
    let body = wire::AcquireManyResponse { grants };
    Ok(answer(StatusCode::CREATED, &caller.request_id, &body))
}

#[cfg(test)]
mod tests {
    /// The size of the future that a handler returns, in bytes.
    fn bytes<A, B, C, D, F>(_: impl Fn(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }

    /// The future of the handler is allocated and moved for each request.
    #[test]
    fn the_future_of_a_request_is_small() {
        let bytes = bytes(super::post);
        assert!(bytes <= 6_000, "{bytes} bytes");
    }
}
