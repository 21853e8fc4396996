//! The verbs of one lock.

use std::collections::BTreeMap;

use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::response::Response;
use leasehold_backend_api::Effect;
use leasehold_core::caller::Caller;
use leasehold_core::failure::Failure;
use leasehold_core::pipeline::ask;
use leasehold_domain::FencingToken;
use leasehold_domain::LeaseId;
use leasehold_domain::LockRef;
use leasehold_domain::Mode;
use leasehold_domain::NamespaceName;
use leasehold_domain::OverrideTerms;
use leasehold_domain::RevokeTarget;
use leasehold_domain::Subject;
use leasehold_wire::v1::Problem;
use leasehold_wire::v1::error::ErrorCode;
use leasehold_wire::v1::locks as wire;

use super::bearer::bearer_of;
use super::extract::Authenticated;
use super::extract::RawJson;
use super::extract::answer;
use super::problem::Refusal;
use super::problem::respond;
use super::problem::settle;
use super::view;
use crate::services::App;

/// Reads the body and the caller, or answers why not.
macro_rules! begin {
    ($who:ident, $body:ident: $type:ty, |$parsed:ident| $given:expr) => {{
        let parsed: Result<$type, Refusal> = $body.parse();
        match parsed {
            Ok($parsed) => match $who.caller($given) {
                Ok(caller) => (caller, $parsed),
                Err((failure, request_id)) => return respond(failure, &request_id),
            },
            Err(failure) => return respond(failure, $who.request_id()),
        }
    }};
}

