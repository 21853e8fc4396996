//! Incidents: for operators, who acknowledge them, and for auditors.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use leasehold_core::authorization::Permission;
use leasehold_core::caller::Caller;
use leasehold_core::failure::Failure;
use leasehold_core::failure::FailureKind;
use leasehold_core::safety::Incident;
use leasehold_core::safety::IncidentQuery;
use leasehold_core::telemetry::rfc3339;
use leasehold_domain::StoreName;
use leasehold_wire::v1::Problem;
use leasehold_wire::v1::incidents as wire;
use serde::Deserialize;

use super::admin::allowed;
use super::extract::Authenticated;
use super::extract::Path;
use super::extract::Query;
use super::extract::RawJson;
use super::extract::answer;
use crate::services::App;

/// The verb after an incident's name.
const ACKNOWLEDGE: &str = ":acknowledge";

/// Options of `GET /v1/incidents`.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct IncidentOptions {
    store: Option<String>,
    open: Option<bool>,
    after: Option<String>,
    limit: Option<usize>,
}

fn show(incident: Incident) -> wire::IncidentView {
    wire::IncidentView {
        open: incident.is_open(),
        recorded: !incident.is_unrecorded(),
        id: incident.id,
        store: incident.store,
        noticed_by: incident.noticed_by,
        started_at: rfc3339(incident.began),
        window_ms: incident.window_ms,
        last_success: incident.last_success.map(|good| wire::LastSuccessView {
            at: rfc3339(good.at),
            operation: good.operation,
        }),
        refused_requests: incident.refused,
        failed_attempts: incident.failed,
        last_error: incident.last_error,
        clock: incident.clock.map(|clock| wire::ClockView {
            gateway: clock.gateway,
            ahead_ms: clock.ahead_ms,
        }),
        not_reproduced: incident
            .not_reproduced
            .map(|found| wire::NotReproducedView {
                policy: found.policy,
                version: found.version,
                decision_id: found.decision,
                recorded: found.recorded,
                evaluated: found.evaluated,
                verdicts: found.verdicts,
            }),
        witness: incident.witness.map(|refusal| wire::WitnessRefusalView {
            witness: refusal.witness,
            answer: refusal.answer,
            size: refusal.size,
            root: refusal.root,
            refusals: refusal.refusals,
        }),
        ended: incident.ended.map(|ended| wire::EndedView {
            at: rfc3339(ended.at),
            by: ended.by.as_str().to_owned(),
        }),
        acknowledged: incident.acknowledged.map(|seen| wire::AcknowledgedView {
            at: rfc3339(seen.at),
            by: seen.by.subject.to_string(),
            note: seen.note,
        }),
    }
}

/// `GET /v1/incidents`: those that this gateway has noticed, newest first.
#[utoipa::path(
    get,
    path = "/v1/incidents",
    operation_id = "list_incidents",
    tag = "incidents",
    params(IncidentOptions),
    responses((status = 200, body = wire::IncidentList), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Query(options): Query<IncidentOptions>,
) -> Response {
    allowed(who, Permission::ReadIncidents, async |caller: Caller| {
        let known = options.store.as_deref().map(str::parse::<StoreName>);
        if let Some(Err(error)) = known {
            return Err(Failure::invalid(format!("store: {error}")).into());
        }
        let page = app.incidents.list(&IncidentQuery {
            store: options.store,
            open: options.open,
            after: options.after,
            limit: options.limit.unwrap_or(100),
        })?;
        let body = wire::IncidentList {
            gateway: app.incidents.gateway().to_owned(),
            incidents: page.incidents.into_iter().map(show).collect(),
            next: page.next,
        };
        Ok(answer(StatusCode::OK, &caller.request_id, &body))
    })
    .await
}

/// `GET /v1/incidents/{incident}`.
#[utoipa::path(
    get,
    path = "/v1/incidents/{incident}",
    operation_id = "get_incident",
    tag = "incidents",
    params(("incident" = String, Path, description = "Id of the incident")),
    responses((status = 200, body = wire::IncidentView), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Path(id): Path<String>,
) -> Response {
    allowed(who, Permission::ReadIncidents, async |caller: Caller| {
        let incident = app.incidents.get(&id)?;
        Ok(answer(StatusCode::OK, &caller.request_id, &show(incident)))
    })
    .await
}

/// `POST /v1/incidents/{incident}:acknowledge`: an operator has seen it. Where the configuration
/// demands it, safe mode does not end before.
#[utoipa::path(
    post,
    path = "/v1/incidents/{incident}:acknowledge",
    operation_id = "acknowledge_incident",
    tag = "incidents",
    params(("incident" = String, Path, description = "Id of the incident")),
    request_body = wire::AcknowledgeRequest,
    responses((status = 200, body = wire::IncidentView), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn acknowledge(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Path(id): Path<String>,
    body: RawJson,
) -> Response {
    allowed(
        who,
        Permission::AcknowledgeIncidents,
        async |caller: Caller| {
            let not_found = || Failure::new(FailureKind::NotFound, "there is no such path");
            let id = id.strip_suffix(ACKNOWLEDGE).ok_or_else(not_found)?;
            let wire::AcknowledgeRequest { note } = body.parse()?;
            let now = app.clock.wall();
            let incidents = &app.incidents;
            let incident = incidents.acknowledge(&caller, id, note, now).await?;
            Ok(answer(StatusCode::OK, &caller.request_id, &show(incident)))
        },
    )
    .await
}
