//! The options of a question for events, and what they mean.

use std::str::FromStr;

use leasehold_backend_api::LedgerQuery;
use leasehold_domain::Cursor;
use leasehold_domain::InvalidName;
use leasehold_domain::LockRef;
use leasehold_domain::NamespaceName;
use leasehold_domain::Operation;
use leasehold_domain::Subject;
use leasehold_domain::TeamName;
use leasehold_domain::WallMillis;
use leasehold_domain::limits;
use serde::Deserialize;

use leasehold_core::failure::Failure;

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
    /// Only the ledger of this store. Without it those of every store that has, or had, the
    /// namespace; without a namespace, all.
    pub(super) store: Option<String>,
    /// Several ledgers: the `next_cursors` of the page before.
    pub(super) cursors: Option<String>,
}

/// What the ledger calls operations that nobody asks for by a request to a lock.
pub(crate) const OTHER_OPERATIONS: [&str; 3] = ["expire", "move", "governance"];
/// What the ledger calls decisions: their effect, the kinds of denials, and what advisory policies
/// said beside.
pub(crate) const VERDICTS: [&str; 11] = [
    "allow",
    "override",
    "deny",
    "denied",
    "policy_error",
    "no_policy_bound",
    "not_holder",
    "role",
    "cap",
    "advisory_denied",
    "advisory_error",
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

    /// The namespace that it is about, if it is about one.
    pub(super) fn namespace(&self) -> Result<Option<NamespaceName>, Failure> {
        self.check()?;
        if let Some(lock) = &self.lock {
            let lock: Option<LockRef> = lock.parse().ok();
            return Ok(lock.map(|lock| lock.namespace));
        }
        Ok(self.namespace.as_ref().and_then(|name| name.parse().ok()))
    }

    pub(super) fn query(self) -> Result<LedgerQuery, Failure> {
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
pub(super) fn moment(field: &str, text: &str) -> Result<WallMillis, Failure> {
    let parsed: Result<jiff::Timestamp, _> = text.parse();
    // Nothing was recorded before 1970.
    let ms = parsed.map(|at| u64::try_from(at.as_millisecond()).unwrap_or(0));
    ms.map(WallMillis).map_err(|_| {
        Failure::invalid(format!(
            "{field}: must be a time such as 2026-11-23T14:03:00Z"
        ))
    })
}
