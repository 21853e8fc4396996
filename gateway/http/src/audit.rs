//! The ledger's questions.

pub(super) mod evidence;
mod options;

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use leasehold_backend_api::HeldUnder;
use leasehold_backend_api::Hold;
use leasehold_core::authorization::Permission;
use leasehold_core::caller::Caller;
use leasehold_core::failure::Failure;
use leasehold_core::stores::HistoryRow;
use leasehold_core::stores::Ledgers;
use leasehold_core::telemetry::rfc3339;
use leasehold_domain::Cursor;
use leasehold_domain::Effect;
use leasehold_domain::Enforcement;
use leasehold_domain::LockRef;
use leasehold_domain::NamespaceName;
use leasehold_domain::PolicyVerdict;
use leasehold_domain::RolloutChoice;
use leasehold_domain::StoreName;
use leasehold_wire::v1::Problem;
use leasehold_wire::v1::audit as wire;
use serde::Deserialize;
use serde_json::value::RawValue;

use self::options::EventOptions;
pub(super) use self::options::OTHER_OPERATIONS;
pub(super) use self::options::VERDICTS;
use self::options::moment;
use super::admin::allowed;
use super::extract::Authenticated;
use super::extract::Query;
use super::extract::answer;
use super::view::decision_id;
use crate::services::App;

/// Which ledgers tell of a question: that of the named store, or those of every store that has, or
/// had, the namespace, or all.
fn ledgers(
    app: &App,
    store: Option<&String>,
    namespace: Option<&NamespaceName>,
) -> Result<Ledgers, Failure> {
    if let Some(store) = store {
        let name = super::extract::store(app, store)?;
        // Asked by name, it must be there.
        app.stores.get(&name)?;
        return Ok(app.stores.ledgers([&name]));
    }
    let plan = app.governance.plan();
    let namespace = namespace.and_then(|name| plan.namespace(name));
    Ok(match namespace {
        Some(namespace) => app.stores.ledgers(namespace.document.stores()),
        None => app.stores.ledgers(&app.stores.names()),
    })
}

fn parts(app: &App, complete_to: Vec<(StoreName, Cursor)>) -> Vec<wire::LedgerPart> {
    // A ledger that is of no store yet signs nothing, and answers all the same.
    let signed = |store: &StoreName| {
        app.evidence
            .checkpoint_now(app.stores.get(store).ok()?)
            .ok()
    };
    let part = |(store, cursor): (StoreName, Cursor)| wire::LedgerPart {
        store: store.to_string(),
        complete_to: cursor.0,
        checkpoint: signed(&store),
    };
    complete_to.into_iter().map(part).collect()
}

fn names(missing: &[StoreName]) -> Vec<String> {
    missing.iter().map(ToString::to_string).collect()
}

/// `GET /v1/audit/events`.
#[utoipa::path(
    get,
    path = "/v1/audit/events",
    operation_id = "list_events",
    tag = "audit",
    params(EventOptions),
    responses((status = 200, body = wire::EventList), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn events(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Query(options): Query<EventOptions>,
) -> Response {
    allowed(who, Permission::ReadLedger, async |caller: Caller| {
        let ledgers = ledgers(&app, options.store.as_ref(), options.namespace()?.as_ref())?;
        let places = options.cursors.as_deref().map(str::parse).transpose()?;
        let query = options.query()?;
        let one = ledgers.only().is_some();
        if query.after.is_some() && !one {
            let message = "after: several ledgers are asked; name one by store, or give cursors";
            return Err(Failure::invalid(message).into());
        }
        let page = ledgers.query(query, places.unwrap_or_default()).await?;
        let last = page.rows.last().map(|last| last.row.cursor.0);
        let complete_to = page.complete_to.first().map(|(_, cursor)| cursor.0);
        let body = wire::EventList {
            complete_to: complete_to.filter(|_| one),
            next_cursor: last.filter(|_| one && page.next.is_some()),
            ledgers: parts(&app, page.complete_to),
            next_cursors: page.next.filter(|_| !one).map(|next| next.to_string()),
            missing: names(&ledgers.missing),
            events: page.rows.iter().map(show).collect::<Result<_, _>>()?,
        };
        Ok(answer(StatusCode::OK, &caller.request_id, &body))
    })
    .await
}

fn show(row: &HistoryRow) -> Result<wire::LedgerEvent, Failure> {
    let event = RawValue::from_string(row.row.body.to_string());
    Ok(wire::LedgerEvent {
        store: row.store.to_string(),
        cursor: row.row.cursor.0,
        chain: row.row.chain.to_string(),
        event: event.map_err(|error| Failure::internal(error.to_string()))?,
    })
}

/// Options of `GET /v1/audit/holders`.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct HolderOptions {
    lock: String,
    at: Option<String>,
    /// Only the ledger of this store.
    store: Option<String>,
}

