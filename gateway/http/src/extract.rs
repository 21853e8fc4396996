//! What handlers take out of a request, each with a problem document when it is not there.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::FromRequest;
use axum::extract::FromRequestParts;
use axum::extract::MatchedPath;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::HeaderValue;
use axum::http::Method;
use axum::http::StatusCode;
use axum::http::Uri;
use axum::http::header;
use axum::http::request::Parts;
use axum::response::IntoResponse;
use axum::response::Response;
use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::LengthLimitError;
use http_body_util::Limited;
use leasehold_core::authentication::AuthFailure;
use leasehold_core::authentication::Authenticator;
use leasehold_core::authentication::Identity;
use leasehold_core::authorization;
use leasehold_core::authorization::Permission;
use leasehold_core::caller::Caller;
use leasehold_core::failure::Failure;
use leasehold_core::failure::FailureKind;
use leasehold_domain::LockName;
use leasehold_domain::LockRef;
use leasehold_domain::NamespaceName;
use leasehold_domain::Principal;
use leasehold_domain::RequestId;
use leasehold_domain::StoreName;
use leasehold_domain::limits::ADMIN_DENIAL_PATH_BYTES_MAX;
use leasehold_wire::v1::error::ErrorCode;
use serde::de::DeserializeOwned;

use super::bearer::bearer;
use super::percent::decode;
use super::problem;
use super::problem::Refusal;
use crate::limiting::Caller as CallerKey;
use crate::limiting::ClientAddress;
use crate::limiting::InFlightRequest;
use crate::services::App;

/// Draws a request id for a caller that gave none.
pub(crate) fn draw_request_id() -> RequestId {
    hex::encode(rand::random::<[u8; 16]>())
        .parse()
        .unwrap_or_else(|_| unreachable!("hex digits are visible ASCII"))
}

/// The request id in the headers, or a new one. A header that is no request id is not one.
pub(crate) fn request_id(headers: &HeaderMap) -> RequestId {
    let given = headers
        .get(problem::X_REQUEST_ID)
        .and_then(|value| value.to_str().ok());
    given
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(draw_request_id)
}

/// A failure before the handler knew its request's id.
#[derive(Debug)]
pub(crate) struct Refused(Box<(Refusal, RequestId)>);

impl Refused {
    fn new(refusal: impl Into<Refusal>, headers: &HeaderMap) -> Self {
        Self(Box::new((refusal.into(), request_id(headers))))
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (refusal, request_id) = *self.0;
        problem::respond(refusal, &request_id)
    }
}

/// Records refusals of one request.
#[derive(Debug)]
pub(crate) struct RefusalRecorder {
    authorization: Arc<authorization::Authorization>,
    asked: authorization::Asked,
}

impl RefusalRecorder {
    /// Returns the failure to be answered, once the refusal is recorded.
    pub(crate) async fn refused(self, caller: &Caller, failure: Failure) -> Failure {
        let Self {
            authorization,
            asked,
        } = self;
        authorization.unusable(caller, asked, failure).await
    }
}

/// The caller, authenticated.
#[derive(Debug)]
pub(crate) struct Authenticated {
    app: Arc<App>,
    identity: Identity,
    fallback: RequestId,
    key: CallerKey,
    in_flight: Option<InFlightRequest>,
    asked: Asked,
}

/// What was asked for, and with which credential.
#[derive(Debug)]
struct Asked {
    method: Method,
    route: Option<MatchedPath>,
    uri: Uri,
    credential: Option<HeaderValue>,
}

impl Asked {
    fn of(parts: &Parts) -> Self {
        Self {
            method: parts.method.clone(),
            route: parts.extensions.get::<MatchedPath>().cloned(),
            uri: parts.uri.clone(),
            credential: parts.headers.get(header::AUTHORIZATION).cloned(),
        }
    }

