//! Canonical bytes back to an event: for holders, replay and verification.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use leasehold_domain as domain;
use leasehold_domain::Cursor;
use leasehold_domain::Event;
use leasehold_domain::EventKind;
use leasehold_domain::LockRef;
use leasehold_domain::Millis;
use leasehold_domain::WallMillis;
use serde::Deserialize;

use super::VERSION;
use super::time::rfc3339;

mod decision;
mod transition;

use decision::RawDecision;
use transition::RawTransition;

/// An event as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The backend in which it happened.
    pub backend: Box<str>,
    /// What happened.
    pub event: Event,
}

/// Bytes that are not an event of this format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a recorded event: {0}")]
pub struct ParseError(pub(super) String);

impl ParseError {
    fn missing(field: &'static str) -> Self {
        Self(format!("{field} is missing"))
    }
}

/// Reads an event's canonical bytes.
///
/// # Errors
/// If they are not one JSON object of version 1, exactly as [`super::write`] writes it.
pub fn parse(body: &str) -> Result<Recorded, ParseError> {
    let raw: RawEvent =
        serde_json::from_str(body).map_err(|error| ParseError(error.to_string()))?;
    if raw.v != VERSION {
        return Err(ParseError(format!("version {} is not known", raw.v)));
    }
    let wall = WallMillis(raw.time_unix_ms);
    if raw.time.as_bytes() != rfc3339(wall) {
        return Err(ParseError("time and time_unix_ms differ".to_owned()));
    }
    let event = Event {
        cursor: Cursor(raw.cursor),
        now: Millis(raw.now_ms),
        wall,
        kind: raw.body.kind()?,
    };
    let mut again = String::with_capacity(body.len());
    super::write(&raw.backend, &event, &mut again);
    if again != body {
        return Err(ParseError("the bytes are not canonical".to_owned()));
    }
    Ok(Recorded {
        backend: raw.backend.into(),
        event,
    })
}

