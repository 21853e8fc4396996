//! What a change of a binding would touch.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use leasehold_core::authorization::Permission;
use leasehold_core::authorization::sees;
use leasehold_core::caller::Caller;
use leasehold_core::failure::Failure;
use leasehold_core::governance::BindingCandidate;
use leasehold_core::governance::document::BindingDocument;
use leasehold_core::pipeline::TouchedLocks;
use leasehold_core::replay::PreviewRange;
use leasehold_core::replay::PreviewReport;
use leasehold_core::replay::ReplayDifference;
use leasehold_domain::Cursor;
use leasehold_domain::StoreName;
use leasehold_domain::WallMillis;
use leasehold_domain::limits::PREVIEW_SINCE_MS_DEFAULT;
use leasehold_wire::v1::Problem;
use leasehold_wire::v1::bindings as binding_wire;
use leasehold_wire::v1::preview as wire;

use super::document;
use super::names;
use super::show_evaluation_change;
use crate::admin::allowed;
use crate::extract::Authenticated;
use crate::extract::Json;
use crate::extract::answer;
use crate::replay::named;
use crate::replay::show_difference;
use crate::revisions::show_change;
use crate::services::App;

/// `POST /v1/bindings:preview`: what creating, replacing or deleting a binding would touch. Changes
/// nothing.
///
/// Locks are those of the store now, in the first part only. Decisions are those that its ledger has,
/// a part at a time.
#[utoipa::path(
    post,
    path = "/v1/bindings:preview",
    operation_id = "preview_binding",
    tag = "bindings",
    request_body = wire::PreviewRequest,
    responses((status = 200, body = wire::BindingPreview), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn preview(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Json(body): Json<wire::PreviewRequest>,
) -> Response {
    allowed(who, Permission::PreviewBindings, async |caller: Caller| {
        let store = match &body.store {
            Some(name) => crate::extract::store(&app, name)?,
            None => StoreName::home(),
        };
        let now = app.clock.wall().0;
        let from = match (body.since_ms, body.from_ms) {
            (None, None) => now.saturating_sub(PREVIEW_SINCE_MS_DEFAULT),
            (None, Some(from)) => from,
            (Some(since), None) => now.saturating_sub(since),
            (Some(_), Some(_)) => {
                return Err(Failure::invalid("from_ms: not together with since_ms").into());
            }
        };
        let range = PreviewRange {
            from: Some(WallMillis(from)),
            after: body.after.map(Cursor),
            to: body.to.map(Cursor),
        };
        let (name, after) = asked(body.binding, body.delete)?;
        let candidate = Box::pin(app.governance.binding_candidate(&name, after)).await?;
        let candidate = Arc::new(candidate);
        let locks = match range.after {
            None => Some(app.pipeline.touched_locks(&candidate, &store).await?),
            Some(_) => None,
        };
        app.stores.get(&store)?;
        let ledgers = app.stores.ledgers([&store]);
        let report = Box::pin(app.replays.preview(&ledgers, &candidate, range)).await?;
        let shown = wire::BindingPreview {
            locks: locks.map(show_locks),
            from_ms: from,
            ..show(&app, &caller, (&candidate, report))
        };
        Ok(answer(StatusCode::OK, &caller.request_id, &shown))
    })
    .await
}

/// Returns the name of the binding and what it would be made, `None` for a deletion.
fn asked(
    binding: Option<binding_wire::BindingRequest>,
    delete: Option<String>,
) -> Result<(String, Option<BindingDocument>), Failure> {
    match (binding, delete) {
        (Some(binding), None) => {
            let name = binding.name.clone();
            let name = name.ok_or_else(|| Failure::invalid("binding.name: is missing"))?;
            let after = document(&name, binding)?;
            Ok((name, Some(after)))
        }
        (None, Some(name)) => Ok((name, None)),
        (None, None) => Err(Failure::invalid(
            "binding: is missing; or name one in delete",
        )),
        (Some(_), Some(_)) => Err(Failure::invalid("delete: not together with binding")),
    }
}

/// Shows a report, with the locks that the caller can see.
fn show(
    app: &App,
    caller: &Caller,
    (candidate, report): (&BindingCandidate, PreviewReport),
) -> wire::BindingPreview {
    let plan = app.governance.plan();
    let is_seen = |difference: &ReplayDifference| {
        let namespace = plan.namespace(&difference.lock.namespace);
        namespace.is_some_and(|namespace| sees(caller, namespace.document))
    };
    let groups = report.groups.into_iter();
    let unknown = report.unknown.into_iter();
    let before = candidate.before.as_ref();
    let stores = app.pipeline.touched_stores(candidate);
    wire::BindingPreview {
        name: candidate.name.to_string(),
        revision: before.map(|before| before.revision),
        changes: candidate.changes.iter().cloned().map(show_change).collect(),
        policies_before: versions(before.map(|before| &before.document)),
        policies_after: versions(candidate.after.as_ref()),
        evaluated_operations: names(&candidate.judges),
        evaluation_changes: candidate
            .evaluation_changes
            .iter()
            .cloned()
            .map(show_evaluation_change)
            .collect(),
        undeclared_roles: candidate.undeclared_roles.iter().cloned().collect(),
        warnings: candidate.warnings.clone(),
        stores: stores.iter().map(ToString::to_string).collect(),
        locks: None,
        decisions: report.decisions,
        agreed: report.agreed,
        differences: named(&report.differences),
        unknown: unknown
            .map(|(reason, count)| (reason.to_owned(), count))
            .collect(),
        groups: groups
            .map(|((operation, team), group)| wire::PreviewGroup {
                operation: operation.to_owned(),
                team,
                decisions: group.decisions,
                differences: named(&group.differences),
                unknown: group.unknown,
            })
            .collect(),
        ungrouped: report.ungrouped,
        first: report
            .first
            .into_iter()
            .filter(is_seen)
            .map(show_difference)
            .collect(),
        from_ms: 0,
        complete_to: report.complete_to.0,
        next_cursor: report.next.map(|cursor| cursor.0),
    }
}

fn versions(binding: Option<&BindingDocument>) -> Vec<String> {
    let policies = binding.into_iter().flat_map(|binding| &binding.policies);
    policies
        .map(|bound| format!("{}@{}", bound.policy, bound.version))
        .collect()
}

fn show_locks(touched: TouchedLocks) -> wire::TouchedLocks {
    wire::TouchedLocks {
        locks: touched.locks,
        leases: touched.leases,
        waiters: touched.waiters,
        teams: touched
            .teams
            .into_iter()
            .map(|(team, owners)| wire::TouchedTeam { team, owners })
            .collect(),
        first: touched.first,
        more: touched.more,
    }
}