/// Takes the lock.
#[utoipa::path(
    post,
    path = "/v1/namespaces/{ns}/locks/{lock}:acquire",
    tag = "locks",
    params(("ns" = String, Path, description = "Namespace"), ("lock" = String, Path, description = "Lock; may hold slashes")),
    request_body = wire::AcquireRequest,
    responses((status = 201, body = wire::Grant), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn acquire(
    app: &App,
    who: Authenticated,
    lock: LockRef,
    body: &RawJson,
) -> Response {
    let (key, credential) = (who.key(), who.credential());
    let in_flight = who.in_flight();
    let (caller, body) = begin!(who, body: wire::AcquireRequest, |b| b.request_id.as_deref());
    let waits = body.wait_ms.is_some_and(|wait_ms| wait_ms > 0);
    if waits && let Some(in_flight) = in_flight {
        in_flight.release();
    }
    let who = (&caller, &*key);
    let acquired = match waits {
        // On the heap, so that the future of a request that does not wait stays small.
        true => {
            let acquired = Box::pin(acquired(app, who, lock, body));
            while_valid(app, credential, acquired).await
        }
        false => acquired(app, who, lock, body).await.map_err(Refusal::from),
    };
    settle(acquired, &caller.request_id)
}

/// Runs a request that waits for as long as its key or token is valid. Cut off, it leaves the queue,
/// or gives back what it was granted, in the background.
async fn while_valid<T>(
    app: &App,
    credential: Option<HeaderValue>,
    request: impl Future<Output = Result<T, Failure>> + Unpin,
) -> Result<T, Refusal> {
    let shown = credential.as_ref().and_then(|value| bearer_of(value).ok());
    tokio::select! {
        biased;
        answer = request => Ok(answer?),
        () = app.authenticator.ended(shown.unwrap_or_default()) => {
            let message = "the key or token was revoked, or has expired, while the request waited";
            let mut refusal = Refusal::new(ErrorCode::Unauthenticated, message);
            refusal.failure.effect = Effect::Unknown;
            Err(refusal)
        }
    }
}

async fn acquired(
    app: &App,
    (caller, key): (&Caller, &str),
    lock: LockRef,
    body: wire::AcquireRequest,
) -> Result<Response, Failure> {
    let waits = body.wait_ms.is_some_and(|wait_ms| wait_ms > 0);
    let _counted = match waits {
        true => Some(app.limiter.wait(key, &lock.namespace)?),
        false => None,
    };
    let ask = ask::Acquire {
        lock,
        mode: mode(body.mode, body.permits)?,
        ttl_ms: body.ttl_ms,
        wait_ms: body.wait_ms,
        instance: body.instance.map(Into::into),
        labels: labels(body.labels),
        reason: body.reason.map(Into::into),
        value: body.value.map(Into::into),
        override_terms: OverrideTerms::of(body.ticket, body.override_ttl_ms),
    };
    let held = app.pipeline.acquire(caller, ask).await?;
    let grant = view::grant(held, caller.request_id.as_str());
    Ok(answer(StatusCode::CREATED, &caller.request_id, &grant))
}

/// Lengthens a lease.
#[utoipa::path(
    post,
    path = "/v1/namespaces/{ns}/locks/{lock}:renew",
    tag = "locks",
    params(("ns" = String, Path, description = "Namespace"), ("lock" = String, Path, description = "Lock; may hold slashes")),
    request_body = wire::RenewRequest,
    responses((status = 200, body = wire::Grant), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn renew(
    app: &App,
    who: Authenticated,
    lock: LockRef,
    body: &RawJson,
) -> Response {
    let (caller, body) = begin!(who, body: wire::RenewRequest, |b| b.request_id.as_deref());
    let renewed = async {
        let lease_id = lease_id(&body.lease_id)?;
        let ask = ask::Renew {
            lock,
            lease_id,
            ttl_ms: body.ttl_ms,
            reason: body.reason.map(Into::into),
            override_terms: OverrideTerms::of(body.ticket, body.override_ttl_ms),
        };
        let held = app.pipeline.renew(&caller, ask).await?;
        let grant = view::grant(held, caller.request_id.as_str());
        Ok(answer(StatusCode::OK, &caller.request_id, &grant))
    };
    settle(renewed.await, &caller.request_id)
}

/// Gives a lease back.
#[utoipa::path(
    post,
    path = "/v1/namespaces/{ns}/locks/{lock}:release",
    tag = "locks",
    params(("ns" = String, Path, description = "Namespace"), ("lock" = String, Path, description = "Lock; may hold slashes")),
    request_body = wire::ReleaseRequest,
    responses((status = 200, body = wire::ReleaseResponse), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn release(
    app: &App,
    who: Authenticated,
    lock: LockRef,
    body: &RawJson,
) -> Response {
    let (caller, body) = begin!(who, body: wire::ReleaseRequest, |b| b.request_id.as_deref());
    let released = async {
        let lease_id = lease_id(&body.lease_id)?;
        let ask = ask::Release {
            lock,
            lease_id,
            cooldown_ms: body.cooldown_ms.unwrap_or(0),
        };
        app.pipeline.release(&caller, ask).await?;
        let request_id = caller.request_id.to_string();
        let body = wire::ReleaseResponse {
            released: true,
            request_id,
        };
        Ok(answer(StatusCode::OK, &caller.request_id, &body))
    };
    settle(released.await, &caller.request_id)
}

/// Ends leases of others.
#[utoipa::path(
    post,
    path = "/v1/namespaces/{ns}/locks/{lock}:revoke",
    tag = "locks",
    params(("ns" = String, Path, description = "Namespace"), ("lock" = String, Path, description = "Lock; may hold slashes")),
    request_body = wire::RevokeRequest,
    responses((status = 200, body = wire::RevokeResponse), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn revoke(
    app: &App,
    who: Authenticated,
    lock: LockRef,
    body: &RawJson,
) -> Response {
    let (caller, body) = begin!(who, body: wire::RevokeRequest, |b| b.request_id.as_deref());
    let revoked = async {
        let ask = ask::Revoke {
            lock,
            target: target(body.lease)?,
            grace_ms: body.grace_ms,
            reason: body.reason.map(Into::into),
            labels: labels(body.labels),
            override_terms: OverrideTerms::of(body.ticket, None),
        };
        let leases = app.pipeline.revoke(&caller, ask).await?;
        let body = wire::RevokeResponse {
            leases: leases.iter().map(ToString::to_string).collect(),
            request_id: caller.request_id.to_string(),
        };
        Ok(answer(StatusCode::OK, &caller.request_id, &body))
    };
    settle(revoked.await, &caller.request_id)
}

/// Hands a lease to a successor.
#[utoipa::path(
    post,
    path = "/v1/namespaces/{ns}/locks/{lock}:transfer",
    tag = "locks",
    params(("ns" = String, Path, description = "Namespace"), ("lock" = String, Path, description = "Lock; may hold slashes")),
    request_body = wire::TransferRequest,
    responses((status = 200, body = wire::TransferResponse), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn transfer(
    app: &App,
    who: Authenticated,
    lock: LockRef,
    body: &RawJson,
) -> Response {
    let (caller, body) = begin!(who, body: wire::TransferRequest, |b| b.request_id.as_deref());
    let transferred = async {
        let ask = ask::Transfer {
            lock,
            lease_id: lease_id(&body.lease_id)?,
            to: Subject::of_caller(&body.to)
                .map_err(|error| Failure::invalid(format!("to: {error}")))?,
            grace_ms: body.grace_ms,
            reason: body.reason.map(Into::into),
            labels: labels(body.labels),
            override_terms: OverrideTerms::of(body.ticket, None),
        };
        let transferring = app.pipeline.transfer(&caller, ask).await?;
        let body = wire::TransferResponse {
            drain_remaining_ms: transferring.drain_remaining_ms,
            request_id: caller.request_id.to_string(),
        };
        Ok(answer(StatusCode::OK, &caller.request_id, &body))
    };
    settle(transferred.await, &caller.request_id)
}

/// Says whether a token is the current one.
#[utoipa::path(
    post,
    path = "/v1/namespaces/{ns}/locks/{lock}:validate",
    tag = "locks",
    params(("ns" = String, Path, description = "Namespace"), ("lock" = String, Path, description = "Lock; may hold slashes")),
    request_body = wire::ValidateRequest,
    responses((status = 200, body = wire::ValidateResponse), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn validate(
    app: &App,
    who: Authenticated,
    lock: LockRef,
    body: &RawJson,
) -> Response {
    let (caller, body) = begin!(who, body: wire::ValidateRequest, |_b| None);
    let validated = async {
        let ask = ask::Validate {
            lock,
            token: FencingToken(body.fencing_token),
        };
        let validation = app.pipeline.validate(ask).await?;
        let body = wire::ValidateResponse {
            current: validation.current,
            accepts_work: validation.accepts_work,
        };
        Ok(answer(StatusCode::OK, &caller.request_id, &body))
    };
    settle(validated.await, &caller.request_id)
}

/// A lease id in a body.
pub(crate) fn lease_id(text: &str) -> Result<LeaseId, Failure> {
    text.parse()
        .map_err(|error| Failure::invalid(format!("lease_id: {error}")))
}

/// A lock's name in a body.
pub(crate) fn lock_of(namespace: &NamespaceName, name: &str) -> Result<LockRef, Failure> {
    let lock = name
        .parse()
        .map_err(|error| Failure::invalid(format!("locks: {error}")))?;
    Ok(LockRef::new(namespace.clone(), lock))
}

/// How to hold a lock.
pub(crate) fn mode(mode: wire::ModeName, permits: Option<u32>) -> Result<Mode, Failure> {
    match (mode, permits) {
        (wire::ModeName::Exclusive, None) => Ok(Mode::Exclusive),
        (wire::ModeName::Exclusive, Some(_)) => {
            Err(Failure::invalid("permits: only a shared hold has them"))
        }
        (wire::ModeName::Shared, permits) => Ok(Mode::Shared {
            permits: permits.unwrap_or(1),
        }),
    }
}

/// Labels of a body.
pub(crate) fn labels(labels: BTreeMap<String, String>) -> BTreeMap<Box<str>, Box<str>> {
    labels
        .into_iter()
        .map(|(key, value)| (key.into(), value.into()))
        .collect()
}

fn target(selector: Option<wire::HolderSelector>) -> Result<RevokeTarget, Failure> {
    let Some(selector) = selector else {
        return Ok(RevokeTarget::All);
    };
    match (selector.handle, selector.subject) {
        (Some(handle), None) => handle
            .parse()
            .map(RevokeTarget::Lease)
            .map_err(|error| Failure::invalid(format!("lease.handle: {error}"))),
        (None, Some(subject)) => subject
            .parse()
            .map(RevokeTarget::Subject)
            .map_err(|error| Failure::invalid(format!("lease.subject: {error}"))),
        _ => Err(Failure::invalid("lease: give handle or subject")),
    }
}
