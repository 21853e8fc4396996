//! Namespaces: for administrators.

pub(crate) mod history;
pub(crate) mod verbs;

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use leasehold_core::authorization::Permission;
use leasehold_core::authorization::sees;
use leasehold_core::caller::Caller;
use leasehold_core::failure::Failure;
use leasehold_core::governance::Stored;
use leasehold_core::governance::WrittenNamespace;
use leasehold_core::governance::document::DefaultDecision;
use leasehold_core::governance::document::NamespaceCaps;
use leasehold_core::governance::document::NamespaceDocument;
use leasehold_core::governance::document::NamespaceDraft;
use leasehold_core::governance::document::Visibility;
use leasehold_domain::Precondition;
use leasehold_domain::TeamName;
use leasehold_domain::limits;
use leasehold_wire::v1::Problem;
use leasehold_wire::v1::namespaces as wire;
use serde::Deserialize;

use super::admin::allowed;
use super::admin::exists;
use super::admin::new_name;
use super::admin::precondition;
use super::extract::Authenticated;
use super::extract::Json;
use super::extract::Path;
use super::extract::Query;
use super::extract::answer;
use super::extract::namespace;
use super::problem::respond;
use crate::services::App;

fn show_namespace(stored: Stored<NamespaceDocument>) -> wire::Namespace {
    let default_decision = show_default(stored.document.default_decision);
    let visible_to = show_visibility(&stored.document.visibility);
    wire::Namespace {
        name: stored.document.name.to_string(),
        team: stored.document.team.map(|team| team.to_string()),
        visible_to,
        description: stored.document.description,
        default_decision: default_decision.to_owned(),
        store: stored.document.store.to_string(),
        caps: show_caps(stored.document.caps),
        moving_to: stored.document.travels.to.map(|to| to.to_string()),
        earlier_stores: stored
            .document
            .travels
            .earlier
            .iter()
            .map(ToString::to_string)
            .collect(),
        revision: stored.revision,
        number: None,
    }
}

/// Shows a namespace as the answer to its write.
fn show_written(written: WrittenNamespace) -> wire::Namespace {
    wire::Namespace {
        number: Some(written.number),
        ..show_namespace(written.stored)
    }
}

fn show_caps(caps: NamespaceCaps) -> Option<wire::NamespaceCaps> {
    let NamespaceCaps {
        locks,
        waiters,
        ledger_bytes,
    } = caps;
    (!caps.is_none()).then_some(wire::NamespaceCaps {
        locks,
        waiters,
        ledger_bytes,
    })
}

fn show_default(decision: DefaultDecision) -> &'static str {
    match decision {
        DefaultDecision::Deny => "deny",
        DefaultDecision::Allow => "allow",
    }
}

fn show_visibility(visibility: &Visibility) -> Vec<String> {
    match visibility {
        Visibility::Team => Vec::new(),
        Visibility::Everyone => vec![EVERYONE.to_owned()],
        Visibility::Teams(teams) => teams.iter().map(ToString::to_string).collect(),
    }
}

/// Stands for all teams.
const EVERYONE: &str = "*";

/// Who can see a namespace, as a body says it.
fn visibility(teams: &[String]) -> Result<Visibility, Failure> {
    let max = limits::VISIBLE_TO_TEAMS_MAX;
    if teams.len() > max {
        let message = format!("visible_to: must be at most {max} teams");
        return Err(Failure::invalid(message));
    }
    let parse = |team: &String| {
        let invalid = |error| Failure::invalid(format!("visible_to: {error}"));
        team.parse::<TeamName>().map_err(invalid)
    };
    let named = teams.iter().filter(|team| *team != EVERYONE);
    let named = named.map(parse).collect::<Result<BTreeSet<_>, _>>()?;
    Ok(match teams {
        [] => Visibility::Team,
        _ if teams.iter().any(|team| team == EVERYONE) => Visibility::Everyone,
        _ => Visibility::Teams(named),
    })
}

fn namespace_draft(name: &str, body: wire::NamespaceRequest) -> Result<NamespaceDraft, Failure> {
    if body.name.as_deref().is_some_and(|given| given != name) {
        return Err(Failure::invalid("name: path and body differ"));
    }
    let invalid = |error: leasehold_domain::InvalidName| Failure::invalid(error.to_string());
    Ok(NamespaceDraft {
        name: namespace(name)?,
        team: body
            .team
            .map(|team| team.parse().map_err(invalid))
            .transpose()?,
        visibility: visibility(&body.visible_to)?,
        description: body.description,
        default_decision: match body.default_decision.as_deref() {
            None | Some("deny") => DefaultDecision::Deny,
            Some("allow") => DefaultDecision::Allow,
            Some(_) => return Err(Failure::invalid("default_decision: deny or allow")),
        },
        store: body
            .store
            .map(|store| store.parse().map_err(invalid))
            .transpose()?,
        caps: body.caps.map(|caps| NamespaceCaps {
            locks: caps.locks,
            waiters: caps.waiters,
            ledger_bytes: caps.ledger_bytes,
        }),
    })
}

