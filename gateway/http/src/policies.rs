//! Policy versions: pushed, shown, marked and deleted.

pub(crate) mod show;

use std::sync::Arc;

use axum::extract::Request;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::HeaderName;
use axum::http::StatusCode;
use axum::http::header;
use axum::response::Response;
use leasehold_core::authorization::Permission;
use leasehold_core::caller::Caller;
use leasehold_core::failure::Failure;
use leasehold_core::failure::FailureKind;
use leasehold_core::failure::Fault;
use leasehold_core::governance::PolicyMark;
use leasehold_core::governance::Push;
use leasehold_core::signing::PolicySignature;
use leasehold_core::signing::SignatureFile;
use leasehold_domain::limits;
use leasehold_wire::v1::Problem;
use leasehold_wire::v1::error::ErrorCode;
use leasehold_wire::v1::policies as wire;
use serde::Deserialize;

use self::show::show;
use self::show::show_failure;
use self::show::show_pushed;
use self::show::show_use;
use super::admin::allowed;
use super::extract::Authenticated;
use super::extract::Path;
use super::extract::Query;
use super::extract::RawJson;
use super::extract::answer;
use super::extract::read;
use super::problem::Refusal;
use super::problem::respond;
use crate::services::App;

/// The header of a push that has a file of signatures, in base64. It may be repeated.
const SIGNATURES: HeaderName = HeaderName::from_static("leasehold-policy-signatures");

/// Options of `PUT /v1/policies/{policy}/versions/{version}`.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PushOptions {
    /// Does everything but the write.
    dry_run: Option<bool>,
}

