//! Replay.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use leasehold_core::authorization::Permission;
use leasehold_core::authorization::sees;
use leasehold_core::caller::Caller;
use leasehold_core::failure::Failure;
use leasehold_core::replay::ReplayDifference;
use leasehold_core::replay::ReplayReport;
use leasehold_core::replay::ReplayRequest;
use leasehold_core::rollouts::Difference;
use leasehold_core::telemetry::rfc3339;
use leasehold_domain::Cursor;
use leasehold_domain::LockRef;
use leasehold_domain::NamespaceName;
use leasehold_domain::StoreName;
use leasehold_domain::WallMillis;
use leasehold_wire::v1::Problem;
use leasehold_wire::v1::replay as wire;

use super::admin::allowed;
use super::extract::Authenticated;
use super::extract::Json;
use super::extract::answer;
use crate::services::App;

/// `POST /v1/policies:replay`: evaluates recorded decisions again, a part at a time.
#[utoipa::path(
    post,
    path = "/v1/policies:replay",
    operation_id = "replay_policy",
    tag = "policies",
    request_body = wire::ReplayRequest,
    responses((status = 200, body = wire::ReplayReport), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn replay(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Json(body): Json<wire::ReplayRequest>,
) -> Response {
    allowed(who, Permission::ReplayDecisions, async |caller: Caller| {
        let store = match &body.store {
            Some(name) => super::extract::store(&app, name)?,
            None => StoreName::home(),
        };
        for (member, name) in [("binding", &body.binding), ("namespace", &body.namespace)] {
            // Both have names of the same form.
            let parsed = name.as_deref().map(str::parse::<NamespaceName>).transpose();
            parsed.map_err(|error| Failure::invalid(format!("{member}: {error}")))?;
        }
        let from = match (body.since_ms, body.from_ms) {
            (None, from) => from,
            (Some(since), None) => Some(app.clock.wall().0.saturating_sub(since)),
            (Some(_), Some(_)) => {
                return Err(Failure::invalid("from_ms: not together with since_ms").into());
            }
        };
        let digest = body.digest.as_deref().map(str::parse).transpose();
        let digest = digest.map_err(|_| Failure::invalid("digest: 64 hexadecimal digits"))?;
        let request = ReplayRequest {
            policy: body.policy,
            version: body.version,
            config: body.config,
            binding: body.binding,
            namespace: body.namespace,
            from: from.map(WallMillis),
            until: None,
            after: body.after.map(Cursor),
            to: body.to.map(Cursor),
            digest,
        };
        app.stores.get(&store)?;
        let ledgers = app.stores.ledgers([&store]);
        let report = app.replays.run(&ledgers, &request).await?;
        let body = wire::ReplayReport {
            from_ms: from,
            ..show(&app, &caller, report)
        };
        Ok(answer(StatusCode::OK, &caller.request_id, &body))
    })
    .await
}

/// Shows a report, with the locks that the caller can see.
fn show(app: &App, caller: &Caller, report: ReplayReport) -> wire::ReplayReport {
    let plan = app.governance.plan();
    let is_seen = |lock: &LockRef| {
        let namespace = plan.namespace(&lock.namespace);
        namespace.is_some_and(|namespace| sees(caller, namespace.document))
    };
    let groups = report.groups.into_iter();
    let groups = groups.filter(|((_, lock), _)| is_seen(lock));
    let first = report.first.into_iter();
    let unknown = report.unknown.into_iter();
    wire::ReplayReport {
        decisions: report.decisions,
        agreed: report.agreed,
        differences: named(&report.differences),
        unknown: unknown
            .map(|(reason, count)| (reason.to_owned(), count))
            .collect(),
        reproduced: report.reproduced,
        not_reproduced: report.not_reproduced,
        groups: groups
            .map(|((team, lock), differences)| wire::ReplayGroup {
                team,
                lock: lock.to_string(),
                differences: named(&differences),
            })
            .collect(),
        first: first
            .filter(|difference| is_seen(&difference.lock))
            .map(show_difference)
            .collect(),
        prevented_holds: report.prevented_holds,
        digest: report.digest.to_string(),
        from_ms: None,
        complete_to: report.complete_to.0,
        next_cursor: report.next.map(|cursor| cursor.0),
    }
}

pub(crate) fn named(differences: &BTreeMap<Difference, u64>) -> BTreeMap<String, u64> {
    let named = differences.iter();
    named
        .map(|(kind, count)| (kind.as_str().to_owned(), *count))
        .collect()
}

pub(crate) fn show_difference(difference: ReplayDifference) -> wire::ReplayDifference {
    wire::ReplayDifference {
        kind: difference.kind.as_str().to_owned(),
        cursor: difference.cursor.0,
        at: rfc3339(difference.at),
        operation: difference.operation.to_owned(),
        lock: difference.lock.to_string(),
        subject: difference.subject,
        team: difference.team,
        fencing_token: difference.token.map(|token| token.0),
        recorded: difference.recorded,
        candidate: difference.candidate,
    }
}