#[derive(Deserialize)]
struct RawEvent {
    v: u64,
    cursor: u64,
    backend: String,
    time: String,
    time_unix_ms: u64,
    now_ms: u64,
    #[serde(flatten)]
    body: RawBody,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum RawBody {
    Lock {
        lock: String,
        cause: Option<RawCause>,
        transitions: Vec<RawTransition>,
    },
    Denied {
        lock: String,
        cause: RawCause,
    },
    Governance(RawChange),
}

impl RawBody {
    fn kind(self) -> Result<EventKind, ParseError> {
        Ok(match self {
            Self::Lock {
                lock,
                cause,
                transitions,
            } => {
                let lock: LockRef = text(&lock)?;
                EventKind::Lock {
                    cause: cause
                        .map(|cause| cause.cause(&lock))
                        .transpose()?
                        .map(Arc::new),
                    transitions: transitions
                        .into_iter()
                        .map(RawTransition::transition)
                        .collect::<Result<_, _>>()?,
                    lock,
                }
            }
            Self::Denied { lock, cause } => {
                EventKind::Denied(Arc::new(cause.cause(&text(&lock)?)?))
            }
            Self::Governance(change) => EventKind::Governance(Box::new(change.change()?)),
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCause {
    request_id: String,
    received_unix_ms: u64,
    principal: RawPrincipal,
    request: RawRequest,
    decision: Option<RawDecision>,
}

impl RawCause {
    fn cause(self, lock: &LockRef) -> Result<domain::Cause, ParseError> {
        Ok(domain::Cause {
            request_id: text(&self.request_id)?,
            received: WallMillis(self.received_unix_ms),
            principal: Arc::new(self.principal.principal()?),
            request: self.request.request(lock)?,
            decision: self
                .decision
                .map(RawDecision::decision)
                .transpose()?
                .map(Arc::new),
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPrincipal {
    subject: String,
    team: Option<String>,
    roles: Vec<String>,
    #[serde(default)]
    claims: BTreeMap<String, String>,
}

impl RawPrincipal {
    fn principal(self) -> Result<domain::Principal, ParseError> {
        let role = |name: &String| {
            domain::Role::from_name(name).ok_or_else(|| ParseError(format!("role {name:?}")))
        };
        Ok(domain::Principal {
            subject: text(&self.subject)?,
            team: self.team.as_deref().map(text).transpose()?,
            roles: self.roles.iter().map(role).collect::<Result<_, _>>()?,
            claims: self.claims,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRequest {
    operation: String,
    lock: Option<String>,
    mode: Option<String>,
    permits: Option<u32>,
    ttl_ms: Option<u64>,
    wait_ms: Option<u64>,
    grace_ms: Option<u64>,
    instance: Option<Box<str>>,
    #[serde(default)]
    labels: BTreeMap<Box<str>, Box<str>>,
    reason: Option<Box<str>>,
    value: Option<Box<str>>,
    successor: Option<String>,
    lease: Option<String>,
}

impl RawRequest {
    fn request(self, lock: &LockRef) -> Result<domain::Request, ParseError> {
        Ok(domain::Request {
            operation: domain::Operation::from_name(&self.operation)
                .ok_or_else(|| ParseError(format!("operation {:?}", self.operation)))?,
            lock: self
                .lock
                .as_deref()
                .map(text)
                .transpose()?
                .unwrap_or_else(|| lock.clone()),
            mode: self
                .mode
                .map(|name| mode(&name, self.permits))
                .transpose()?,
            ttl_ms: self.ttl_ms,
            wait_ms: self.wait_ms,
            grace_ms: self.grace_ms,
            instance: self.instance,
            labels: self.labels,
            reason: self.reason,
            value: self.value,
            successor: self.successor.as_deref().map(text).transpose()?,
            lease: self.lease.as_deref().map(text).transpose()?,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOwner {
    subject: String,
    team: Option<String>,
    instance: Option<Box<str>>,
    #[serde(default)]
    labels: BTreeMap<Box<str>, Box<str>>,
    value: Option<Box<str>>,
    reason: Option<Box<str>>,
}

impl RawOwner {
    fn owner(self) -> Result<domain::Owner, ParseError> {
        Ok(domain::Owner {
            subject: text(&self.subject)?,
            team: self.team.as_deref().map(text).transpose()?,
            instance: self.instance,
            labels: self.labels,
            value: self.value,
            reason: self.reason,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSettings {
    limit: u32,
    cooldown_ms: u64,
    description: Box<str>,
}

impl RawSettings {
    fn settings(self) -> domain::LockSettings {
        domain::LockSettings {
            limit: self.limit,
            cooldown_ms: self.cooldown_ms,
            description: self.description,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawChange {
    request_id: String,
    principal: RawPrincipal,
    collection: Box<str>,
    id: Box<str>,
    digest: Option<String>,
    summary: Box<str>,
}

impl RawChange {
    fn change(self) -> Result<domain::Change, ParseError> {
        Ok(domain::Change {
            request_id: text(&self.request_id)?,
            principal: Arc::new(self.principal.principal()?),
            collection: self.collection,
            id: self.id,
            digest: self.digest.as_deref().map(text).transpose()?,
            summary: self.summary,
        })
    }
}

/// A name, id or digest from its text.
fn text<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, ParseError> {
    text.parse()
        .map_err(|error| ParseError(format!("{text:?}: {error}")))
}

fn mode(name: &str, permits: Option<u32>) -> Result<domain::Mode, ParseError> {
    match (name, permits) {
        ("exclusive", None) => Ok(domain::Mode::Exclusive),
        ("shared", Some(permits)) => Ok(domain::Mode::Shared { permits }),
        (name, permits) => Err(ParseError(format!(
            "mode {name:?} with permits {permits:?}"
        ))),
    }
}

fn drain_cause(by: Option<&str>, to: Option<&str>) -> Result<domain::DrainCause, ParseError> {
    match (by, to) {
        (Some(by), None) => Ok(domain::DrainCause::Revoked { by: text(by)? }),
        (None, Some(to)) => Ok(domain::DrainCause::Transfer { to: text(to)? }),
        _ => Err(ParseError("a drain has one cause".to_owned())),
    }
}