/// `GET /v1/audit/holders`.
#[utoipa::path(
    get,
    path = "/v1/audit/holders",
    operation_id = "get_holders",
    tag = "audit",
    params(HolderOptions),
    responses((status = 200, body = wire::HoldersResponse), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn holders(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Query(options): Query<HolderOptions>,
) -> Response {
    allowed(who, Permission::ReadLedger, async |caller: Caller| {
        let lock: LockRef = options
            .lock
            .parse()
            .map_err(|error| Failure::invalid(format!("lock: {error}")))?;
        let at = match options.at.as_deref() {
            Some(text) => moment("at", text)?,
            None => app.clock.wall(),
        };
        let ledgers = ledgers(&app, options.store.as_ref(), Some(&lock.namespace))?;
        let (holds, complete_to) = ledgers.holders(&lock, at).await?;
        let one = ledgers.only().and(complete_to.first());
        let body = wire::HoldersResponse {
            lock: lock.to_string(),
            at: rfc3339(at),
            holders: holds.iter().map(hold).collect(),
            complete_to: one.map(|(_, cursor)| cursor.0),
            ledgers: parts(&app, complete_to),
            missing: names(&ledgers.missing),
        };
        Ok(answer(StatusCode::OK, &caller.request_id, &body))
    })
    .await
}

fn hold((store, hold): &(StoreName, Hold)) -> wire::HoldView {
    wire::HoldView {
        store: store.to_string(),
        lease: hold.handle.to_string(),
        subject: hold.owner.subject.to_string(),
        team: hold.owner.team.as_ref().map(ToString::to_string),
        mode: hold.mode.as_str().to_owned(),
        fencing_token: hold.token,
        from: rfc3339(hold.from),
        until: hold.until.map(rfc3339),
        end: hold.end.clone(),
        granted_by: hold.granted_by.0,
        request_id: hold.request_id.clone(),
        rule: hold.under.as_ref().map(rule),
    }
}

fn rule(under: &HeldUnder) -> wire::RuleView {
    let decision = &under.decision;
    fn choice(verdict: &PolicyVerdict, of: fn(&RolloutChoice) -> Option<&str>) -> Option<String> {
        verdict.rollout.as_deref().and_then(of).map(str::to_owned)
    }
    let policy = |verdict: &PolicyVerdict| wire::RulePolicy {
        binding: verdict.binding.to_string(),
        policy: verdict.policy.to_string(),
        version: verdict.version.to_string(),
        module: verdict.module.to_string(),
        config: verdict.config.to_string(),
        enforcement: verdict.enforcement.as_str().to_owned(),
        answer: verdict.answer.as_str().to_owned(),
        rollout: choice(verdict, |choice| Some(&choice.rollout)),
        stage: choice(verdict, |choice| Some(&choice.stage)),
        variant: choice(verdict, |choice| choice.variant.as_deref()),
        bucket: verdict.rollout.as_ref().and_then(|choice| choice.bucket),
        flag_share: verdict
            .rollout
            .as_ref()
            .and_then(|choice| choice.flag_share),
    };
    let is_advice = |verdict: &&PolicyVerdict| verdict.enforcement == Enforcement::Advisory;
    let (advice, policies): (Vec<_>, Vec<_>) = decision.verdicts.iter().partition(is_advice);
    wire::RuleView {
        digest: decision.rule.map(|rule| rule.to_string()),
        since: rfc3339(under.since),
        decided_by: under.decided_by.0,
        decision_id: decision_id(decision),
        overridden: matches!(decision.effect, Effect::Override { .. }),
        policies: policies.into_iter().map(policy).collect(),
        advice: advice.into_iter().map(policy).collect(),
        max_ttl_ms: decision.limits.max_ttl_ms,
        max_hold_ms: decision.limits.max_hold_ms,
    }
}

/// `GET /v1/audit/verify`.
#[utoipa::path(
    get,
    path = "/v1/audit/verify",
    operation_id = "verify_ledger",
    tag = "audit",
    params(evidence::StoreOptions),
    responses((status = 200, body = wire::VerifyResponse), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn verify(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Query(options): Query<evidence::StoreOptions>,
) -> Response {
    allowed(who, Permission::ReadLedger, async |caller: Caller| {
        let store = evidence::store(&app, options.store.as_ref())?;
        let head = store.ledger.head();
        let bad = store.ledger.verify().await?;
        let problem = store.parts.problem().await?;
        let body = wire::VerifyResponse {
            store: store.name.to_string(),
            intact: bad.is_none() && problem.is_none(),
            first_bad_cursor: bad.map(|cursor| cursor.0),
            problem,
            cursor: head.cursor.0,
            chain: head.chain.to_string(),
        };
        Ok(answer(StatusCode::OK, &caller.request_id, &body))
    })
    .await
}