/// `POST /v1/namespaces`.
#[utoipa::path(
    post,
    path = "/v1/namespaces",
    tag = "namespaces",
    request_body = wire::NamespaceRequest,
    responses((status = 201, body = wire::Namespace), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn create_namespace(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Json(body): Json<wire::NamespaceRequest>,
) -> Response {
    allowed(who, Permission::ChangeNamespaces, async |caller: Caller| {
        let name = new_name(body.name.as_ref(), body.revision)?;
        let reason = body.reason.clone();
        let draft = namespace_draft(&name, body)?;
        let written = app
            .governance
            .put_namespace_for(&caller, &draft, Precondition::Absent, reason.as_deref())
            .await
            .map_err(exists)?;
        let shown = show_written(written);
        Ok(answer(StatusCode::CREATED, &caller.request_id, &shown))
    })
    .await
}

/// `PUT /v1/namespaces/{ns}`.
#[utoipa::path(
    put,
    path = "/v1/namespaces/{ns}",
    tag = "namespaces",
    params(("ns" = String, Path, description = "Namespace")),
    request_body = wire::NamespaceRequest,
    responses((status = 200, body = wire::Namespace), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn put_namespace(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Path(name): Path<String>,
    Json(body): Json<wire::NamespaceRequest>,
) -> Response {
    allowed(who, Permission::ChangeNamespaces, async |caller: Caller| {
        let condition = precondition(body.revision);
        let reason = body.reason.clone();
        let draft = namespace_draft(&name, body)?;
        let written = app
            .governance
            .put_namespace_for(&caller, &draft, condition, reason.as_deref())
            .await?;
        let shown = show_written(written);
        Ok(answer(StatusCode::OK, &caller.request_id, &shown))
    })
    .await
}

/// `GET /v1/namespaces`.
#[utoipa::path(
    get,
    path = "/v1/namespaces",
    tag = "namespaces",
    responses((status = 200, body = wire::NamespaceList), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn list_namespaces(State(app): State<Arc<App>>, who: Authenticated) -> Response {
    let caller = who.by_header();
    match app.governance.namespaces().await {
        Ok(rows) => {
            let seen = rows.into_iter().filter(|row| sees(&caller, &row.document));
            let namespaces = seen.map(show_namespace).collect();
            let body = wire::NamespaceList { namespaces };
            answer(StatusCode::OK, &caller.request_id, &body)
        }
        Err(failure) => respond(failure, &caller.request_id),
    }
}

/// `GET /v1/namespaces/{ns}`.
#[utoipa::path(
    get,
    path = "/v1/namespaces/{ns}",
    tag = "namespaces",
    params(("ns" = String, Path, description = "Namespace")),
    responses((status = 200, body = wire::Namespace), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn get_namespace(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Path(name): Path<String>,
) -> Response {
    let caller = who.by_header();
    let found = async {
        let name = namespace(&name)?;
        let found = app.governance.find_namespace(&name).await?;
        let seen = found.filter(|stored| sees(&caller, &stored.document));
        match seen {
            Some(stored) => Ok(stored),
            None => Err(app.authorization.unseen(&caller, "get", &name).await),
        }
    };
    match found.await {
        Ok(stored) => answer(StatusCode::OK, &caller.request_id, &show_namespace(stored)),
        Err(failure) => respond(failure, &caller.request_id),
    }
}

/// Options of `DELETE /v1/namespaces/{ns}`.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeleteOptions {
    /// Delete it also if locks are held, if requests wait, or if bindings name it.
    #[serde(default)]
    force: bool,
    /// Why; the revision and the ledger keep it.
    reason: Option<String>,
    /// Delete it only if it has this revision.
    revision: Option<u64>,
}

/// `DELETE /v1/namespaces/{ns}`. Its revisions stay, and can be restored.
#[utoipa::path(
    delete,
    path = "/v1/namespaces/{ns}",
    tag = "namespaces",
    params(("ns" = String, Path, description = "Namespace"), DeleteOptions),
    responses((status = 200, body = wire::Namespace), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn delete_namespace(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Path(name): Path<String>,
    Query(options): Query<DeleteOptions>,
) -> Response {
    allowed(who, Permission::ChangeNamespaces, async |caller: Caller| {
        let stored = app.governance.namespace(&namespace(&name)?).await?;
        if !options.force {
            app.pipeline.check_unused(&stored.document.name).await?;
        }
        let (governance, reason) = (&app.governance, options.reason.as_deref());
        let (name, condition) = (&stored.document.name, precondition(options.revision));
        let deleted = governance.delete_namespace_for(&caller, name, condition, reason);
        let shown = show_written(deleted.await?);
        Ok(answer(StatusCode::OK, &caller.request_id, &shown))
    })
    .await
}
