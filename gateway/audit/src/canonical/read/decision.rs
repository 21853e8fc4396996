//! The decision inside an event.

use std::sync::Arc;

use leasehold_domain as domain;
use leasehold_domain::FencingToken;
use leasehold_domain::WallMillis;
use serde::Deserialize;

use super::ParseError;
use super::RawOwner;
use super::RawSettings;
use super::Text;
use super::drain_cause;
use super::mode;
use super::need;
use super::text;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDecision<'b> {
    #[serde(borrow)]
    id: Text<'b>,
    effect: RawEffect<'b>,
    facts: RawFacts<'b>,
    verdicts: Vec<RawVerdict<'b>>,
    limits: RawLimits,
    bindings_revision: u64,
    rule: Option<Text<'b>>,
}

impl RawDecision<'_> {
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
            rule: self.rule.as_ref().map(text).transpose()?,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEffect<'b> {
    #[serde(borrow, rename = "type")]
    effect: Text<'b>,
    reason: Option<Box<str>>,
    kind: Option<Text<'b>>,
    policy: Option<Arc<str>>,
    code: Option<Box<str>>,
    message: Option<Box<str>>,
    retry_after_ms: Option<u64>,
}

impl RawEffect<'_> {
    fn effect(self) -> Result<domain::Effect, ParseError> {
        Ok(match &*self.effect {
            "allow" => domain::Effect::Allow,
            "override" => domain::Effect::Override {
                reason: need(self.reason, "reason")?,
            },
            "deny" => domain::Effect::Deny(domain::Denial {
                kind: denial_kind(&need(self.kind, "kind")?)?,
                policy: self.policy,
                code: need(self.code, "code")?,
                message: need(self.message, "message")?,
                retry_after_ms: self.retry_after_ms,
            }),
            other => return Err(ParseError(format!("effect {other:?}"))),
        })
    }
}

fn denial_kind(name: &str) -> Result<domain::DenialKind, ParseError> {
    use domain::DenialKind as Kind;
    [
        Kind::Policy,
        Kind::PolicyError,
        Kind::NoPolicyBound,
        Kind::Role,
        Kind::NotHolder,
    ]
    .into_iter()
    .find(|known| known.as_str() == name)
    .ok_or_else(|| ParseError(format!("denial {name:?}")))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFacts<'b> {
    now_unix_ms: u64,
    #[serde(borrow)]
    lock: Option<Box<RawLockView<'b>>>,
    usage: Option<RawUsage>,
}

impl RawFacts<'_> {
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
struct RawLockView<'b> {
    #[serde(borrow)]
    lock: Text<'b>,
    revision: u64,
    settings: RawSettings,
    holders: Vec<RawHolder<'b>>,
    queue: Vec<RawWaiter<'b>>,
    cooldown_remaining_ms: u64,
    reserved_for: Option<Text<'b>>,
    reserved_remaining_ms: Option<u64>,
    last_token: u64,
    stale_ms: u64,
}

impl RawLockView<'_> {
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
struct RawHolder<'b> {
    #[serde(borrow)]
    handle: Text<'b>,
    owner: RawOwner<'b>,
    mode: Text<'b>,
    permits: Option<u32>,
    token: u64,
    since_unix_ms: u64,
    remaining_ms: u64,
    drain_remaining_ms: Option<u64>,
    revoked_by: Option<Text<'b>>,
    transfer_to: Option<Text<'b>>,
    policies: Option<RawPolicies>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPolicies {
    granted: Vec<RawVersion>,
    renewed: Option<Vec<RawVersion>>,
}

