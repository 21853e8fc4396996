//! Which policies would judge a request.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use leasehold_core::authorization::Permission;
use leasehold_core::caller::Caller;
use leasehold_core::failure::Failure;
use leasehold_core::pipeline::Resolved;
use leasehold_domain::LockRef;
use leasehold_domain::Operation;
use leasehold_domain::Principal;
use leasehold_domain::Request;
use leasehold_wire::v1::Problem;
use leasehold_wire::v1::bindings as wire;
use serde::Deserialize;

use super::admin::allowed;
use super::extract::Authenticated;
use super::extract::Query;
use super::extract::answer;
use crate::services::App;

/// Options of `GET /v1/bindings:resolve`.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ResolveOptions {
    /// The lock, as `NAMESPACE/LOCK`.
    lock: String,
    /// `acquire` (the default), `renew`, `transfer` or `revoke`.
    evaluated_operation: Option<String>,
    /// Who asks; absent: the caller.
    subject: Option<String>,
    /// Of which team; without a subject it is not needed.
    team: Option<String>,
}

/// `GET /v1/bindings:resolve`: the policies that would judge a request, in order.
#[utoipa::path(
    get,
    path = "/v1/bindings:resolve",
    operation_id = "resolve_bindings",
    tag = "bindings",
    params(ResolveOptions),
    responses((status = 200, body = wire::Resolution), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn resolve(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Query(options): Query<ResolveOptions>,
) -> Response {
    allowed(who, Permission::ReadBindings, async |caller: Caller| {
        let request = request(&options)?;
        let principal = principal(&caller, &options)?;
        let resolving = app.pipeline.resolve(&caller, &request, &principal);
        let resolution = resolving.await?;
        let body = wire::Resolution {
            lock: request.lock.to_string(),
            operation: request.operation.as_str().to_owned(),
            policies: resolution.policies.into_iter().map(show).collect(),
            denied_unbound: resolution.denied_unbound,
        };
        Ok(answer(StatusCode::OK, &caller.request_id, &body))
    })
    .await
}

fn request(options: &ResolveOptions) -> Result<Request, Failure> {
    let lock: Result<LockRef, _> = options.lock.parse();
    let lock = lock.map_err(|error| Failure::invalid(format!("lock: {error}")))?;
    let name = options.evaluated_operation.as_deref().unwrap_or("acquire");
    let operation = Operation::from_name(name).filter(|operation| operation.is_judged());
    let unknown = || {
        Failure::invalid(format!(
            "evaluated_operation: policies do not judge {name:?}"
        ))
    };
    Ok(Request::new(operation.ok_or_else(unknown)?, lock))
}

/// Returns the principal that the question is about.
fn principal(caller: &Caller, options: &ResolveOptions) -> Result<Principal, Failure> {
    let mut principal = Principal::clone(&caller.principal);
    if let Some(subject) = &options.subject {
        let parsed = subject.parse();
        principal.subject =
            parsed.map_err(|error| Failure::invalid(format!("subject: {error}")))?;
        principal.team = None;
    }
    if let Some(team) = &options.team {
        let parsed = team.parse();
        principal.team = Some(parsed.map_err(|error| Failure::invalid(format!("team: {error}")))?);
    }
    Ok(principal)
}

fn show(resolved: Resolved) -> wire::ResolvedPolicy {
    let rollout = resolved.rollout;
    let text = |text: &str| Some(text.to_owned());
    wire::ResolvedPolicy {
        binding: resolved.binding,
        order: resolved.order,
        policy: resolved.policy,
        version: resolved.version,
        enforcement: resolved.enforcement.as_str().to_owned(),
        rollout: rollout.as_ref().and_then(|choice| text(&choice.rollout)),
        stage: rollout.as_ref().and_then(|choice| text(&choice.stage)),
        bucket: rollout.as_ref().and_then(|choice| choice.bucket),
        flag_share: rollout.as_ref().and_then(|choice| choice.flag_share),
        variant: rollout.and_then(|choice| choice.variant).map(Into::into),
        problem: resolved.problem,
        warnings: resolved.warnings,
    }
}
