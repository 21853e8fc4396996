//! Approvals of changes by other people, and the rule that requires them.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use leasehold_core::authorization::Permission;
use leasehold_core::caller::Caller;
use leasehold_core::failure::Failure;
use leasehold_core::failure::FailureKind;
use leasehold_core::governance::ApprovalRule;
use leasehold_core::governance::ApprovalStanding;
use leasehold_core::telemetry::rfc3339;
use leasehold_domain::WallMillis;
use leasehold_wire::v1::Problem;
use leasehold_wire::v1::approvals as wire;

use super::admin::allowed;
use super::extract::Authenticated;
use super::extract::Json;
use super::extract::Path;
use super::extract::RawJson;
use super::extract::answer;
use crate::services::App;

/// Shows a request for approval.
pub(super) fn show(standing: ApprovalStanding) -> wire::Approval {
    let document = standing.stored.document;
    let approvals = document.approvals.into_iter();
    wire::Approval {
        id: document.id,
        kind: document.kind,
        name: document.name,
        summary: document.summary,
        subject: Some(document.subject),
        author: document.author,
        uploaders: document.uploaders,
        requested_at: document.requested_at,
        expires_at: rfc3339(WallMillis(document.expires_ms)),
        state: standing.state.as_str().to_owned(),
        counted: standing.counted,
        required: standing.required,
        approvals: approvals
            .map(|one| wire::GivenApproval {
                by: one.by,
                at: one.at,
                reason: one.reason,
            })
            .collect(),
        used_at: document.used_at,
        withdrawn_at: document.withdrawn_at,
    }
}

fn show_rule(rule: ApprovalRule) -> wire::ApprovalRule {
    let some = |text: String| (!text.is_empty()).then_some(text);
    wire::ApprovalRule {
        required: rule.document.required,
        set_by: some(rule.document.set_by),
        set_at: some(rule.document.set_at),
        approvers: rule.approvers,
    }
}

/// `GET /v1/approval-rule`.
#[utoipa::path(
    get,
    path = "/v1/approval-rule",
    operation_id = "get_approval_rule",
    tag = "approvals",
    responses((status = 200, body = wire::ApprovalRule), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn get_rule(State(app): State<Arc<App>>, who: Authenticated) -> Response {
    allowed(who, Permission::ReadApprovals, async |caller: Caller| {
        let rule = app.governance.approval_rule().await?;
        Ok(answer(StatusCode::OK, &caller.request_id, &show_rule(rule)))
    })
    .await
}

/// `PUT /v1/approval-rule`.
#[utoipa::path(
    put,
    path = "/v1/approval-rule",
    operation_id = "put_approval_rule",
    tag = "approvals",
    request_body = wire::ApprovalRuleRequest,
    responses((status = 200, body = wire::ApprovalRule), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn put_rule(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Json(body): Json<wire::ApprovalRuleRequest>,
) -> Response {
    allowed(who, Permission::ChangeBindings, async |caller: Caller| {
        let setting = app.governance.set_approval_rule(&caller, body.required);
        let body = show_rule(setting.await?);
        Ok(answer(StatusCode::OK, &caller.request_id, &body))
    })
    .await
}

/// `GET /v1/approvals`.
#[utoipa::path(
    get,
    path = "/v1/approvals",
    operation_id = "list_approvals",
    tag = "approvals",
    responses((status = 200, body = wire::ApprovalList), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn list(State(app): State<Arc<App>>, who: Authenticated) -> Response {
    allowed(who, Permission::ReadApprovals, async |caller: Caller| {
        let brief = |standing| wire::Approval {
            subject: None,
            ..show(standing)
        };
        let approvals = app.governance.approvals().await?.into_iter();
        let body = wire::ApprovalList {
            approvals: approvals.map(brief).collect(),
        };
        Ok(answer(StatusCode::OK, &caller.request_id, &body))
    })
    .await
}

/// `GET /v1/approvals/{approval}`.
#[utoipa::path(
    get,
    path = "/v1/approvals/{approval}",
    operation_id = "get_approval",
    tag = "approvals",
    params(("approval" = String, Path, description = "Id of the request")),
    responses((status = 200, body = wire::Approval), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Path(id): Path<String>,
) -> Response {
    allowed(who, Permission::ReadApprovals, async |caller: Caller| {
        let body = show(app.governance.approval(&id).await?);
        Ok(answer(StatusCode::OK, &caller.request_id, &body))
    })
    .await
}

/// `POST /v1/approvals/{approval}:…`.
pub(crate) async fn post(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Path(path): Path<String>,
    body: RawJson,
) -> Response {
    let (id, verb) = path.rsplit_once(':').unwrap_or((&path, ""));
    let permission = match verb {
        "approve" => Permission::Approve,
        _ => Permission::ChangeBindings,
    };
    allowed(who, permission, async |caller: Caller| {
        if !["approve", "withdraw"].contains(&verb) {
            return Err(Failure::new(FailureKind::NotFound, "there is no such path").into());
        }
        let wire::ApprovalChangeRequest { reason } = body.parse()?;
        let reason = reason.as_deref();
        let standing = match verb {
            "approve" => match app.governance.approve(&caller, id, reason).await {
                Err(failure) if failure.kind == FailureKind::Forbidden => {
                    let operation = "POST /v1/approvals/{approval}:approve".to_owned();
                    let refusing = app.authorization.refused(&caller, operation, failure);
                    return Err(refusing.await.into());
                }
                approved => approved?,
            },
            _ => {
                app.governance
                    .withdraw_approval(&caller, id, reason)
                    .await?
            }
        };
        Ok(answer(StatusCode::OK, &caller.request_id, &show(standing)))
    })
    .await
}

/// The verbs, for the document: one handler serves them all.
pub(crate) mod verbs {
    use super::Problem;
    use super::wire;

    /// `POST /v1/approvals/{approval}:approve`: somebody else approves the change.
    #[utoipa::path(
        post,
        path = "/v1/approvals/{approval}:approve",
        operation_id = "approve_change",
        tag = "approvals",
        params(("approval" = String, Path, description = "Id of the request")),
        request_body = wire::ApprovalChangeRequest,
        responses((status = 200, body = wire::Approval), (status = "default", body = Problem, content_type = "application/problem+json"))
    )]
    #[expect(dead_code, reason = "describes a verb")]
    pub(crate) fn approve() {}

    /// `POST /v1/approvals/{approval}:withdraw`: approvals of the change no longer count.
    #[utoipa::path(
        post,
        path = "/v1/approvals/{approval}:withdraw",
        operation_id = "withdraw_approval",
        tag = "approvals",
        params(("approval" = String, Path, description = "Id of the request")),
        request_body = wire::ApprovalChangeRequest,
        responses((status = 200, body = wire::Approval), (status = "default", body = Problem, content_type = "application/problem+json"))
    )]
    #[expect(dead_code, reason = "describes a verb")]
    pub(crate) fn withdraw() {}
}
