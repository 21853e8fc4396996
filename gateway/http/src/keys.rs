//! API keys: created, listed, rotated and revoked by administrators.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use leasehold_core::authentication::KeyDocument;
use leasehold_core::authentication::KeyScope;
use leasehold_core::authentication::NewKey;
use leasehold_core::authorization::Permission;
use leasehold_core::caller::Caller;
use leasehold_core::failure::Failure;
use leasehold_core::failure::FailureKind;
use leasehold_core::field_limits;
use leasehold_core::governance::Stored;
use leasehold_core::telemetry::rfc3339;
use leasehold_domain::Role;
use leasehold_domain::RoleSet;
use leasehold_domain::Subject;
use leasehold_domain::limits::KEY_OVERLAP_MS_DEFAULT;
use leasehold_domain::limits::KEY_SCOPE_NAMES_MAX;
use leasehold_wire::v1::Problem;
use leasehold_wire::v1::keys as wire;
use serde::Deserialize;
use utoipa::IntoParams;

use super::admin::allowed;
use super::extract::Authenticated;
use super::extract::Json;
use super::extract::Path;
use super::extract::Query;
use super::extract::RawJson;
use super::extract::answer;
use crate::services::App;

/// The verb at the end of a path.
const ROTATE: &str = ":rotate";

fn show_key(document: &KeyDocument, last_used_on: Option<String>) -> wire::KeyView {
    wire::KeyView {
        id: document.id.clone(),
        subject: document.subject.to_string(),
        team: document.team.as_ref().map(ToString::to_string),
        roles: document.roles.clone(),
        description: document.description.clone(),
        created_at: document.created.clone(),
        revoked_at: document.revoked.clone(),
        expires_at: document.expires.map(rfc3339),
        created_by: document.created_by.as_ref().map(ToString::to_string),
        scope: document.scope.as_ref().map(show_scope),
        last_used_on,
    }
}

fn show_scope(scope: &KeyScope) -> wire::KeyScope {
    wire::KeyScope {
        namespaces: scope.namespaces.iter().map(ToString::to_string).collect(),
        teams: scope.teams.iter().map(ToString::to_string).collect(),
    }
}

/// The scope in a body.
fn scope(body: wire::KeyScope) -> Result<KeyScope, Failure> {
    let max = KEY_SCOPE_NAMES_MAX;
    for (what, names) in [("namespaces", &body.namespaces), ("teams", &body.teams)] {
        if names.len() > max {
            let message = format!("scope.{what}: must be at most {max}");
            return Err(Failure::invalid(message));
        }
    }
    let invalid =
        |error: leasehold_domain::InvalidName| Failure::invalid(format!("scope: {error}"));
    let namespaces = body.namespaces.iter().map(|name| name.parse());
    let teams = body.teams.iter().map(|name| name.parse());
    Ok(KeyScope {
        namespaces: namespaces.collect::<Result<_, _>>().map_err(invalid)?,
        teams: teams.collect::<Result<_, _>>().map_err(invalid)?,
    })
}

/// Shows a new key with its secret.
fn show_created(key: &NewKey) -> wire::CreatedKey {
    wire::CreatedKey {
        key: key.reveal(),
        view: show_key(&key.document, None),
    }
}

