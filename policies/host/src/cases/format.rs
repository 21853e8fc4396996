//! The JSON of cases, and the request, principal and facts that it stands for.

use std::collections::BTreeMap;
use std::str::FromStr;

use leasehold_domain::Facts;
use leasehold_domain::FencingToken;
use leasehold_domain::HolderView;
use leasehold_domain::LeaseHandle;
use leasehold_domain::LeaseState;
use leasehold_domain::LockRef;
use leasehold_domain::LockSettings;
use leasehold_domain::LockView;
use leasehold_domain::Mode;
use leasehold_domain::Operation;
use leasehold_domain::Owner;
use leasehold_domain::Principal;
use leasehold_domain::Request;
use leasehold_domain::RoleName;
use leasehold_domain::Usage;
use leasehold_domain::WallMillis;
use serde::Deserialize;
use serde_json::Value;

use super::expectation::Expectation;
use crate::error::HostError;

/// A file of cases.
#[derive(Debug)]
pub(super) enum File {
    /// Cases alone.
    List(Vec<Case>),
    /// Cases and the codes of denials.
    Whole {
        cases: Vec<Case>,
        codes: Vec<String>,
    },
}

/// One case.
#[derive(Debug)]
pub struct Case {
    pub(super) name: String,
    pub(super) question: Question,
    pub(super) expect: Expectation,
}

/// A request with what is known about it, and the policy's configuration.
#[derive(Debug)]
pub struct Question {
    pub(super) config: Value,
    request: RequestCase,
    principal: PrincipalCase,
    facts: FactsCase,
}

/// A case as it is written; a question is one without a name and an expectation.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Alone {
    name: Option<String>,
    #[serde(default = "empty")]
    config: Value,
    request: RequestCase,
    principal: PrincipalCase,
    #[serde(default)]
    facts: FactsCase,
    expect: Option<Expectation>,
}