    /// As the ledger tells of it.
    fn told(&self) -> authorization::Asked {
        let route = self.route.as_ref().map_or("none", MatchedPath::as_str);
        let path = self.uri.path().chars();
        let path: String = path.take(ADMIN_DENIAL_PATH_BYTES_MAX).collect();
        authorization::Asked {
            operation: format!("{} {route}", self.method),
            of: format!("{} {path}", self.method),
        }
    }
}

impl Authenticated {
    /// The caller under the idempotency key of its body, or of its headers, or a new one.
    pub(crate) fn caller(self, given: Option<&str>) -> Result<Caller, (Failure, RequestId)> {
        let caller = self.by_header();
        match given.map(str::parse::<RequestId>) {
            None => Ok(caller),
            Some(Ok(request_id)) => Ok(Caller {
                request_id,
                ..caller
            }),
            Some(Err(error)) => Err((Failure::invalid(error.to_string()), caller.request_id)),
        }
    }

    /// The key or token that the caller has shown.
    pub(crate) fn credential(&self) -> Option<HeaderValue> {
        self.asked.credential.clone()
    }

    /// The caller under the idempotency key of its headers, or a new one.
    pub(crate) fn by_header(self) -> Caller {
        Caller {
            principal: self.identity.principal,
            scope: self.identity.scope,
            request_id: self.fallback,
        }
    }

    /// The caller, if it may do this.
    pub(crate) async fn allowed(
        self,
        permission: Permission,
    ) -> Result<Caller, (Failure, RequestId)> {
        let (authorization, asked) = (self.app.authorization.clone(), self.asked.told());
        let caller = self.by_header();
        match authorization.allow(&caller, permission, asked).await {
            Ok(()) => Ok(caller),
            Err(failure) => Err((failure, caller.request_id)),
        }
    }

    /// Records refusals of this request that come after its role was checked.
    pub(crate) fn recorder(&self) -> RefusalRecorder {
        RefusalRecorder {
            authorization: self.app.authorization.clone(),
            asked: self.asked.told(),
        }
    }

    /// The request as its client's limit counts it; `None` if few requests were in flight when it
    /// came.
    pub(crate) fn in_flight(&self) -> Option<InFlightRequest> {
        self.in_flight.clone()
    }

    /// What identifies the caller to limits.
    pub(crate) fn key(&self) -> CallerKey {
        self.key.clone()
    }

    /// The request's id.
    pub(crate) fn request_id(&self) -> &RequestId {
        &self.fallback
    }
}

impl FromRequestParts<Arc<App>> for Authenticated {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refused> {
        let identity = authenticate(parts, app)
            .await
            .map_err(|failure| Refused::new(failure, &parts.headers))?;
        let key = caller_key(&parts.headers, &identity.principal);
        let (namespace, verb) = super::verbs::namespace_and_verb(parts.uri.path());
        let keeps_leases = matches!(verb, Some("renew" | "release"));
        app.limiter
            .admit_caller(&key, namespace.as_deref(), keeps_leases)
            .and_then(|()| super::query::check(parts))
            .map_err(|failure| Refused::new(failure, &parts.headers))?;
        Ok(Self {
            app: app.clone(),
            identity,
            fallback: request_id(&parts.headers),
            key,
            in_flight: parts.extensions.get::<InFlightRequest>().cloned(),
            asked: Asked::of(parts),
        })
    }
}

