//! Rollouts.

mod show;

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use leasehold_core::authorization::Permission;
use leasehold_core::caller::Caller;
use leasehold_core::failure::Failure;
use leasehold_core::failure::FailureKind;
use leasehold_core::governance::FlagEdit;
use leasehold_core::governance::RolloutAction;
use leasehold_core::governance::RolloutDraft;
use leasehold_core::governance::RolloutEdit;
use leasehold_core::governance::RolloutReason;
use leasehold_core::governance::document::Guardrails;
use leasehold_core::governance::document::RolloutStage;
use leasehold_core::governance::document::RolloutStep;
use leasehold_core::governance::document::RolloutTargets;
use leasehold_core::governance::document::RolloutUnit;
use leasehold_wire::v1::Problem;
use leasehold_wire::v1::rollouts as wire;

use self::show::after_change;
use self::show::show;
use self::show::show_all;
use self::show::show_one;
use super::admin::allowed;
use super::approvals;
use super::extract::Authenticated;
use super::extract::Json;
use super::extract::Path;
use super::extract::RawJson;
use super::extract::answer;
use super::problem::Refusal;
use crate::services::App;

/// Thousandths in a percent.
const THOUSANDTHS: f64 = 1_000.0;

fn draft(body: wire::RolloutRequest) -> Result<RolloutDraft, Failure> {
    let unit = match body.unit.as_deref() {
        None | Some("lock") => RolloutUnit::Lock,
        Some("team") => RolloutUnit::Team,
        Some("subject") => RolloutUnit::Subject,
        Some(_) => return Err(Failure::invalid("unit: lock, team or subject")),
    };
    let steps = body.steps.into_iter().enumerate();
    Ok(RolloutDraft {
        name: body.name,
        binding: body.binding,
        policy: body.policy,
        version: body.version,
        config: body.config,
        unit,
        flag: body.flag,
        targets: targets(body.targets),
        steps: steps.map(step).collect::<Result<_, _>>()?,
        guardrails: guardrails(&body.guardrails)?,
        automatic: body.automatic,
        replay_report: body.replay_report,
    })
}

fn targets(targets: wire::RolloutTargets) -> RolloutTargets {
    let wire::RolloutTargets {
        locks,
        teams,
        subjects,
    } = targets;
    RolloutTargets {
        locks,
        teams,
        subjects,
    }
}

fn step((at, step): (usize, wire::RolloutStep)) -> Result<RolloutStep, Failure> {
    let stage = match &*step.stage {
        "shadow" => RolloutStage::Shadow,
        "canary" => RolloutStage::Canary,
        "full" => RolloutStage::Full,
        _ => {
            let message = format!("steps[{at}].stage: shadow, canary or full");
            return Err(Failure::invalid(message));
        }
    };
    let share = step.share_percent.unwrap_or(0.0);
    Ok(RolloutStep {
        stage,
        share: thousandths(&format!("steps[{at}].share_percent"), share)?,
        least_ms: step.least_ms.unwrap_or(0),
    })
}

fn guardrails(body: &wire::RolloutGuardrails) -> Result<Guardrails, Failure> {
    let default = Guardrails::default();
    let share = |name: &str, given: Option<f64>, default: u32| match given {
        None => Ok(default),
        Some(percent) => thousandths(&format!("guardrails.{name}"), percent),
    };
    Ok(Guardrails {
        window_ms: body.window_ms.unwrap_or(default.window_ms),
        least_samples: body.least_samples.unwrap_or(default.least_samples),
        newly_denied_max: share(
            "newly_denied_max_percent",
            body.newly_denied_max_percent,
            default.newly_denied_max,
        )?,
        failed_max: share(
            "failed_max_percent",
            body.failed_max_percent,
            default.failed_max,
        )?,
        failures_burst: body.failures_burst.unwrap_or(default.failures_burst),
        fuel_ratio_max_percent: body
            .fuel_ratio_max_percent
            .unwrap_or(default.fuel_ratio_max_percent),
    })
}

/// Returns percent as thousandths of a percent.
fn thousandths(name: &str, percent: f64) -> Result<u32, Failure> {
    if !(0.0..=100.0).contains(&percent) {
        return Err(Failure::invalid(format!("{name}: 0 to 100")));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is 0 to 100,000"
    )]
    let thousandths = (percent * THOUSANDTHS).round() as u32;
    Ok(thousandths)
}

