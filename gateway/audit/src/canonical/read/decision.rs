//! The decision inside an event.

use std::sync::Arc;

use leasehold_domain as domain;
use leasehold_domain::FencingToken;
use leasehold_domain::WallMillis;
use serde::Deserialize;

use super::ParseError;
use super::RawOwner;
use super::RawSettings;
use super::drain_cause;
use super::mode;
use super::text;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDecision {
    id: String,
    effect: RawEffect,
    facts: RawFacts,
    verdicts: Vec<RawVerdict>,
    limits: RawLimits,
    bindings_revision: u64,
}

impl RawDecision {
    pub(super) fn decision(self) -> Result<domain::Decision, ParseError> {
        Ok(domain::Decision {
            id: u128::from_str_radix(&self.id, 16)
                .map_err(|error| ParseError(format!("decision id: {error}")))?,
            effect: self.effect.effect()?,
            facts: self.facts.facts()?,
            verdicts: self
                .verdicts
                .into_iter()
                .map(RawVerdict::verdict)
                .collect::<Result<_, _>>()?,
            limits: self.limits.limits(),
            bindings_revision: self.bindings_revision,
        })
    }
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
enum RawEffect {
    Allow,
    Override {
        reason: Box<str>,
    },
    Deny {
        kind: String,
        policy: Option<Arc<str>>,
        code: Box<str>,
        message: Box<str>,
        retry_after_ms: Option<u64>,
    },
}

impl RawEffect {
    fn effect(self) -> Result<domain::Effect, ParseError> {
        use domain::DenialKind as Kind;
        Ok(match self {
            Self::Allow => domain::Effect::Allow,
            Self::Override { reason } => domain::Effect::Override { reason },
            Self::Deny {
                kind,
                policy,
                code,
                message,
                retry_after_ms,
            } => {
                let kind = [
                    Kind::Policy,
                    Kind::PolicyError,
                    Kind::NoPolicyBound,
                    Kind::Role,
                ]
                .into_iter()
                .find(|known| known.as_str() == kind)
                .ok_or_else(|| ParseError(format!("denial {kind:?}")))?;
                domain::Effect::Deny(domain::Denial {
                    kind,
                    policy,
                    code,
                    message,
                    retry_after_ms,
                })
            }
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFacts {
    now_unix_ms: u64,
    lock: Option<Box<RawLockView>>,
    usage: Option<RawUsage>,
}

impl RawFacts {
    fn facts(self) -> Result<domain::Facts, ParseError> {
        Ok(domain::Facts {
            now: WallMillis(self.now_unix_ms),
            lock: self.lock.map(|view| view.view()).transpose()?.map(Box::new),
            usage: self.usage.map(|usage| domain::Usage {
                subject_leases: usage.subject_leases,
                team_leases: usage.team_leases,
            }),
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawUsage {
    subject_leases: u32,
    team_leases: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLockView {
    lock: String,
    revision: u64,
    settings: RawSettings,
    holders: Vec<RawHolder>,
    queue: Vec<RawWaiter>,
    cooldown_remaining_ms: u64,
    reserved_for: Option<String>,
    reserved_remaining_ms: Option<u64>,
    last_token: u64,
    stale_ms: u64,
}

impl RawLockView {
    fn view(self) -> Result<domain::LockView, ParseError> {
        let reserved_for = match (self.reserved_for, self.reserved_remaining_ms) {
            (Some(to), Some(remaining_ms)) => Some((text(&to)?, remaining_ms)),
            (None, None) => None,
            _ => return Err(ParseError("half a reservation".to_owned())),
        };
        Ok(domain::LockView {
            lock: text(&self.lock)?,
            revision: self.revision,
            settings: self.settings.settings(),
            holders: self
                .holders
                .into_iter()
                .map(RawHolder::holder)
                .collect::<Result<_, _>>()?,
            queue: self
                .queue
                .into_iter()
                .map(RawWaiter::waiter)
                .collect::<Result<_, _>>()?,
            cooldown_remaining_ms: self.cooldown_remaining_ms,
            reserved_for,
            last_token: FencingToken(self.last_token),
            stale_ms: self.stale_ms,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHolder {
    handle: String,
    owner: RawOwner,
    mode: String,
    permits: Option<u32>,
    token: u64,
    since_unix_ms: u64,
    remaining_ms: u64,
    drain_remaining_ms: Option<u64>,
    revoked_by: Option<String>,
    transfer_to: Option<String>,
}

impl RawHolder {
    fn holder(self) -> Result<domain::HolderView, ParseError> {
        let state = match self.drain_remaining_ms {
            None => domain::LeaseState::Active,
            Some(remaining_ms) => domain::LeaseState::Draining {
                remaining_ms,
                cause: drain_cause(self.revoked_by.as_deref(), self.transfer_to.as_deref())?,
            },
        };
        Ok(domain::HolderView {
            handle: text(&self.handle)?,
            owner: self.owner.owner()?,
            mode: mode(&self.mode, self.permits)?,
            token: FencingToken(self.token),
            since: WallMillis(self.since_unix_ms),
            remaining_ms: self.remaining_ms,
            state,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWaiter {
    handle: String,
    owner: RawOwner,
    mode: String,
    permits: Option<u32>,
    since_unix_ms: u64,
}

impl RawWaiter {
    fn waiter(self) -> Result<domain::WaiterView, ParseError> {
        Ok(domain::WaiterView {
            handle: text(&self.handle)?,
            owner: self.owner.owner()?,
            mode: mode(&self.mode, self.permits)?,
            since: WallMillis(self.since_unix_ms),
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLimits {
    max_ttl_ms: Option<u64>,
    max_hold_ms: Option<u64>,
}

impl RawLimits {
    fn limits(self) -> domain::PolicyLimits {
        domain::PolicyLimits {
            max_ttl_ms: self.max_ttl_ms,
            max_hold_ms: self.max_hold_ms,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawVerdict {
    binding: Arc<str>,
    policy: Arc<str>,
    version: Arc<str>,
    module: String,
    config: String,
    enforcement: String,
    answer: String,
    limits: Option<RawLimits>,
    code: Option<Box<str>>,
    message: Option<Box<str>>,
    retry_after_ms: Option<u64>,
    passed: Option<bool>,
    fuel: u64,
}

impl RawVerdict {
    fn verdict(self) -> Result<domain::PolicyVerdict, ParseError> {
        use domain::Enforcement;
        let enforcement = [
            Enforcement::Advisory,
            Enforcement::Mandatory,
            Enforcement::Overridable,
        ]
        .into_iter()
        .find(|known| known.as_str() == self.enforcement)
        .ok_or_else(|| ParseError(format!("enforcement {:?}", self.enforcement)))?;
        let message = self.message.ok_or_else(|| ParseError::missing("message"));
        let answer = match self.answer.as_str() {
            "allow" => domain::PolicyAnswer::Allow(
                self.limits
                    .ok_or_else(|| ParseError::missing("limits"))?
                    .limits(),
            ),
            "deny" => domain::PolicyAnswer::Deny {
                code: self.code.ok_or_else(|| ParseError::missing("code"))?,
                message: message?,
                retry_after_ms: self.retry_after_ms,
            },
            "error" => domain::PolicyAnswer::Error {
                message: message?,
                passed: self.passed.ok_or_else(|| ParseError::missing("passed"))?,
            },
            other => return Err(ParseError(format!("answer {other:?}"))),
        };
        Ok(domain::PolicyVerdict {
            binding: self.binding,
            policy: self.policy,
            version: self.version,
            module: text(&self.module)?,
            config: text(&self.config)?,
            enforcement,
            answer,
            fuel: self.fuel,
        })
    }
}