/// Who calls. Requests of an address that has used up its failed authentications are still served
/// with a key that is known here; the store is not asked about others.
async fn authenticate(parts: &Parts, app: &App) -> Result<Identity, Refusal> {
    let token = bearer(&parts.headers);
    let client = parts.extensions.get::<ClientAddress>();
    let client = client.map(|client| client.group());
    if let (Some(client), Ok(token)) = (client, token)
        && app.limiter.has_failed_too_often(client)
        && app.authenticator.has_unknown_key(token)
    {
        app.limiter.failed(client)?;
    }
    let authenticated = match token {
        Ok(token) => app.authenticator.authenticate(token).await,
        Err(refused) => Err(refused),
    };
    let refused = match authenticated {
        Ok(identity) => return Ok(identity),
        Err(refused) => refused,
    };
    app.metrics.unauthenticated(refused.reason());
    let code = match (refused, client) {
        (AuthFailure::Unsure, _) => ErrorCode::Unavailable,
        (AuthFailure::Expired | AuthFailure::Invalid, Some(client)) => {
            app.limiter.failed(client)?;
            ErrorCode::Unauthenticated
        }
        (AuthFailure::Missing | AuthFailure::Expired | AuthFailure::Invalid, _) => {
            ErrorCode::Unauthenticated
        }
    };
    Err(Refusal::new(code, refused.to_string()))
}

/// What identifies a caller to limits: the id of its API key, or the subject of its token.
fn caller_key(headers: &HeaderMap, principal: &Principal) -> CallerKey {
    match bearer(headers).ok().and_then(Authenticator::key_id) {
        Some(id) => CallerKey::from(id),
        // No key's id has a colon.
        None => CallerKey::from(format!("token:{}", principal.subject)),
    }
}

/// A JSON body whose shape the verb decides.
#[derive(Debug)]
pub(crate) struct RawJson(Bytes);

impl RawJson {
    /// The body in a known shape.
    pub(crate) fn parse<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        leasehold_core::input::json(&self.0).map_err(|error| {
            let code = match error.is_syntax() {
                true => ErrorCode::BadJson,
                false => ErrorCode::InvalidRequest,
            };
            Refusal::new(code, error.to_string())
        })
    }
}

impl FromRequest<Arc<App>> for RawJson {
    type Rejection = Refused;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Refused> {
        let (parts, body) = request.into_parts();
        let refuse = |failure| Refused::new(failure, &parts.headers);
        let is_json = parts
            .headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
        if !is_json {
            let message = "content-type: must be application/json";
            return Err(refuse(Refusal::new(
                ErrorCode::UnsupportedMediaType,
                message,
            )));
        }
        read(body, app, app.config.limits.body_bytes_max)
            .await
            .map(Self)
            .map_err(refuse)
    }
}

/// A JSON body of a known shape.
#[derive(Debug)]
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Json<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Refused> {
        let headers = request.headers().clone();
        let raw = RawJson::from_request(request, app).await?;
        raw.parse()
            .map(Self)
            .map_err(|failure| Refused::new(failure, &headers))
    }
}

/// The body, no larger than `bytes_max`, within the body's deadline.
pub(crate) async fn read(body: Body, app: &App, bytes_max: usize) -> Result<Bytes, Refusal> {
    let deadline = std::time::Duration::from_millis(app.config.limits.body_deadline_ms);
    let collect = Limited::new(body, bytes_max).collect();
    match tokio::time::timeout(deadline, collect).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let message = format!("the body is larger than {bytes_max} bytes");
            Err(Refusal::new(ErrorCode::BodyTooLarge, message))
        }
        Ok(Err(_)) => Err(Refusal::new(ErrorCode::BadJson, "the body cannot be read")),
        Err(_) => Err(Refusal::new(
            ErrorCode::RequestTimeout,
            "the body did not arrive in time",
        )),
    }
}

/// The query's options; unknown ones are refused.
#[derive(Debug)]
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<Arc<App>> for Query<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, Refused> {
        let query = parts.uri.query().unwrap_or_default();
        let read = super::query::parameters(query).and_then(|pairs| {
            leasehold_core::input::query(pairs).map_err(|error| Failure::invalid(error.to_string()))
        });
        read.map(Self)
            .map_err(|failure| Refused::new(failure, &parts.headers))
    }
}

