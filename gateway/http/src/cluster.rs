//! The cluster: for administrators.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use leasehold_backend_api::ClusterView;
use leasehold_backend_api::Steering;
use leasehold_core::authorization::Permission;
use leasehold_core::caller::Caller;
use leasehold_domain::FeatureLevel;
use leasehold_wire::v1::Problem;
use leasehold_wire::v1::cluster as wire;

use super::admin::allowed;
use super::extract::Authenticated;
use super::extract::Json;
use super::extract::answer;
use crate::services::App;

fn show(view: ClusterView) -> wire::ClusterStatus {
    let member = |member: leasehold_backend_api::MemberView| wire::ClusterMember {
        node: member.node,
        address: member.address,
        role: match member.voter {
            true => "voter",
            false => "learner",
        }
        .to_owned(),
        feature_level_max: member.supported_level.0,
        replicated: member.replicated,
    };
    wire::ClusterStatus {
        group: view.group,
        node: view.node,
        leader: view.leader,
        term: view.term,
        applied: view.applied,
        feature_level: view.level.0,
        members: view.members.into_iter().map(member).collect(),
    }
}

async fn steer(app: Arc<App>, who: Authenticated, asked: Steering) -> Response {
    allowed(who, Permission::SteerCluster, async |caller: Caller| {
        let view = app.steerage.steer(&caller, asked).await?;
        Ok(answer(StatusCode::OK, &caller.request_id, &show(view)))
    })
    .await
}

/// `GET /v1/cluster`.
#[utoipa::path(
    get,
    path = "/v1/cluster",
    operation_id = "get_cluster",
    tag = "cluster",
    responses((status = 200, body = wire::ClusterStatus), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn status(State(app): State<Arc<App>>, who: Authenticated) -> Response {
    allowed(who, Permission::SteerCluster, async |caller: Caller| {
        let view = app.steerage.view()?;
        Ok(answer(StatusCode::OK, &caller.request_id, &show(view)))
    })
    .await
}

/// `POST /v1/cluster:init`: this gateway, alone until now, becomes the first member.
#[utoipa::path(
    post,
    path = "/v1/cluster:init",
    operation_id = "init_cluster",
    tag = "cluster",
    responses((status = 200, body = wire::ClusterStatus), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn init(State(app): State<Arc<App>>, who: Authenticated) -> Response {
    steer(app, who, Steering::Init).await
}

/// `POST /v1/cluster:join`: takes in a gateway that waits, as a learner first, then as a voter.
#[utoipa::path(
    post,
    path = "/v1/cluster:join",
    operation_id = "join_cluster",
    tag = "cluster",
    request_body = wire::JoinRequest,
    responses((status = 200, body = wire::ClusterStatus), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn join(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Json(body): Json<wire::JoinRequest>,
) -> Response {
    let wire::JoinRequest { address } = body;
    steer(app, who, Steering::Join { address }).await
}

/// `POST /v1/cluster:leave`: a member leaves for ever.
#[utoipa::path(
    post,
    path = "/v1/cluster:leave",
    operation_id = "leave_cluster",
    tag = "cluster",
    request_body = wire::LeaveRequest,
    responses((status = 200, body = wire::ClusterStatus), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn leave(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Json(body): Json<wire::LeaveRequest>,
) -> Response {
    steer(app, who, Steering::Leave { node: body.node }).await
}

/// `POST /v1/cluster:replace`: a gateway that waits takes the place of a member, in one step.
#[utoipa::path(
    post,
    path = "/v1/cluster:replace",
    operation_id = "replace_member",
    tag = "cluster",
    request_body = wire::ReplaceRequest,
    responses((status = 200, body = wire::ClusterStatus), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn replace(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Json(body): Json<wire::ReplaceRequest>,
) -> Response {
    let wire::ReplaceRequest { node, address } = body;
    steer(app, who, Steering::Replace { node, address }).await
}

/// `POST /v1/cluster:transfer-leader`: another member leads.
#[utoipa::path(
    post,
    path = "/v1/cluster:transfer-leader",
    operation_id = "transfer_leadership",
    tag = "cluster",
    request_body = wire::TransferLeaderRequest,
    responses((status = 200, body = wire::ClusterStatus), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn transfer_leader(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Json(body): Json<wire::TransferLeaderRequest>,
) -> Response {
    steer(app, who, Steering::TransferLeader { to: body.to }).await
}

/// `POST /v1/cluster:raise-level`: the cluster writes by the rules of a higher feature level.
#[utoipa::path(
    post,
    path = "/v1/cluster:raise-level",
    operation_id = "raise_feature_level",
    tag = "cluster",
    request_body = wire::RaiseLevelRequest,
    responses((status = 200, body = wire::ClusterStatus), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn raise_level(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Json(body): Json<wire::RaiseLevelRequest>,
) -> Response {
    let to = body.to.map(FeatureLevel);
    steer(app, who, Steering::RaiseLevel { to }).await
}
