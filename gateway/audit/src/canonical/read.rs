//! Canonical bytes back to an event: for holders, replay and verification.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::str::FromStr;
use std::sync::Arc;

use leasehold_domain as domain;
use leasehold_domain::Cursor;
use leasehold_domain::Event;
use leasehold_domain::EventKind;
use leasehold_domain::FeatureLevel;
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

/// Reads an event's canonical bytes.
///
/// # Errors
/// If they are not one JSON object of version 1, exactly as [`super::write`] writes it.
pub fn parse(body: &str) -> Result<Recorded, ParseError> {
    let raw: RawEvent<'_> =
        serde_json::from_str(body).map_err(|error| ParseError(error.to_string()))?;
    if raw.v != VERSION {
        return Err(ParseError(format!("version {} is not known", raw.v)));
    }
    let wall = WallMillis(raw.time_unix_ms);
    if raw.time.as_bytes() != rfc3339(wall) {
        return Err(ParseError("time and time_unix_ms differ".to_owned()));
    }
    if raw.feature_level == Some(0) {
        return Err(ParseError("there is no feature level 0".to_owned()));
    }
    let backend = Box::from(&*raw.backend);
    let event = Event {
        level: raw.feature_level.map_or(FeatureLevel::FIRST, FeatureLevel),
        cursor: Cursor(raw.cursor),
        now: Millis(raw.now_ms),
        wall,
        kind: raw.kind()?,
    };
    let mut again = Vec::with_capacity(body.len());
    super::write(&backend, &event, &mut again);
    if again != body.as_bytes() {
        return Err(ParseError("the bytes are not canonical".to_owned()));
    }
    Ok(Recorded { backend, event })
}

/// A text of the body: mostly a part of it, a copy only if it has escapes.
#[derive(Deserialize)]
struct Text<'b>(#[serde(borrow)] Cow<'b, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// All members that an event of any kind can have. One flat form is read without copying first
/// what is behind the kind, at half the time; what must not be there for a kind is noticed when
/// the bytes are compared.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEvent<'b> {
    v: u64,
    cursor: u64,
    #[serde(borrow)]
    backend: Text<'b>,
    time: Text<'b>,
    time_unix_ms: u64,
    now_ms: u64,
    feature_level: Option<u16>,
    kind: Text<'b>,
    lock: Option<Text<'b>>,
    cause: Option<RawCause<'b>>,
    transitions: Option<Vec<RawTransition<'b>>>,
    request_id: Option<Text<'b>>,
    principal: Option<RawPrincipal<'b>>,
    collection: Option<Box<str>>,
    id: Option<Box<str>>,
    digest: Option<Text<'b>>,
    summary: Option<Box<str>>,
}

impl RawEvent<'_> {
    fn kind(self) -> Result<EventKind, ParseError> {
        match &*self.kind {
            "lock" => self.changed(),
            "denied" => {
                let lock = text(&need(self.lock, "lock")?)?;
                let cause = need(self.cause, "cause")?.cause(&lock)?;
                Ok(EventKind::Denied(Arc::new(cause)))
            }
            "governance" => Ok(EventKind::Governance(Box::new(domain::Change {
                request_id: text(&need(self.request_id, "request_id")?)?,
                principal: Arc::new(need(self.principal, "principal")?.principal()?),
                collection: need(self.collection, "collection")?,
                id: need(self.id, "id")?,
                digest: self.digest.as_ref().map(text).transpose()?,
                summary: need(self.summary, "summary")?,
            }))),
            other => Err(ParseError(format!("kind {other:?}"))),
        }
    }

    fn changed(self) -> Result<EventKind, ParseError> {
        let lock: LockRef = text(&need(self.lock, "lock")?)?;
        let cause = self.cause.map(|cause| cause.cause(&lock)).transpose()?;
        let transitions = need(self.transitions, "transitions")?
            .into_iter()
            .map(RawTransition::transition)
            .collect::<Result<_, _>>()?;
        Ok(EventKind::Lock {
            lock,
            cause: cause.map(Arc::new),
            transitions,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCause<'b> {
    #[serde(borrow)]
    request_id: Text<'b>,
    received_unix_ms: u64,
    principal: RawPrincipal<'b>,
    request: RawRequest<'b>,
    decision: Option<RawDecision<'b>>,
}

impl RawCause<'_> {
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
struct RawPrincipal<'b> {
    #[serde(borrow)]
    subject: Text<'b>,
    team: Option<Text<'b>>,
    roles: Vec<Text<'b>>,
    #[serde(default)]
    claims: BTreeMap<String, String>,
}

impl RawPrincipal<'_> {
    fn principal(self) -> Result<domain::Principal, ParseError> {
        Ok(domain::Principal {
            subject: text(&self.subject)?,
            team: self.team.as_ref().map(text).transpose()?,
            roles: self
                .roles
                .iter()
                .map(text::<domain::RoleName>)
                .collect::<Result<_, _>>()?,
            claims: self.claims,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRequest<'b> {
    #[serde(borrow)]
    operation: Text<'b>,
    lock: Option<Text<'b>>,
    mode: Option<Text<'b>>,
    permits: Option<u32>,
    ttl_ms: Option<u64>,
    wait_ms: Option<u64>,
    grace_ms: Option<u64>,
    instance: Option<Box<str>>,
    #[serde(default)]
    labels: BTreeMap<Box<str>, Box<str>>,
    reason: Option<Box<str>>,
    value: Option<Box<str>>,
    successor: Option<Text<'b>>,
    lease: Option<Text<'b>>,
    ticket: Option<String>,
    override_ttl_ms: Option<u64>,
}

impl RawRequest<'_> {
    fn request(self, lock: &LockRef) -> Result<domain::Request, ParseError> {
        Ok(domain::Request {
            operation: domain::Operation::from_name(&self.operation)
                .ok_or_else(|| ParseError(format!("operation {:?}", &*self.operation)))?,
            lock: self
                .lock
                .as_ref()
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
            successor: self.successor.as_ref().map(text).transpose()?,
            lease: self.lease.as_ref().map(text).transpose()?,
            override_terms: domain::OverrideTerms::of(self.ticket, self.override_ttl_ms),
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOwner<'b> {
    #[serde(borrow)]
    subject: Text<'b>,
    team: Option<Text<'b>>,
    instance: Option<Box<str>>,
    #[serde(default)]
    labels: BTreeMap<Box<str>, Box<str>>,
    value: Option<Box<str>>,
    reason: Option<Box<str>>,
}

impl RawOwner<'_> {
    fn owner(self) -> Result<domain::Owner, ParseError> {
        Ok(domain::Owner {
            subject: text(&self.subject)?,
            team: self.team.as_ref().map(text).transpose()?,
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

/// A name, id or digest from its text.
fn text<T: FromStr<Err: std::fmt::Display>>(text: &Text<'_>) -> Result<T, ParseError> {
    text.parse()
        .map_err(|error| ParseError(format!("{:?}: {error}", &**text)))
}

/// A member that must be there.
fn need<T>(value: Option<T>, field: &'static str) -> Result<T, ParseError> {
    value.ok_or_else(|| ParseError(format!("{field} is missing")))
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

fn drain_cause(
    by: Option<&Text<'_>>,
    to: Option<&Text<'_>>,
) -> Result<domain::DrainCause, ParseError> {
    match (by, to) {
        (Some(by), None) => Ok(domain::DrainCause::Revoked { by: text(by)? }),
        (None, Some(to)) => Ok(domain::DrainCause::Transfer { to: text(to)? }),
        _ => Err(ParseError("a drain has one cause".to_owned())),
    }
}
