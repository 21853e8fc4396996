//! The ledger's questions.

use std::str::FromStr;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use leasehold_backend_api::BackendError;
use leasehold_backend_api::HeldUnder;
use leasehold_backend_api::Hold;
use leasehold_backend_api::LedgerQuery;
use leasehold_backend_api::LedgerRow;
use leasehold_domain::Cursor;
use leasehold_domain::Effect;
use leasehold_domain::InvalidName;
use leasehold_domain::LockRef;
use leasehold_domain::NamespaceName;
use leasehold_domain::Operation;
use leasehold_domain::PolicyVerdict;
use leasehold_domain::Role;
use leasehold_domain::Subject;
use leasehold_domain::TeamName;
use leasehold_domain::WallMillis;
use leasehold_domain::limits;
use leasehold_wire::v1::Problem;
use leasehold_wire::v1::audit as wire;
use serde::Deserialize;

use super::admin::as_role;
use super::extract::Authenticated;
use super::extract::Query;
use super::extract::answer;
use super::view::decision_id;
use crate::app::App;
use crate::pipeline::ask::Caller;
use crate::pipeline::failure::Failure;
use crate::telemetry::rfc3339;

/// Who may read the ledger.
const READERS: &[Role] = &[Role::Auditor, Role::Administrator];

/// Options of `GET /v1/audit/events`.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventOptions {
    from: Option<String>,
    until: Option<String>,
    namespace: Option<String>,
    lock: Option<String>,
    subject: Option<String>,
    team: Option<String>,
    operation: Option<String>,
    verdict: Option<String>,
    policy: Option<String>,
    #[serde(default)]
    descending: bool,
    after: Option<u64>,
    limit: Option<usize>,
}

/// What the ledger calls operations that nobody asks for by a request to a lock.
const OTHER_OPERATIONS: [&str; 2] = ["expire", "governance"];
/// What the ledger calls decisions: their effect, and the kinds of denials.
const VERDICTS: [&str; 7] = [
    "allow",
    "override",
    "deny",
    "denied",
    "policy_error",
    "no_policy_bound",
    "role",
];

impl EventOptions {
    /// Refuses what could never find anything: to a question with a slip of the pen, an empty
    /// answer would be a false one.
    fn check(&self) -> Result<(), Failure> {
        fn parsed<T>(field: &str, text: Option<&String>) -> Result<(), Failure>
        where
            T: FromStr<Err = InvalidName>,
        {
            let refuse = |error| Failure::invalid(format!("{field}: {error}"));
            text.map_or(Ok(()), |text| text.parse::<T>().map(drop).map_err(refuse))
        }
        parsed::<NamespaceName>("namespace", self.namespace.as_ref())?;
        parsed::<LockRef>("lock", self.lock.as_ref())?;
        parsed::<Subject>("subject", self.subject.as_ref())?;
        parsed::<TeamName>("team", self.team.as_ref())?;
        let known = |name: &&String| {
            Operation::from_name(name).is_some() || OTHER_OPERATIONS.contains(&name.as_str())
        };
        if let Some(name) = self.operation.as_ref().filter(|name| !known(name)) {
            return Err(Failure::invalid(format!("operation: there is no {name:?}")));
        }
        let known = |name: &&String| VERDICTS.contains(&name.as_str());
        if let Some(name) = self.verdict.as_ref().filter(|name| !known(name)) {
            let names = VERDICTS.join(", ");
            return Err(Failure::invalid(format!(
                "verdict: {name:?} is not one of {names}"
            )));
        }
        Ok(())
    }

    fn query(self) -> Result<LedgerQuery, Failure> {
        self.check()?;
        let limit = self.limit.unwrap_or(100);
        if limit == 0 || limit > limits::PAGE_ROWS_MAX {
            return Err(Failure::invalid("limit: must be 1 to 1000"));
        }
        Ok(LedgerQuery {
            from: self
                .from
                .as_deref()
                .map(|text| moment("from", text))
                .transpose()?,
            until: self
                .until
                .as_deref()
                .map(|text| moment("until", text))
                .transpose()?,
            namespace: self.namespace,
            lock: self.lock,
            subject: self.subject,
            team: self.team,
            operation: self.operation,
            verdict: self.verdict,
            policy: self.policy,
            descending: self.descending,
            after: self.after.map(Cursor),
            limit,
        })
    }
}