/// The path's names, decoded once.
#[derive(Debug)]
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Arc<App>> for Path<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refused> {
        match axum::extract::Path::from_request_parts(parts, app).await {
            Ok(axum::extract::Path(names)) => Ok(Self(names)),
            Err(_) => Err(Refused::new(
                Failure::invalid("the path is not percent-encoded UTF-8"),
                &parts.headers,
            )),
        }
    }
}

/// A lock in the path, and the verb after its last colon. Reads the path as it was sent, so that an
/// encoded colon or slash is part of the name (and refused there), never a separator.
#[derive(Debug)]
pub(crate) struct LockPath {
    pub(crate) lock: LockRef,
    pub(crate) verb: Option<String>,
}

impl FromRequestParts<Arc<App>> for LockPath {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, Refused> {
        parse_lock_path(parts.uri.path()).map_err(|failure| Refused::new(failure, &parts.headers))
    }
}

fn parse_lock_path(path: &str) -> Result<LockPath, Failure> {
    let not_found = || Failure::new(FailureKind::NotFound, "there is no such path");
    let rest = path.strip_prefix("/v1/namespaces/").ok_or_else(not_found)?;
    let (namespace, rest) = rest.split_once('/').ok_or_else(not_found)?;
    let rest = rest.strip_prefix("locks/").ok_or_else(not_found)?;
    let (name, verb) = match rest.rsplit_once(':') {
        Some((name, verb)) => (name, Some(verb.to_owned())),
        None => (rest, None),
    };
    let invalid = |error: leasehold_domain::InvalidName| Failure::invalid(error.to_string());
    let namespace: NamespaceName = decode(namespace)?.parse().map_err(invalid)?;
    let lock: LockName = decode(name)?.parse().map_err(invalid)?;
    Ok(LockPath {
        lock: LockRef::new(namespace, lock),
        verb,
    })
}

/// The namespace of a path, decoded and checked.
pub(crate) fn namespace(text: &str) -> Result<NamespaceName, Failure> {
    text.parse()
        .map_err(|error: leasehold_domain::InvalidName| Failure::invalid(error.to_string()))
}

/// A store that this gateway has.
pub(crate) fn store(app: &App, text: &str) -> Result<StoreName, Failure> {
    let name: StoreName = text
        .parse()
        .map_err(|error| Failure::invalid(format!("store: {error}")))?;
    let known = app.stores.names();
    match known.contains(&name) {
        true => Ok(name),
        false => Err(Failure::no_store(&name, &known)),
    }
}

/// JSON with a status.
pub(crate) fn answer<T: serde::Serialize>(
    status: StatusCode,
    request_id: &RequestId,
    body: &T,
) -> Response {
    let bytes = match serde_json::to_vec(body) {
        Ok(bytes) => bytes,
        Err(error) => return problem::respond(Failure::internal(error.to_string()), request_id),
    };
    let json = axum::http::HeaderValue::from_static("application/json");
    let mut response = (status, [(header::CONTENT_TYPE, json)], bytes).into_response();
    if let Ok(id) = axum::http::HeaderValue::from_str(request_id.as_str()) {
        response.headers_mut().insert(problem::X_REQUEST_ID, id);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verb_is_split_before_decoding() {
        let path = parse_lock_path("/v1/namespaces/demo/locks/a/b%2Fc:acquire").unwrap();
        assert_eq!(path.lock.to_string(), "demo/a/b/c");
        assert_eq!(path.verb.as_deref(), Some("acquire"));
        assert!(
            parse_lock_path("/v1/namespaces/demo/locks/a")
                .unwrap()
                .verb
                .is_none()
        );
        for bad in [
            "a%3Aacquire",
            "a%3Ax:acquire",
            "..%2Fa:acquire",
            "%2e%2e:acquire",
            "a%2:x",
            "%FF:x",
        ] {
            let path = format!("/v1/namespaces/demo/locks/{bad}");
            assert_eq!(
                parse_lock_path(&path).unwrap_err().kind,
                FailureKind::Invalid,
                "{bad}"
            );
        }
    }
}
