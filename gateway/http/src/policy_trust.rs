//! The keys that are trusted to sign policies.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use leasehold_core::authorization::Permission;
use leasehold_core::caller::Caller;
use leasehold_core::failure::Failure;
use leasehold_core::failure::FailureKind;
use leasehold_core::governance::Stored;
use leasehold_core::governance::document::TrustDocument;
use leasehold_core::governance::document::TrustedKeyDocument;
use leasehold_wire::v1::Problem;
use leasehold_wire::v1::policies as wire;

use super::admin::allowed;
use super::extract::Authenticated;
use super::extract::Json;
use super::extract::Path;
use super::extract::RawJson;
use super::extract::answer;
use super::policies::show::show_mark;
use crate::services::App;

/// The verb of a key.
const REVOKE: &str = ":revoke";

fn show(stored: Stored<TrustDocument>) -> wire::PolicyTrust {
    let key = |key: TrustedKeyDocument| wire::TrustedKey {
        id: key.id,
        name: key.name,
        public_key: key.public_key,
        added_by: key.added_by,
        added_at: key.added_at,
        revoked: key.revoked.map(show_mark),
    };
    wire::PolicyTrust {
        required_signatures: stored.document.required,
        keys: stored.document.keys.into_iter().map(key).collect(),
        revision: stored.revision,
    }
}

/// `GET /v1/policy-trust`.
#[utoipa::path(
    get,
    path = "/v1/policy-trust",
    operation_id = "get_policy_trust",
    tag = "policies",
    responses((status = 200, body = wire::PolicyTrust), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn get(State(app): State<Arc<App>>, who: Authenticated) -> Response {
    allowed(who, Permission::ReadPolicyTrust, async |caller: Caller| {
        let body = show(app.governance.trust().await?);
        Ok(answer(StatusCode::OK, &caller.request_id, &body))
    })
    .await
}

/// `PUT /v1/policy-trust`: how many distinct trusted keys must have signed a version that is pushed,
/// bound or promoted.
#[utoipa::path(
    put,
    path = "/v1/policy-trust",
    operation_id = "require_policy_signatures",
    tag = "policies",
    request_body = wire::RequireSignaturesRequest,
    responses((status = 200, body = wire::PolicyTrust), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn require(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Json(body): Json<wire::RequireSignaturesRequest>,
) -> Response {
    allowed(
        who,
        Permission::ChangePolicyTrust,
        async |caller: Caller| {
            let wire::RequireSignaturesRequest {
                required_signatures,
                reason,
                revision,
            } = body;
            let changed =
                app.governance
                    .require_signatures(&caller, required_signatures, &reason, revision);
            let body = show(changed.await?);
            Ok(answer(StatusCode::OK, &caller.request_id, &body))
        },
    )
    .await
}

/// `POST /v1/policy-trust/keys`: trusts a key. One that is trusted already stays as it is.
#[utoipa::path(
    post,
    path = "/v1/policy-trust/keys",
    operation_id = "trust_policy_key",
    tag = "policies",
    request_body = wire::TrustKeyRequest,
    responses((status = 201, body = wire::PolicyTrust), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn add(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Json(body): Json<wire::TrustKeyRequest>,
) -> Response {
    allowed(
        who,
        Permission::ChangePolicyTrust,
        async |caller: Caller| {
            let wire::TrustKeyRequest {
                name,
                public_key,
                reason,
            } = body;
            let governance = &app.governance;
            let trusted = governance.trust_key(&caller, &name, &public_key, reason.as_deref());
            let body = show(trusted.await?);
            Ok(answer(StatusCode::CREATED, &caller.request_id, &body))
        },
    )
    .await
}

/// `POST /v1/policy-trust/keys/{id}:revoke`.
pub(crate) async fn revoke(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Path(path): Path<String>,
    body: RawJson,
) -> Response {
    allowed(
        who,
        Permission::ChangePolicyTrust,
        async |caller: Caller| {
            let verb = || {
                let message = "a trusted key has the verb revoke only";
                Failure::new(FailureKind::NotFound, message)
            };
            let id = path.strip_suffix(REVOKE).ok_or_else(verb)?;
            let wire::RevokeTrustedKeyRequest { reason, force } = body.parse()?;
            let governance = &app.governance;
            let revoked = governance.revoke_trusted_key(&caller, id, &reason, force);
            let body = show(revoked.await?);
            Ok(answer(StatusCode::OK, &caller.request_id, &body))
        },
    )
    .await
}

/// The verb, for the document.
pub(crate) mod verbs {
    use super::Problem;
    use super::wire;

    /// `POST /v1/policy-trust/keys/{id}:revoke`: its signatures do not count any more. What is bound
    /// goes on.
    #[utoipa::path(
        post,
        path = "/v1/policy-trust/keys/{id}:revoke",
        operation_id = "revoke_policy_key",
        tag = "policies",
        params(("id" = String, Path, description = "Id of the key")),
        request_body = wire::RevokeTrustedKeyRequest,
        responses((status = 200, body = wire::PolicyTrust), (status = "default", body = Problem, content_type = "application/problem+json"))
    )]
    #[expect(dead_code, reason = "describes a verb")]
    pub(crate) fn revoke() {}
}