/// The configuration of a policy that has none.
fn empty() -> Value {
    Value::Object(serde_json::Map::new())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestCase {
    operation: String,
    lock: String,
    /// None for exclusive.
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

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PrincipalCase {
    subject: String,
    team: Option<String>,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    claims: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FactsCase {
    /// RFC 3339; 1970 if the policy does not look.
    now: Option<jiff::Timestamp>,
    lock: Option<LockCase>,
    usage: Option<UsageCase>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct UsageCase {
    subject_leases: u32,
    #[serde(default)]
    team_leases: u32,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct LockCase {
    revision: u64,
    limit: Option<u32>,
    holders: Vec<HolderCase>,
    cooldown_remaining_ms: u64,
    reserved_for: Option<String>,
    last_token: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HolderCase {
    lease: String,
    subject: String,
    team: Option<String>,
    #[serde(default)]
    labels: BTreeMap<Box<str>, Box<str>>,
    reason: Option<Box<str>>,
    permits: Option<u32>,
    #[serde(default)]
    since_ms: u64,
    #[serde(default)]
    remaining_ms: u64,
}

impl File {
    /// The cases, and the codes of denials.
    pub(super) fn parts(self) -> (Vec<Case>, Vec<String>) {
        match self {
            Self::List(cases) => (cases, Vec::new()),
            Self::Whole { cases, codes } => (cases, codes),
        }
    }
}

impl<'de> Deserialize<'de> for File {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Whole {
            cases: Vec<Case>,
            #[serde(default)]
            codes: Vec<String>,
        }
        // Decided by the first character, so that an error names its place.
        let raw = <Box<serde_json::value::RawValue>>::deserialize(deserializer)?;
        let wrong = <D::Error as serde::de::Error>::custom;
        if raw.get().starts_with('[') {
            return serde_json::from_str(raw.get())
                .map(Self::List)
                .map_err(wrong);
        }
        let Whole { cases, codes } = serde_json::from_str(raw.get()).map_err(wrong)?;
        Ok(Self::Whole { cases, codes })
    }
}

impl Question {
    /// Reads one request with its principal, facts and configuration from JSON. It may be a case:
    /// what it expects is not looked at.
    ///
    /// # Errors
    /// [`HostError::Cases`] if it is something else.
    pub fn read(json: &[u8]) -> Result<Self, HostError> {
        let case: Alone =
            serde_json::from_slice(json).map_err(|error| HostError::Cases(error.to_string()))?;
        Ok(Self {
            config: case.config,
            request: case.request,
            principal: case.principal,
            facts: case.facts,
        })
    }

    /// What the policy is asked.
    pub(super) fn arguments(&self) -> Result<(Request, Principal, Facts), String> {
        let request = self.request.request()?;
        let principal = self.principal.principal()?;
        let facts = self.facts.facts(&request.lock)?;
        Ok((request, principal, facts))
    }
}

impl Case {
    /// What it shows.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the policy is asked.
    #[must_use]
    pub fn question(&self) -> &Question {
        &self.question
    }
}

impl<'de> Deserialize<'de> for Case {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let case = Alone::deserialize(deserializer)?;
        let missing = <D::Error as serde::de::Error>::missing_field;
        Ok(Self {
            name: case.name.ok_or_else(|| missing("name"))?,
            question: Question {
                config: case.config,
                request: case.request,
                principal: case.principal,
                facts: case.facts,
            },
            expect: case.expect.ok_or_else(|| missing("expect"))?,
        })
    }
}

impl RequestCase {
    fn request(&self) -> Result<Request, String> {
        let operation = Operation::from_name(&self.operation)
            .ok_or_else(|| format!("there is no operation {:?}", self.operation))?;
        let acquires = operation == Operation::Acquire;
        Ok(Request {
            operation,
            lock: parse(&self.lock)?,
            mode: acquires.then(|| mode(self.permits)),
            ttl_ms: self.ttl_ms,
            wait_ms: self.wait_ms,
            grace_ms: self.grace_ms,
            instance: self.instance.clone(),
            labels: self.labels.clone(),
            reason: self.reason.clone(),
            value: self.value.clone(),
            successor: self.successor.as_deref().map(parse).transpose()?,
            lease: self
                .lease
                .as_deref()
                .map(parse::<LeaseHandle>)
                .transpose()?,
            override_terms: None,
        })
    }
}

impl PrincipalCase {
    fn principal(&self) -> Result<Principal, String> {
        Ok(Principal {
            subject: parse(&self.subject)?,
            team: self.team.as_deref().map(parse).transpose()?,
            roles: self
                .roles
                .iter()
                .map(|name| parse::<RoleName>(name))
                .collect::<Result<_, _>>()?,
            claims: self.claims.clone(),
        })
    }
}

impl FactsCase {
    fn facts(&self, lock: &LockRef) -> Result<Facts, String> {
        let now = self.now.map_or(0, |now| now.as_millisecond());
        let view = self.lock.as_ref().map(|case| case.view(lock)).transpose()?;
        Ok(Facts {
            now: WallMillis(u64::try_from(now).map_err(|_| "now is before 1970")?),
            lock: view.map(Box::new),
            usage: self.usage.as_ref().map(|usage| Usage {
                subject_leases: usage.subject_leases,
                team_leases: usage.team_leases,
            }),
        })
    }
}

impl LockCase {
    fn view(&self, lock: &LockRef) -> Result<LockView, String> {
        let defaults = LockSettings::default();
        let reserved = self.reserved_for.as_deref().map(parse).transpose()?;
        Ok(LockView {
            lock: lock.clone(),
            revision: self.revision,
            settings: LockSettings {
                limit: self.limit.unwrap_or(defaults.limit),
                ..defaults
            },
            holders: self
                .holders
                .iter()
                .map(HolderCase::view)
                .collect::<Result<_, _>>()?,
            queue: Vec::new(),
            cooldown_remaining_ms: self.cooldown_remaining_ms,
            reserved_for: reserved.map(|subject| (subject, 0)),
            last_token: FencingToken(self.last_token),
            stale_ms: 0,
        })
    }
}

impl HolderCase {
    fn view(&self) -> Result<HolderView, String> {
        Ok(HolderView {
            handle: parse(&self.lease)?,
            owner: Owner {
                subject: parse(&self.subject)?,
                team: self.team.as_deref().map(parse).transpose()?,
                instance: None,
                labels: self.labels.clone(),
                value: None,
                reason: self.reason.clone(),
            },
            mode: mode(self.permits),
            token: FencingToken(1),
            since: WallMillis(self.since_ms),
            remaining_ms: self.remaining_ms,
            state: LeaseState::Active,
            policies: None,
        })
    }
}

fn mode(permits: Option<u32>) -> Mode {
    permits.map_or(Mode::Exclusive, |permits| Mode::Shared { permits })
}

fn parse<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error| format!("{text:?}: {error}"))
}