/// `POST /v1/rollouts`.
#[utoipa::path(
    post,
    path = "/v1/rollouts",
    operation_id = "start_rollout",
    tag = "rollouts",
    request_body = wire::RolloutRequest,
    responses((status = 201, body = wire::Rollout), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn start(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Json(body): Json<wire::RolloutRequest>,
) -> Response {
    allowed(who, Permission::ChangeBindings, async |caller: Caller| {
        let draft = draft(body)?;
        let started = app.governance.start_rollout(&caller, &draft).await?;
        let body = after_change(&app, &caller, started).await;
        Ok(answer(StatusCode::CREATED, &caller.request_id, &body))
    })
    .await
}

/// `GET /v1/rollouts`.
#[utoipa::path(
    get,
    path = "/v1/rollouts",
    operation_id = "list_rollouts",
    tag = "rollouts",
    responses((status = 200, body = wire::RolloutList), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn list(State(app): State<Arc<App>>, who: Authenticated) -> Response {
    allowed(who, Permission::ReadRollouts, async |caller: Caller| {
        let stored = app.governance.rollouts().await?;
        let rollouts = show_all(&app, &caller, stored).await?;
        let body = wire::RolloutList { rollouts };
        Ok(answer(StatusCode::OK, &caller.request_id, &body))
    })
    .await
}

/// `GET /v1/rollouts/{rollout}`.
#[utoipa::path(
    get,
    path = "/v1/rollouts/{rollout}",
    operation_id = "get_rollout",
    tag = "rollouts",
    params(("rollout" = String, Path, description = "Name of the rollout")),
    responses((status = 200, body = wire::Rollout), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Path(name): Path<String>,
) -> Response {
    allowed(who, Permission::ReadRollouts, async |caller: Caller| {
        let stored = app.governance.rollout(&name).await?;
        let body = show_one(&app, &caller, stored).await?;
        Ok(answer(StatusCode::OK, &caller.request_id, &body))
    })
    .await
}

/// `DELETE /v1/rollouts/{rollout}`: forgets a rollout that is not open. The ledger keeps it.
#[utoipa::path(
    delete,
    path = "/v1/rollouts/{rollout}",
    operation_id = "delete_rollout",
    tag = "rollouts",
    params(("rollout" = String, Path, description = "Name of the rollout")),
    responses((status = 200, body = wire::Rollout), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Path(name): Path<String>,
) -> Response {
    allowed(who, Permission::ChangeBindings, async |caller: Caller| {
        let stored = app.governance.delete_rollout(&caller, &name).await?;
        let body = show(&app, &caller, stored, None);
        Ok(answer(StatusCode::OK, &caller.request_id, &body))
    })
    .await
}

/// `POST /v1/rollouts/{rollout}:…`.
pub(crate) async fn post(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Path(path): Path<String>,
    body: RawJson,
) -> Response {
    let (name, verb) = path.rsplit_once(':').unwrap_or((&path, ""));
    let permission = match verb {
        "hold" | "rollback" => Permission::RollBack,
        _ => Permission::ChangeBindings,
    };
    allowed(who, permission, async |caller: Caller| {
        let action = match verb {
            "edit" => return edit(&app, &caller, name, &body).await,
            "request-approval" => return request_approval(&app, &caller, name, &body).await,
            "advance" => RolloutAction::Advance,
            "hold" => RolloutAction::Hold,
            "resume" => RolloutAction::Resume,
            "rollback" => RolloutAction::RollBack,
            _ => return Err(Failure::new(FailureKind::NotFound, "there is no such path").into()),
        };
        let wire::RolloutChangeRequest {
            reason,
            epoch,
            force,
        } = body.parse()?;
        let why = (reason.as_deref(), epoch);
        let changing = app
            .pipeline
            .change_rollout(&caller, name, (action, force), why);
        let changed = Box::pin(changing).await?;
        let body = after_change(&app, &caller, changed).await;
        Ok(answer(StatusCode::OK, &caller.request_id, &body))
    })
    .await
}

async fn edit(app: &App, caller: &Caller, name: &str, body: &RawJson) -> Result<Response, Refusal> {
    let body: wire::RolloutEditRequest = body.parse()?;
    let next = body.next_steps.map(|steps| {
        let steps = steps.into_iter().enumerate();
        steps.map(step).collect::<Result<_, _>>()
    });
    let flag = match (body.flag, body.remove_flag) {
        (Some(_), true) => {
            return Err(Failure::invalid("remove_flag: not together with flag").into());
        }
        (Some(key), false) => Some(FlagEdit::Follow(key)),
        (None, true) => Some(FlagEdit::Remove),
        (None, false) => None,
    };
    let edited = RolloutEdit {
        flag,
        next_steps: next.transpose()?,
        targets: body.targets.map(targets),
        guardrails: body.guardrails.as_ref().map(guardrails).transpose()?,
        automatic: body.automatic,
        replay_report: body.replay_report,
    };
    let why = RolloutReason {
        reason: body.reason.as_deref(),
        compared: None,
    };
    let editing = app
        .governance
        .edit_rollout(caller, name, &edited, why, body.epoch);
    let body = after_change(app, caller, editing.await?).await;
    Ok(answer(StatusCode::OK, &caller.request_id, &body))
}

async fn request_approval(
    app: &App,
    caller: &Caller,
    name: &str,
    body: &RawJson,
) -> Result<Response, Refusal> {
    let body: wire::RolloutApprovalRequest = body.parse()?;
    // A step beyond what the machine can count is beyond the last one, too.
    let step = body
        .to_step
        .map(|step| usize::try_from(step).unwrap_or(usize::MAX));
    let requesting = app.governance.request_rollout_approval(caller, name, step);
    let body = approvals::show(requesting.await?);
    Ok(answer(StatusCode::OK, &caller.request_id, &body))
}

/// The verbs, for the document: one handler serves them all.
pub(crate) mod verbs {
    use leasehold_wire::v1::approvals::Approval;

    use super::Problem;
    use super::wire;

    /// `POST /v1/rollouts/{rollout}:edit`: changes its plan.
    #[utoipa::path(
        post,
        path = "/v1/rollouts/{rollout}:edit",
        operation_id = "edit_rollout",
        tag = "rollouts",
        params(("rollout" = String, Path, description = "Name of the rollout")),
        request_body = wire::RolloutEditRequest,
        responses((status = 200, body = wire::Rollout), (status = "default", body = Problem, content_type = "application/problem+json"))
    )]
    #[expect(dead_code, reason = "describes a verb")]
    pub(crate) fn edit() {}

    /// `POST /v1/rollouts/{rollout}:request-approval`: asks others to approve its plan.
    #[utoipa::path(
        post,
        path = "/v1/rollouts/{rollout}:request-approval",
        operation_id = "request_rollout_approval",
        tag = "rollouts",
        params(("rollout" = String, Path, description = "Name of the rollout")),
        request_body = wire::RolloutApprovalRequest,
        responses((status = 200, body = Approval), (status = "default", body = Problem, content_type = "application/problem+json"))
    )]
    #[expect(dead_code, reason = "describes a verb")]
    pub(crate) fn request_approval() {}

    /// `POST /v1/rollouts/{rollout}:advance`: to its next step.
    #[utoipa::path(
        post,
        path = "/v1/rollouts/{rollout}:advance",
        operation_id = "advance_rollout",
        tag = "rollouts",
        params(("rollout" = String, Path, description = "Name of the rollout")),
        request_body = wire::RolloutChangeRequest,
        responses((status = 200, body = wire::Rollout), (status = "default", body = Problem, content_type = "application/problem+json"))
    )]
    #[expect(dead_code, reason = "describes a verb")]
    pub(crate) fn advance() {}

    /// `POST /v1/rollouts/{rollout}:hold`: it stays where it is until it is resumed.
    #[utoipa::path(
        post,
        path = "/v1/rollouts/{rollout}:hold",
        operation_id = "hold_rollout",
        tag = "rollouts",
        params(("rollout" = String, Path, description = "Name of the rollout")),
        request_body = wire::RolloutChangeRequest,
        responses((status = 200, body = wire::Rollout), (status = "default", body = Problem, content_type = "application/problem+json"))
    )]
    #[expect(dead_code, reason = "describes a verb")]
    pub(crate) fn hold() {}

    /// `POST /v1/rollouts/{rollout}:resume`: ends a hold.
    #[utoipa::path(
        post,
        path = "/v1/rollouts/{rollout}:resume",
        operation_id = "resume_rollout",
        tag = "rollouts",
        params(("rollout" = String, Path, description = "Name of the rollout")),
        request_body = wire::RolloutChangeRequest,
        responses((status = 200, body = wire::Rollout), (status = "default", body = Problem, content_type = "application/problem+json"))
    )]
    #[expect(dead_code, reason = "describes a verb")]
    pub(crate) fn resume() {}

    /// `POST /v1/rollouts/{rollout}:rollback`: the version before rules alone again, at once.
    #[utoipa::path(
        post,
        path = "/v1/rollouts/{rollout}:rollback",
        operation_id = "roll_back_rollout",
        tag = "rollouts",
        params(("rollout" = String, Path, description = "Name of the rollout")),
        request_body = wire::RolloutChangeRequest,
        responses((status = 200, body = wire::Rollout), (status = "default", body = Problem, content_type = "application/problem+json"))
    )]
    #[expect(dead_code, reason = "describes a verb")]
    pub(crate) fn rollback() {}
}