/// `PUT /v1/policies/{policy}/versions/{version}`: pushes a version.
///
/// The gateway compiles the module, runs its own test cases, verifies its signatures, and checks the
/// configurations of the bindings that name another version of the policy. Then it writes the version,
/// or nothing. The same bytes again add the signatures that are new.
#[utoipa::path(
    put,
    path = "/v1/policies/{policy}/versions/{version}",
    operation_id = "push_policy",
    tag = "policies",
    params(
        ("policy" = String, Path, description = "Name of the policy"),
        ("version" = String, Path, description = "Semantic version"),
        ("leasehold-policy-signatures" = Option<String>, Header, description = "A file of signatures, in base64; may be repeated"),
        PushOptions,
    ),
    request_body(content = Vec<u8>, content_type = "application/wasm"),
    responses((status = 200, body = wire::PushedPolicy, description = "A dry run: nothing was written"), (status = 201, body = wire::PushedPolicy), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn push(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Path((policy, version)): Path<(String, String)>,
    Query(options): Query<PushOptions>,
    headers: HeaderMap,
    request: Request,
) -> Response {
    allowed(who, Permission::ChangePolicies, async |caller: Caller| {
        let kind = headers
            .get(header::CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok());
        if !matches!(kind, Some("application/wasm" | "application/octet-stream")) {
            let message = "content-type: must be application/wasm or application/octet-stream";
            return Err(Refusal::new(ErrorCode::UnsupportedMediaType, message));
        }
        let signatures = signatures(&headers)?;
        let _place = app.governance.admit_upload()?;
        let wasm = read(request.into_body(), &app, limits::MODULE_BYTES_MAX).await?;
        let push = Push {
            named: Some((policy.as_str(), version.as_str())),
            wasm: Arc::from(&*wasm),
            signatures,
            dry_run: options.dry_run.unwrap_or(false),
        };
        let (status, is_dry) = match push.dry_run {
            true => (StatusCode::OK, true),
            false => (StatusCode::CREATED, false),
        };
        let pushing = Box::pin(app.governance.push_policy(&caller, push));
        let body = show_pushed(pushing.await?, is_dry);
        Ok(answer(status, &caller.request_id, &body))
    })
    .await
}

/// The signatures in the headers of a push.
fn signatures(headers: &HeaderMap) -> Result<Vec<PolicySignature>, Failure> {
    let mut all = Vec::new();
    for value in headers.get_all(SIGNATURES) {
        let wrong = |problem: String| Failure::invalid(format!("{SIGNATURES}: {problem}"));
        let text = value
            .to_str()
            .map_err(|_| wrong("is not base64".to_owned()))?;
        let file = SignatureFile::parse_base64(text.trim()).map_err(wrong)?;
        all.extend(file.signatures);
        if all.len() > limits::POLICY_SIGNATURES_MAX {
            let most = limits::POLICY_SIGNATURES_MAX;
            return Err(wrong(format!("expected at most {most} signatures")));
        }
    }
    Ok(all)
}

/// `DELETE /v1/policies/{policy}/versions/{version}`.
///
/// Refused with `policy_version_in_use` while a binding names the version, or while a lease is held
/// that was granted or renewed under it.
#[utoipa::path(
    delete,
    path = "/v1/policies/{policy}/versions/{version}",
    operation_id = "delete_policy",
    tag = "policies",
    params(("policy" = String, Path, description = "Name of the policy"), ("version" = String, Path, description = "Semantic version")),
    responses((status = 200, body = wire::PolicyVersion), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Path((policy, version)): Path<(String, String)>,
) -> Response {
    allowed(who, Permission::ChangePolicies, async |caller: Caller| {
        let deleted = app
            .pipeline
            .delete_policy_version(&caller, &policy, &version);
        let deleted = deleted.await?;
        let standing = app.governance.standing(&deleted.document).await?;
        let shown = show(deleted, standing);
        Ok(answer(StatusCode::OK, &caller.request_id, &shown))
    })
    .await
}

/// `GET /v1/policies`.
#[utoipa::path(
    get,
    path = "/v1/policies",
    operation_id = "list_policies",
    tag = "policies",
    responses((status = 200, body = wire::PolicyList), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn list(State(app): State<Arc<App>>, who: Authenticated) -> Response {
    let request_id = who.request_id();
    match app.governance.policies_with_standing().await {
        Ok(rows) => {
            let rows = rows.into_iter();
            let policies = rows.map(|(version, standing)| show(version, standing));
            let body = wire::PolicyList {
                policies: policies.collect(),
                contracts: leasehold_core::governance::policy_contracts(),
            };
            answer(StatusCode::OK, request_id, &body)
        }
        Err(failure) => respond(failure, request_id),
    }
}

/// `GET /v1/policies/{policy}/versions/{version}`.
#[utoipa::path(
    get,
    path = "/v1/policies/{policy}/versions/{version}",
    operation_id = "get_policy",
    tag = "policies",
    params(("policy" = String, Path, description = "Name of the policy"), ("version" = String, Path, description = "Semantic version")),
    responses((status = 200, body = wire::PolicyVersion), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Path((policy, version)): Path<(String, String)>,
) -> Response {
    let caller = who.by_header();
    match shown(&app, &caller, (&policy, &version), true).await {
        Ok(shown) => answer(StatusCode::OK, &caller.request_id, &shown),
        Err(failure) => respond(failure, &caller.request_id),
    }
}

/// Shows one version, as far as the caller may know. `with_leases`: whether the leases under it are
/// counted, which takes a look at all locks.
async fn shown(
    app: &App,
    caller: &Caller,
    (policy, version): (&str, &str),
    with_leases: bool,
) -> Result<wire::PolicyVersion, Failure> {
    let missing = || {
        let message = format!("there is no policy {policy}@{version}");
        Failure::new(FailureKind::NotFound, message)
    };
    let stored = app.governance.version(policy, version).await?;
    let stored = stored.ok_or_else(missing)?;
    let standing = app.governance.standing(&stored.document).await?;
    let mut shown = show(stored, standing);
    if Fault::is_told_to(&caller.principal) {
        let failures = app.pipeline.policy_failures(caller, policy, version);
        shown.failures = failures.into_iter().map(show_failure).collect();
    }
    if caller.scope.is_none() && Permission::ReadBindings.is_open_to(&caller.principal) {
        let in_use = app.governance.uses_of_version(policy, version).await?;
        let leases = match with_leases {
            true => {
                let counting = app.pipeline.leases_under_version(caller, policy, version);
                Some(counting.await)
            }
            false => None,
        };
        shown.in_use = Some(show_use(in_use, leases));
    }
    Ok(shown)
}

/// `POST /v1/policies/{policy}/versions/{version}:…`.
pub(crate) async fn post(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Path((policy, path)): Path<(String, String)>,
    body: RawJson,
) -> Response {
    let (version, verb) = path.rsplit_once(':').unwrap_or((&path, ""));
    let (mark, permission) = match verb {
        "deprecate" => (Some(PolicyMark::Deprecate), Permission::ChangePolicies),
        "withdraw" => (Some(PolicyMark::Withdraw), Permission::ChangePolicies),
        "restore" => (Some(PolicyMark::Restore), Permission::RestorePolicies),
        "kill" => (Some(PolicyMark::Kill), Permission::KillPolicies),
        "revive" => (Some(PolicyMark::Revive), Permission::RestorePolicies),
        _ => (None, Permission::ChangePolicies),
    };
    allowed(who, permission, async |caller: Caller| {
        let not_found = || Failure::new(FailureKind::NotFound, "there is no such path");
        let mark = mark.ok_or_else(not_found)?;
        let wire::PolicyMarkRequest { reason } = body.parse()?;
        let named = (policy.as_str(), version);
        let marking = app.governance.mark_version(&caller, named, mark, &reason);
        marking.await?;
        // A kill is answered at once.
        let with_leases = matches!(mark, PolicyMark::Deprecate | PolicyMark::Withdraw);
        let shown = shown(&app, &caller, named, with_leases).await?;
        Ok(answer(StatusCode::OK, &caller.request_id, &shown))
    })
    .await
}

/// The verbs, for the document: one handler serves them all.
pub(crate) mod verbs {
    use super::Problem;
    use super::wire;

    /// `POST /v1/policies/{policy}/versions/{version}:deprecate`: whoever binds it is warned.
    #[utoipa::path(
        post,
        path = "/v1/policies/{policy}/versions/{version}:deprecate",
        operation_id = "deprecate_policy",
        tag = "policies",
        params(("policy" = String, Path, description = "Name of the policy"), ("version" = String, Path, description = "Semantic version")),
        request_body = wire::PolicyMarkRequest,
        responses((status = 200, body = wire::PolicyVersion), (status = "default", body = Problem, content_type = "application/problem+json"))
    )]
    #[expect(dead_code, reason = "describes a verb")]
    pub(crate) fn deprecate() {}

    /// `POST /v1/policies/{policy}/versions/{version}:withdraw`: it cannot be pushed, bound or promoted
    /// any more. What it judges goes on, and is listed in the answer.
    #[utoipa::path(
        post,
        path = "/v1/policies/{policy}/versions/{version}:withdraw",
        operation_id = "withdraw_policy",
        tag = "policies",
        params(("policy" = String, Path, description = "Name of the policy"), ("version" = String, Path, description = "Semantic version")),
        request_body = wire::PolicyMarkRequest,
        responses((status = 200, body = wire::PolicyVersion), (status = "default", body = Problem, content_type = "application/problem+json"))
    )]
    #[expect(dead_code, reason = "describes a verb")]
    pub(crate) fn withdraw() {}

    /// `POST /v1/policies/{policy}/versions/{version}:restore`: takes both marks back.
    #[utoipa::path(
        post,
        path = "/v1/policies/{policy}/versions/{version}:restore",
        operation_id = "restore_policy",
        tag = "policies",
        params(("policy" = String, Path, description = "Name of the policy"), ("version" = String, Path, description = "Semantic version")),
        request_body = wire::PolicyMarkRequest,
        responses((status = 200, body = wire::PolicyVersion), (status = "default", body = Problem, content_type = "application/problem+json"))
    )]
    #[expect(dead_code, reason = "describes a verb")]
    pub(crate) fn restore() {}

    /// `POST /v1/policies/{policy}/versions/{version}:kill`: it fails wherever it would judge, at once.
    ///
    /// The failure denies, except for operations that the binding lets pass on a failure. Open rollouts
    /// whose candidate it is are rolled back. It needs nobody's approval.
    #[utoipa::path(
        post,
        path = "/v1/policies/{policy}/versions/{version}:kill",
        operation_id = "kill_policy",
        tag = "policies",
        params(("policy" = String, Path, description = "Name of the policy"), ("version" = String, Path, description = "Semantic version")),
        request_body = wire::PolicyMarkRequest,
        responses((status = 200, body = wire::PolicyVersion), (status = "default", body = Problem, content_type = "application/problem+json"))
    )]
    #[expect(dead_code, reason = "describes a verb")]
    pub(crate) fn kill() {}

    /// `POST /v1/policies/{policy}/versions/{version}:revive`: a killed version judges again where it is
    /// bound. It needs what binding it needs: signatures, and the approvals of the rule.
    #[utoipa::path(
        post,
        path = "/v1/policies/{policy}/versions/{version}:revive",
        operation_id = "revive_policy",
        tag = "policies",
        params(("policy" = String, Path, description = "Name of the policy"), ("version" = String, Path, description = "Semantic version")),
        request_body = wire::PolicyMarkRequest,
        responses((status = 200, body = wire::PolicyVersion), (status = "default", body = Problem, content_type = "application/problem+json"))
    )]
    #[expect(dead_code, reason = "describes a verb")]
    pub(crate) fn revive() {}
}
