//! What people check without trusting us: checkpoints, proofs, exports.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header;
use axum::response::IntoResponse as _;
use axum::response::Response;
use leasehold_core::authorization::Permission;
use leasehold_core::caller::Caller;
use leasehold_core::failure::Failure;
use leasehold_core::stores::OpenStore;
use leasehold_domain::Cursor;
use leasehold_wire::v1::Problem;
use leasehold_wire::v1::audit as wire;
use serde::Deserialize;

use crate::admin::allowed;
use crate::extract::Authenticated;
use crate::extract::Query;
use crate::extract::answer;
use crate::services::App;

/// A file that a client keeps as it is.
fn file(kind: &'static str, text: String) -> Response {
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

const TEXT: &str = "text/plain; charset=utf-8";
const JSON_LINES: &str = "application/jsonl";

/// The store with this name; home if none is given.
pub(super) fn store<'a>(
    app: &'a App,
    name: Option<&String>,
) -> Result<&'a Arc<OpenStore>, Failure> {
    match name {
        Some(name) => app.stores.get(&crate::extract::store(app, name)?),
        None => Ok(app.stores.home()),
    }
}

/// Of which store.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct StoreOptions {
    /// The ledger of which store; `home` if absent.
    pub(super) store: Option<String>,
}

/// `GET /v1/audit/log-key`: the name of the ledger's log, and the public keys by which its checkpoints
/// are verified.
#[utoipa::path(
    get,
    path = "/v1/audit/log-key",
    operation_id = "get_log_key",
    tag = "audit",
    params(StoreOptions),
    responses((status = 200, body = wire::LogKeyResponse), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn log_key(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Query(options): Query<StoreOptions>,
) -> Response {
    allowed(who, Permission::ReadLedger, async |caller: Caller| {
        let store = store(&app, options.store.as_ref())?;
        let body = wire::LogKeyResponse {
            store: store.name.to_string(),
            origin: app.evidence.origin(store)?,
            keys: app.evidence.public_keys(store)?,
        };
        Ok(answer(StatusCode::OK, &caller.request_id, &body))
    })
    .await
}

/// Options of `GET /v1/audit/checkpoint`.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CheckpointOptions {
    /// The ledger of which store; `home` if absent.
    store: Option<String>,
    /// The newest one that witnesses have cosigned, which may lack the newest events.
    #[serde(default)]
    cosigned: bool,
}

/// `GET /v1/audit/checkpoint`: a signed checkpoint (`c2sp.org/tlog-checkpoint`) of everything that was
/// answered before.
#[utoipa::path(
    get,
    path = "/v1/audit/checkpoint",
    operation_id = "get_checkpoint",
    tag = "audit",
    params(CheckpointOptions),
    responses((status = 200, body = String, content_type = "text/plain"), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn checkpoint(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Query(options): Query<CheckpointOptions>,
) -> Response {
    allowed(who, Permission::ReadLedger, async |_: Caller| {
        let store = store(&app, options.store.as_ref())?;
        let note = match options.cosigned {
            true => app.evidence.cosigned_checkpoint(store)?,
            false => app.evidence.checkpoint(store).await?,
        };
        Ok(file(TEXT, note))
    })
    .await
}

/// Options of `GET /v1/audit/proof`.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ProofOptions {
    /// Of the event with this cursor.
    event: u64,
    /// In the ledger of which store; `home` if absent.
    store: Option<String>,
}

/// `GET /v1/audit/proof`: that an event is in the ledger, as a `.tlog-proof` file
/// (`c2sp.org/tlog-proof@v1`) that stands alone: its extra data are the event's bytes.
#[utoipa::path(
    get,
    path = "/v1/audit/proof",
    operation_id = "get_proof",
    tag = "audit",
    params(ProofOptions),
    responses((status = 200, body = String, content_type = "text/plain"), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn proof(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Query(options): Query<ProofOptions>,
) -> Response {
    allowed(who, Permission::ReadLedger, async |_: Caller| {
        let store = store(&app, options.store.as_ref())?;
        let proof = app.evidence.inclusion(store, Cursor(options.event));
        Ok(file(TEXT, proof.await?.to_text()))
    })
    .await
}

/// Options of `GET /v1/audit/consistency`.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ConsistencyOptions {
    /// How many events the log had at the earlier checkpoint.
    from_size: u64,
    /// Of the ledger of which store; `home` if absent.
    store: Option<String>,
}

/// `GET /v1/audit/consistency`: that the log only grew since an earlier checkpoint. One line of JSON,
/// to be kept as it is.
#[utoipa::path(
    get,
    path = "/v1/audit/consistency",
    operation_id = "get_consistency_proof",
    tag = "audit",
    params(ConsistencyOptions),
    responses((status = 200, body = String, content_type = "text/plain"), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn consistency(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Query(options): Query<ConsistencyOptions>,
) -> Response {
    allowed(who, Permission::ReadLedger, async |_: Caller| {
        let store = store(&app, options.store.as_ref())?;
        let proof = app.evidence.consistency(store, options.from_size);
        Ok(file(TEXT, proof.await?.to_text()))
    })
    .await
}

/// Options of `GET /v1/audit/export`.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExportOptions {
    /// The cursor of the first event; the ledger's first if absent.
    first: Option<u64>,
    /// The cursor of the last event; the ledger's last if absent.
    last: Option<u64>,
    /// The ledger of which store; `home` if absent.
    store: Option<String>,
}

/// `GET /v1/audit/export`: consecutive events in JSON Lines, with what leads from them to a signed
/// checkpoint. A stream that is cut off is no export, and says so when it is verified.
#[utoipa::path(
    get,
    path = "/v1/audit/export",
    operation_id = "export_ledger",
    tag = "audit",
    params(ExportOptions),
    responses((status = 200, body = String, content_type = "application/jsonl"), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn export(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Query(options): Query<ExportOptions>,
) -> Response {
    allowed(who, Permission::ReadLedger, async |_: Caller| {
        let store = store(&app, options.store.as_ref())?;
        let range = (options.first.map(Cursor), options.last.map(Cursor));
        let lines = app.evidence.export(store, range).await?;
        let kind = [(header::CONTENT_TYPE, JSON_LINES)];
        Ok((kind, Body::from_stream(lines)).into_response())
    })
    .await
}
