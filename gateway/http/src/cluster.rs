//! The cluster: for administrators.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use leasehold_backend_api::ClusterView;
use leasehold_backend_api::Steering;
use leasehold_core::authorization::Permission;
use leasehold_core::caller::Caller;
use leasehold_core::failure::Failure;
use leasehold_core::gateways::GatewayView;
use leasehold_core::gateways::GatewaysView;
use leasehold_core::stores::MembersChange;
use leasehold_core::stores::MembersView;
use leasehold_core::telemetry::rfc3339;
use leasehold_domain::FeatureLevel;
use leasehold_domain::StoreName;
use leasehold_domain::WallMillis;
use leasehold_wire::v1::Problem;
use leasehold_wire::v1::cluster as wire;
use serde::Deserialize;

use super::admin::allowed;
use super::extract;
use super::extract::Authenticated;
use super::extract::Json;
use super::extract::Query;
use super::extract::answer;
use crate::services::App;

/// Options of `GET /v1/cluster`.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ClusterOptions {
    store: Option<String>,
}

fn show(store: &StoreName, view: MembersView) -> wire::ClusterStatus {
    match view {
        MembersView::Group(view) => show_group(store, view),
        MembersView::Gateways(view) => show_gateways(store, view),
    }
}

fn show_group(store: &StoreName, view: ClusterView) -> wire::ClusterStatus {
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
        store: store.to_string(),
        group: view.group,
        node: Some(view.node),
        leader: view.leader,
        term: Some(view.term),
        applied: Some(view.applied),
        feature_level: view.level.0,
        members: view.members.into_iter().map(member).collect(),
        gateways: Vec::new(),
    }
}

fn show_gateways(store: &StoreName, view: GatewaysView) -> wire::ClusterStatus {
    let gateway = |gateway: GatewayView| {
        let document = gateway.document;
        wire::ClusterGateway {
            id: gateway.id.to_string(),
            name: document.name,
            consumer: document.consumer,
            build: document.build,
            feature_level_min: document.level_min.0,
            feature_level_max: document.level_max.0,
            last_seen_at: rfc3339(WallMillis(document.seen_unix_ms)),
            answers: gateway.is_this,
        }
    };
    wire::ClusterStatus {
        store: store.to_string(),
        group: None,
        node: None,
        leader: None,
        term: None,
        applied: None,
        feature_level: view.level.0,
        members: Vec::new(),
        gateways: view.gateways.into_iter().map(gateway).collect(),
    }
}

/// Changes the members of the default store.
async fn steer(app: Arc<App>, who: Authenticated, asked: Steering) -> Response {
    change(app, who, None, MembersChange::Steer(asked)).await
}

async fn change(
    app: Arc<App>,
    who: Authenticated,
    store: Option<String>,
    asked: MembersChange,
) -> Response {
    allowed(who, Permission::SteerCluster, async |caller: Caller| {
        let store = store_of(&app, store.as_deref())?;
        let view = app.steerage.change(&caller, &store, asked).await?;
        let shown = show(&store, view);
        Ok(answer(StatusCode::OK, &caller.request_id, &shown))
    })
    .await
}

fn store_of(app: &App, store: Option<&str>) -> Result<StoreName, Failure> {
    store.map_or_else(|| Ok(StoreName::home()), |store| extract::store(app, store))
}

/// `GET /v1/cluster`.
#[utoipa::path(
    get,
    path = "/v1/cluster",
    operation_id = "get_cluster",
    tag = "cluster",
    params(ClusterOptions),
    responses((status = 200, body = wire::ClusterStatus), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn status(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Query(options): Query<ClusterOptions>,
) -> Response {
    allowed(who, Permission::SteerCluster, async |caller: Caller| {
        let store = store_of(&app, options.store.as_deref())?;
        let view = app.steerage.view(&store).await?;
        let shown = show(&store, view);
        Ok(answer(StatusCode::OK, &caller.request_id, &shown))
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

/// `POST /v1/cluster:raise-level`: a store is written by the rules of a higher feature level.
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
    let asked = MembersChange::Steer(Steering::RaiseLevel { to });
    change(app, who, body.store, asked).await
}

/// `POST /v1/cluster:forget-gateway`: a gateway that shared a store does not come back.
#[utoipa::path(
    post,
    path = "/v1/cluster:forget-gateway",
    operation_id = "forget_gateway",
    tag = "cluster",
    request_body = wire::ForgetGatewayRequest,
    responses((status = 200, body = wire::ClusterStatus), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn forget_gateway(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Json(body): Json<wire::ForgetGatewayRequest>,
) -> Response {
    let wire::ForgetGatewayRequest { gateway, store } = body;
    let asked = MembersChange::ForgetGateway { id: gateway };
    change(app, who, store, asked).await
}