/// An RFC 3339 moment.
fn moment(field: &str, text: &str) -> Result<WallMillis, Failure> {
    let parsed: Result<jiff::Timestamp, _> = text.parse();
    let ms = parsed
        .ok()
        .and_then(|at| u64::try_from(at.as_millisecond()).ok());
    ms.map(WallMillis).ok_or_else(|| {
        Failure::invalid(format!(
            "{field}: must be a time such as 2026-11-23T14:03:00Z"
        ))
    })
}

/// `GET /v1/audit/events`.
#[utoipa::path(
    get,
    path = "/v1/audit/events",
    tag = "audit",
    params(EventOptions),
    responses((status = 200, body = wire::EventList), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn events(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Query(options): Query<EventOptions>,
) -> Response {
    as_role(who, READERS, async |caller: Caller| {
        let query = options.query()?;
        app.ledger_follows().await;
        let page = app.ledger.query(query).await?;
        let events = page.rows.iter().map(show).collect::<Result<_, _>>()?;
        let body = wire::EventList {
            events,
            complete_to: page.complete_to.0,
            next_cursor: page.next.map(|cursor| cursor.0),
        };
        Ok(answer(StatusCode::OK, &caller.request_id, &body))
    })
    .await
}

fn show(row: &LedgerRow) -> Result<wire::LedgerEvent, Failure> {
    let event = serde_json::from_str(&row.body)
        .map_err(|error| Failure::internal(format!("event {}: {error}", row.cursor.0)))?;
    Ok(wire::LedgerEvent {
        cursor: row.cursor.0,
        chain: row.chain.to_string(),
        event,
    })
}

/// Options of `GET /v1/audit/holders`.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct HolderOptions {
    lock: String,
    at: Option<String>,
}

/// `GET /v1/audit/holders`.
#[utoipa::path(
    get,
    path = "/v1/audit/holders",
    tag = "audit",
    params(HolderOptions),
    responses((status = 200, body = wire::HoldersResponse), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn holders(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Query(options): Query<HolderOptions>,
) -> Response {
    as_role(who, READERS, async |caller: Caller| {
        let lock: LockRef = options
            .lock
            .parse()
            .map_err(|error| Failure::invalid(format!("lock: {error}")))?;
        let at = match options.at.as_deref() {
            Some(text) => moment("at", text)?,
            None => app.clock.wall(),
        };
        app.ledger_follows().await;
        let found = app.ledger.holders(&lock, at).await?;
        let body = wire::HoldersResponse {
            lock: lock.to_string(),
            at: rfc3339(at),
            holders: found.holds.iter().map(hold).collect(),
            complete_to: found.complete_to.0,
        };
        Ok(answer(StatusCode::OK, &caller.request_id, &body))
    })
    .await
}

fn hold(hold: &Hold) -> wire::HoldView {
    wire::HoldView {
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
    let policy = |verdict: &PolicyVerdict| wire::RulePolicy {
        binding: verdict.binding.to_string(),
        policy: verdict.policy.to_string(),
        version: verdict.version.to_string(),
        module: verdict.module.to_string(),
        config: verdict.config.to_string(),
        answer: verdict.answer.as_str().to_owned(),
    };
    wire::RuleView {
        digest: decision.rule.map(|rule| rule.to_string()),
        since: rfc3339(under.since),
        decided_by: under.decided_by.0,
        decision_id: decision_id(decision),
        overridden: matches!(decision.effect, Effect::Override { .. }),
        policies: decision.verdicts.iter().map(policy).collect(),
        max_ttl_ms: decision.limits.max_ttl_ms,
        max_hold_ms: decision.limits.max_hold_ms,
    }
}

/// `GET /v1/audit/verify`.
#[utoipa::path(
    get,
    path = "/v1/audit/verify",
    tag = "audit",
    responses((status = 200, body = wire::VerifyResponse), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn verify(State(app): State<Arc<App>>, who: Authenticated) -> Response {
    as_role(who, READERS, async |caller: Caller| {
        let head = app.ledger.head();
        let bad: Option<Cursor> = app
            .ledger
            .verify()
            .await
            .map_err(|error: BackendError| Failure::from(error))?;
        let body = wire::VerifyResponse {
            intact: bad.is_none(),
            first_bad_cursor: bad.map(|cursor| cursor.0),
            cursor: head.cursor.0,
            chain: head.chain.to_string(),
        };
        Ok(answer(StatusCode::OK, &caller.request_id, &body))
    })
    .await
}