impl RawPolicies {
    fn policies(self) -> domain::LeasePolicies {
        let versions = |raw: Vec<RawVersion>| {
            let versions = raw.into_iter().map(|one| domain::PolicyVersion {
                policy: one.policy,
                version: one.version,
            });
            versions.collect()
        };
        domain::LeasePolicies {
            granted: versions(self.granted),
            renewed: self.renewed.map(versions),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawVersion {
    policy: Arc<str>,
    version: Arc<str>,
}

impl RawHolder<'_> {
    fn holder(self) -> Result<domain::HolderView, ParseError> {
        let state = match self.drain_remaining_ms {
            None => domain::LeaseState::Active,
            Some(remaining_ms) => domain::LeaseState::Draining {
                remaining_ms,
                cause: drain_cause(self.revoked_by.as_ref(), self.transfer_to.as_ref())?,
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
            policies: self.policies.map(|raw| Arc::new(raw.policies())),
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWaiter<'b> {
    #[serde(borrow)]
    handle: Text<'b>,
    owner: RawOwner<'b>,
    mode: Text<'b>,
    permits: Option<u32>,
    since_unix_ms: u64,
}

impl RawWaiter<'_> {
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
    #[serde(default)]
    counters: Vec<RawCounter>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCounter {
    name: Box<str>,
    maximum: u32,
    code: Option<Box<str>>,
}

impl RawLimits {
    fn limits(self) -> domain::PolicyLimits {
        domain::PolicyLimits {
            max_ttl_ms: self.max_ttl_ms,
            max_hold_ms: self.max_hold_ms,
            counters: self.counters.into_iter().map(RawCounter::counter).collect(),
        }
    }
}

impl RawCounter {
    fn counter(self) -> domain::PolicyCounter {
        domain::PolicyCounter {
            name: self.name,
            maximum: self.maximum,
            code: self.code,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawVerdict<'b> {
    binding: Arc<str>,
    policy: Arc<str>,
    version: Arc<str>,
    #[serde(borrow)]
    module: Text<'b>,
    config: Text<'b>,
    enforcement: Text<'b>,
    answer: Text<'b>,
    limits: Option<RawLimits>,
    code: Option<Box<str>>,
    message: Option<Box<str>>,
    retry_after_ms: Option<u64>,
    passed: Option<bool>,
    fuel: u64,
    rollout: Option<Box<str>>,
    stage: Option<Box<str>>,
    variant: Option<Box<str>>,
    bucket: Option<u32>,
    bucket_function: Option<Box<str>>,
    flag_share: Option<u32>,
}

impl RawVerdict<'_> {
    fn verdict(self) -> Result<domain::PolicyVerdict, ParseError> {
        use domain::Enforcement;
        let enforcement = [
            Enforcement::Advisory,
            Enforcement::Mandatory,
            Enforcement::Overridable,
        ]
        .into_iter()
        .find(|known| known.as_str() == &*self.enforcement)
        .ok_or_else(|| ParseError(format!("enforcement {:?}", &*self.enforcement)))?;
        let answer = match &*self.answer {
            "allow" => domain::PolicyAnswer::Allow(need(self.limits, "limits")?.limits()),
            "deny" => domain::PolicyAnswer::Deny {
                code: need(self.code, "code")?,
                message: need(self.message, "message")?,
                retry_after_ms: self.retry_after_ms,
            },
            "error" => domain::PolicyAnswer::Error {
                message: need(self.message, "message")?,
                passed: need(self.passed, "passed")?,
            },
            other => return Err(ParseError(format!("answer {other:?}"))),
        };
        let rollout = match (self.rollout, self.stage, self.variant) {
            (Some(rollout), Some(stage), variant) => Some(Arc::new(domain::RolloutChoice {
                rollout,
                stage,
                variant,
                bucket: self.bucket,
                bucket_function: self.bucket_function,
                flag_share: self.flag_share,
            })),
            (None, None, None)
                if self.bucket.is_none()
                    && self.bucket_function.is_none()
                    && self.flag_share.is_none() =>
            {
                None
            }
            _ => {
                return Err(ParseError(
                    "rollout and stage must be given together, and the rest only with them"
                        .to_owned(),
                ));
            }
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
            rollout,
        })
    }
}