/// `POST /v1/keys`.
#[utoipa::path(
    post,
    path = "/v1/keys",
    tag = "keys",
    request_body = wire::CreateKeyRequest,
    responses((status = 201, body = wire::CreatedKey), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn create_key(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Json(body): Json<wire::CreateKeyRequest>,
) -> Response {
    allowed(who, Permission::AdministerKeys, async |caller: Caller| {
        let invalid = |error: leasehold_domain::InvalidName| Failure::invalid(error.to_string());
        let role = |name: &String| {
            Role::from_name(name)
                .ok_or_else(|| Failure::invalid(format!("roles: there is no {name:?}")))
        };
        let roles = body
            .roles
            .iter()
            .map(role)
            .collect::<Result<RoleSet, _>>()?;
        let subject = Subject::of_caller(&body.subject).map_err(invalid)?;
        let team = body
            .team
            .map(|team| team.parse().map_err(invalid))
            .transpose()?;
        field_limits::check_description(&body.description)?;
        field_limits::check_key_lifetime(body.expires_in_ms)?;
        let now = app.clock.wall();
        let key = NewKey::draw(subject, team, roles, &body.description, &rfc3339(now))
            .created_by(&caller.principal.subject)
            .scoped(body.scope.map(scope).transpose()?)
            .expiring(body.expires_in_ms, now);
        app.governance.put_key(&caller, &key.document).await?;
        let created = show_created(&key);
        Ok(answer(StatusCode::CREATED, &caller.request_id, &created))
    })
    .await
}

/// `GET /v1/keys`.
#[utoipa::path(
    get,
    path = "/v1/keys",
    tag = "keys",
    responses((status = 200, body = wire::KeyList), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn list_keys(State(app): State<Arc<App>>, who: Authenticated) -> Response {
    allowed(who, Permission::AdministerKeys, async |caller: Caller| {
        let rows = app.governance.keys().await?;
        let mut uses = app.governance.key_uses().await?;
        let shown = rows.iter().map(|Stored { document, .. }| {
            let last_used_on = uses.remove(document.id.as_str());
            show_key(document, last_used_on)
        });
        let keys = shown.collect();
        Ok(answer(
            StatusCode::OK,
            &caller.request_id,
            &wire::KeyList { keys },
        ))
    })
    .await
}

/// Options of a revocation.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RevokeKeyOptions {
    /// Revoke also the last key of an administrator.
    force: Option<bool>,
}

/// `DELETE /v1/keys/{id}`.
#[utoipa::path(
    delete,
    path = "/v1/keys/{id}",
    tag = "keys",
    params(("id" = String, Path, description = "Id of the key"), RevokeKeyOptions),
    responses((status = 200, body = wire::KeyView), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn revoke_key(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Path(id): Path<String>,
    Query(options): Query<RevokeKeyOptions>,
) -> Response {
    allowed(who, Permission::AdministerKeys, async |caller: Caller| {
        let revoking = app
            .governance
            .revoke_key(&caller, &id, options.force == Some(true));
        let document = revoking.await?;
        // It is revoked, whether or not its last use can be read.
        let uses = app.governance.key_uses().await;
        let last_used_on = uses.ok().and_then(|mut uses| uses.remove(id.as_str()));
        let shown = show_key(&document, last_used_on);
        Ok(answer(StatusCode::OK, &caller.request_id, &shown))
    })
    .await
}

/// `POST /v1/keys/{id}:rotate`: creates a key that replaces this one, which expires after the
/// overlap.
#[utoipa::path(
    post,
    path = "/v1/keys/{id}:rotate",
    tag = "keys",
    params(("id" = String, Path, description = "Id of the key")),
    request_body = wire::RotateKeyRequest,
    responses((status = 201, body = wire::CreatedKey), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn rotate_key(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Path(id): Path<String>,
    body: RawJson,
) -> Response {
    allowed(who, Permission::AdministerKeys, async |caller: Caller| {
        let verb = || Failure::new(FailureKind::NotFound, "a key has the verb rotate only");
        let id = id.strip_suffix(ROTATE).ok_or_else(verb)?;
        let wire::RotateKeyRequest { overlap_ms } = body.parse()?;
        let overlap_ms = overlap_ms.unwrap_or(KEY_OVERLAP_MS_DEFAULT);
        field_limits::check_key_overlap(overlap_ms)?;
        let key = app.governance.rotate_key(&caller, id, overlap_ms).await?;
        let created = show_created(&key);
        Ok(answer(StatusCode::CREATED, &caller.request_id, &created))
    })
    .await
}
