//! A [`Failure`] as an answer: RFC 9457, logged once, here.

use axum::http::HeaderName;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header;
use axum::response::IntoResponse;
use axum::response::Response;
use leasehold_backend_api::BackendError;
use leasehold_backend_api::Effect;
use leasehold_core::failure::Failure;
use leasehold_core::failure::FailureDetail;
use leasehold_core::failure::FailureKind;
use leasehold_core::failure::Fault;
use leasehold_core::places::InvalidPlaces;
use leasehold_domain::Decision;
use leasehold_domain::Denial;
use leasehold_domain::Enforcement;
use leasehold_domain::PolicyAnswer;
use leasehold_domain::PolicyVerdict;
use leasehold_domain::RequestId;
use leasehold_wire::v1::error::CapView;
use leasehold_wire::v1::error::DenialView;
use leasehold_wire::v1::error::EffectName;
use leasehold_wire::v1::error::ErrorCode;
use leasehold_wire::v1::error::FailureView;
use leasehold_wire::v1::error::InUseView;
use leasehold_wire::v1::error::Problem;
use leasehold_wire::v1::views::HolderView;

use super::view;

/// Echoes the request's id on every answer.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");
const CHALLENGE: HeaderValue = HeaderValue::from_static("Bearer realm=\"leasehold\"");

/// Why a request is not answered as its caller wished: a failure of the gateway, or a request that
/// HTTP alone knows to be wrong.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: ErrorCode,
    pub(crate) failure: Failure,
}

impl Refusal {
    /// A refusal without any effect.
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            failure: Failure::invalid(message),
        }
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self {
            code: code_of(failure.kind),
            failure,
        }
    }
}

impl From<BackendError> for Refusal {
    fn from(error: BackendError) -> Self {
        Failure::from(error).into()
    }
}

impl From<InvalidPlaces> for Refusal {
    fn from(error: InvalidPlaces) -> Self {
        Failure::from(error).into()
    }
}

/// The wire's code for each kind of failure.
fn code_of(kind: FailureKind) -> ErrorCode {
    match kind {
        FailureKind::Forbidden => ErrorCode::Forbidden,
        FailureKind::Denied => ErrorCode::Denied,
        FailureKind::PolicyError => ErrorCode::PolicyError,
        FailureKind::NoPolicyBound => ErrorCode::NoPolicyBound,
        FailureKind::NotHolder => ErrorCode::NotHolder,
        FailureKind::NotFound => ErrorCode::NotFound,
        FailureKind::NamespaceNotFound => ErrorCode::NamespaceNotFound,
        FailureKind::Held => ErrorCode::Held,
        FailureKind::LeaseLost => ErrorCode::LeaseLost,
        FailureKind::LeaseEnded => ErrorCode::LeaseEnded,
        FailureKind::Conflict => ErrorCode::Conflict,
        FailureKind::RequestIdTooOld => ErrorCode::RequestIdTooOld,
        FailureKind::CursorBeyondEnd => ErrorCode::CursorBeyondEnd,
        FailureKind::PreconditionFailed => ErrorCode::PreconditionFailed,
        FailureKind::LastAdministrator => ErrorCode::LastAdministrator,
        FailureKind::ApprovalRequired => ErrorCode::ApprovalRequired,
        FailureKind::PolicyVersionInUse => ErrorCode::PolicyVersionInUse,
        FailureKind::PolicyVersionUnusable => ErrorCode::PolicyVersionUnusable,
        FailureKind::TooLarge => ErrorCode::BodyTooLarge,
        FailureKind::Invalid => ErrorCode::InvalidRequest,
        FailureKind::QueueFull => ErrorCode::QueueFull,
        FailureKind::NamespaceFull => ErrorCode::NamespaceFull,
        FailureKind::RateLimited => ErrorCode::RateLimited,
        FailureKind::Internal => ErrorCode::Internal,
        FailureKind::Overloaded => ErrorCode::Overloaded,
        FailureKind::Unavailable => ErrorCode::Unavailable,
        FailureKind::SafeMode => ErrorCode::SafeMode,
        FailureKind::Fenced => ErrorCode::Fenced,
    }
}

/// The answer of a handler, or to a request that failed.
pub(crate) fn settle(answered: Result<Response, Refusal>, request_id: &RequestId) -> Response {
    answered.unwrap_or_else(|refusal| respond(refusal, request_id))
}

/// The answer to a request that failed.
pub(crate) fn respond(refusal: impl Into<Refusal>, request_id: &RequestId) -> Response {
    let refusal = refusal.into();
    log(&refusal, request_id);
    let code = refusal.code;
    let retry_after_ms = refusal.failure.retry_after_ms;
    let body = problem(refusal, request_id);
    let bytes = serde_json::to_vec(&body).unwrap_or_default();
    let status = StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, [(header::CONTENT_TYPE, PROBLEM_JSON)], bytes).into_response();
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(request_id.as_str()) {
        headers.insert(X_REQUEST_ID, id);
    }
    if code == ErrorCode::Unauthenticated {
        headers.insert(header::WWW_AUTHENTICATE, CHALLENGE);
    }
    if let Some(ms) = retry_after_ms {
        headers.insert(
            header::RETRY_AFTER,
            HeaderValue::from(ms.div_ceil(1_000).max(1)),
        );
    }
    response
}

