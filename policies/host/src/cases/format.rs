//! The cases' JSON, and what it means in the house's words.

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
use leasehold_domain::PolicyAnswer;
use leasehold_domain::PolicyLimits;
use leasehold_domain::Principal;
use leasehold_domain::Request;
use leasehold_domain::RoleName;
use leasehold_domain::Usage;
use leasehold_domain::WallMillis;
use serde::Deserialize;
use serde_json::Value;

/// One case.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    /// What it shows; printed when it fails.
    pub(crate) name: String,
    pub(crate) config: Value,
    request: RequestCase,
    principal: PrincipalCase,
    #[serde(default)]
    facts: FactsCase,
    pub(crate) expect: Expectation,
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

/// What must come out.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Expectation {
    /// Allowed, with exactly these limits.
    Allow {
        max_ttl_ms: Option<u64>,
        max_hold_ms: Option<u64>,
    },
    /// Denied with this code; the message must contain the text, and the hint must be the same, if
    /// they are given.
    Deny {
        code: String,
        message: Option<String>,
        retry_after_ms: Option<u64>,
    },
    /// The configuration is refused, with this in the message.
    BadConfig(String),
}

impl Expectation {
    /// Whether an answer is the one that was expected.
    pub(crate) fn met_by(&self, answer: &PolicyAnswer) -> bool {
        match (self, answer) {
            (
                Self::Allow {
                    max_ttl_ms,
                    max_hold_ms,
                },
                PolicyAnswer::Allow(limits),
            ) => {
                let expected = PolicyLimits {
                    max_ttl_ms: *max_ttl_ms,
                    max_hold_ms: *max_hold_ms,
                };
                *limits == expected
            }
            (
                Self::Deny {
                    code,
                    message,
                    retry_after_ms,
                },
                PolicyAnswer::Deny {
                    code: said,
                    message: told,
                    retry_after_ms: hint,
                },
            ) => {
                **code == **said
                    && message
                        .as_ref()
                        .is_none_or(|part| told.contains(part.as_str()))
                    && retry_after_ms.is_none_or(|expected| *hint == Some(expected))
            }
            _ => false,
        }
    }
}

impl Case {
    /// What the policy is asked.
    pub(crate) fn arguments(&self) -> Result<(Request, Principal, Facts), String> {
        let request = self.request.request()?;
        let principal = self.principal.principal()?;
        let facts = self.facts.facts(&request.lock)?;
        Ok((request, principal, facts))
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
