//! The verbs of a namespace: it is moved to another store, and one of its revisions is restored.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use leasehold_backend_api::Effect;
use leasehold_core::authorization::Permission;
use leasehold_core::caller::Caller;
use leasehold_core::failure::Failure;
use leasehold_core::failure::FailureKind;
use leasehold_domain::NamespaceName;
use leasehold_wire::v1::Problem;
use leasehold_wire::v1::namespaces as wire;
use leasehold_wire::v1::revisions::RestoreRequest;

use super::show_namespace;
use super::show_written;
use crate::admin::allowed;
use crate::extract;
use crate::extract::Authenticated;
use crate::extract::Path;
use crate::extract::RawJson;
use crate::extract::answer;
use crate::services::App;

/// `POST /v1/namespaces/{ns}:…`.
pub(crate) async fn post(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Path(path): Path<String>,
    body: RawJson,
) -> Response {
    allowed(who, Permission::ChangeNamespaces, async |caller: Caller| {
        let (name, verb) = path.rsplit_once(':').unwrap_or((&*path, ""));
        let name = || extract::namespace(name);
        let shown = match verb {
            "move" => {
                let wire::MoveRequest { to } = body.parse()?;
                Box::pin(moved(&app, &caller, name()?, &to)).await?
            }
            "restore" => {
                let RestoreRequest { revision, reason } = body.parse()?;
                let (governance, name, why) = (&app.governance, name()?, reason.as_deref());
                let restoring = governance.restore_namespace(&caller, &name, revision, why);
                show_written(Box::pin(restoring).await?)
            }
            _ => {
                let message = "a namespace has the verbs move and restore only";
                return Err(Failure::new(FailureKind::NotFound, message).into());
            }
        };
        Ok(answer(StatusCode::OK, &caller.request_id, &shown))
    })
    .await
}

async fn moved(
    app: &Arc<App>,
    caller: &Caller,
    name: NamespaceName,
    to: &str,
) -> Result<wire::Namespace, Failure> {
    let to = extract::store(app, to)?;
    // Not cut off by a client that leaves: a namespace on its way serves nobody.
    let (moving, asker) = (app.clone(), caller.clone());
    let moved = tokio::spawn(async move { moving.mover.run(&asker, &name, &to).await });
    // A mover that panicked may have begun.
    let stored = moved.await.map_err(|error| Failure {
        effect: Effect::Unknown,
        ..Failure::internal(error.to_string())
    })??;
    Ok(show_namespace(stored))
}

/// `POST /v1/namespaces/{ns}:move`. Asked again after it was cut off, it goes on.
///
/// Asked for the store that the namespace is about to leave, it turns back.
#[utoipa::path(
    post,
    path = "/v1/namespaces/{ns}:move",
    operation_id = "move_namespace",
    tag = "namespaces",
    params(("ns" = String, Path, description = "Namespace")),
    request_body = wire::MoveRequest,
    responses((status = 200, body = wire::Namespace), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
#[expect(dead_code, reason = "describes a verb")]
pub(crate) fn move_namespace() {}

/// `POST /v1/namespaces/{ns}:restore`: gives a namespace the settings that one of its revisions says.
///
/// It passes the same checks and approvals as a PUT, also if the namespace was deleted. Its locks stay
/// in the store that has them.
#[utoipa::path(
    post,
    path = "/v1/namespaces/{ns}:restore",
    operation_id = "restore_namespace",
    tag = "namespaces",
    params(("ns" = String, Path, description = "Namespace")),
    request_body = RestoreRequest,
    responses((status = 200, body = wire::Namespace), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
#[expect(dead_code, reason = "describes a verb")]
pub(crate) fn restore() {}