/// The problem document of a failure.
pub(crate) fn problem(refusal: impl Into<Refusal>, request_id: &RequestId) -> Problem {
    let Refusal { code, failure } = refusal.into();
    let retryable = code.is_retryable() && !failure.lasts();
    let mut problem = Problem {
        kind: format!("urn:leasehold:error:{}", code.as_str()),
        title: code.as_str().replace('_', " "),
        status: code.status(),
        detail: failure.message,
        code,
        retryable,
        effect: match failure.effect {
            Effect::None => EffectName::None,
            Effect::Unknown => EffectName::Unknown,
        },
        request_id: request_id.to_string(),
        retry_after_ms: failure.retry_after_ms,
        denial: None,
        holders: None,
        waiters: None,
        position: None,
        cooldown_remaining_ms: None,
        reserved_for: None,
        end_cause: None,
        incident: None,
        cap: None,
        in_use: None,
        newest_cursor: None,
        newest_cursors: None,
    };
    explain(&mut problem, failure.detail);
    problem
}

/// Adds what only this kind of failure has.
fn explain(problem: &mut Problem, detail: FailureDetail) {
    match detail {
        FailureDetail::None | FailureDetail::Internal(_) => {}
        FailureDetail::Denied {
            denial,
            decision,
            fault,
        } => problem.denial = Some(denial_view(denial, decision.as_deref(), fault)),
        FailureDetail::Held(blocked) => {
            // Programs that wait get this often, so it is short.
            let briefly = |holder| HolderView {
                policies: None,
                ..view::holder(holder)
            };
            problem.holders = Some(blocked.holders.iter().map(briefly).collect());
            problem.waiters = blocked.waiters;
            problem.position = blocked.position;
            problem.cooldown_remaining_ms =
                Some(blocked.cooldown_remaining_ms).filter(|ms| *ms > 0);
            problem.reserved_for = blocked.reserved_for.map(|subject| subject.to_string());
        }
        FailureDetail::Ended(cause) => problem.end_cause = Some(cause.as_str().to_owned()),
        FailureDetail::BeyondEnd(newest) => {
            problem.newest_cursor = newest.only().map(|cursor| cursor.0);
            problem.newest_cursors = Some(newest.to_string());
        }
        FailureDetail::Cap(reached) => {
            problem.cap = Some(CapView {
                name: reached.cap.as_str().to_owned(),
                most: reached.most,
                present: reached.present,
            });
        }
        FailureDetail::Incident(id) => problem.incident = Some(id.to_string()),
        FailureDetail::InUse(used) => {
            problem.in_use = Some(InUseView {
                leases: used.leases,
                waiters: used.waiters,
                bindings: used.bindings,
                more: used.more,
            });
        }
    }
}

fn denial_view(denial: Denial, decision: Option<&Decision>, fault: Option<Fault>) -> DenialView {
    // The first policy that denied, and whose answer counts.
    let denied = |verdict: &&PolicyVerdict| {
        Some(&verdict.policy) == denial.policy.as_ref()
            && verdict.enforcement != Enforcement::Advisory
            && !matches!(
                verdict.answer,
                PolicyAnswer::Allow(_) | PolicyAnswer::Error { passed: true, .. }
            )
    };
    let verdict = decision.and_then(|decision| decision.verdicts.iter().find(denied));
    DenialView {
        kind: denial.kind.as_str().to_owned(),
        version: verdict.map(|verdict| verdict.version.to_string()),
        binding: verdict.map(|verdict| verdict.binding.to_string()),
        policy: denial.policy.as_ref().map(ToString::to_string),
        code: denial.code.into(),
        message: denial.message.into(),
        decision_id: decision.map(view::decision_id),
        failure: fault.map(|fault| FailureView {
            kind: fault.kind.to_owned(),
            detail: fault.detail.map(Into::into),
        }),
    }
}

/// What callers did wrong is theirs to log; what we did wrong is ours.
fn log(refusal: &Refusal, request_id: &RequestId) {
    let Refusal { code, failure } = refusal;
    // Safe mode is told of when it begins, and counted.
    if code.status() < 500 || [ErrorCode::SafeMode, ErrorCode::Fenced].contains(code) {
        tracing::debug!(request.id = %request_id, code = code.as_str(), "request.refused");
        return;
    }
    let detail = match &failure.detail {
        FailureDetail::Internal(detail) => detail.as_str(),
        _ => failure.message.as_str(),
    };
    tracing::warn!(request.id = %request_id, code = code.as_str(), detail, "request.failed");
}
