//! The same values as prost's messages: only the fields and variants that a cycle has, all that a
//! complete set would have in the bytes.

use std::collections::BTreeMap;
use std::sync::Arc;

use leasehold_domain as domain;
use prost::Message;
use prost::Oneof;

/// What has a message of the same content.
pub(crate) trait Mirrored: Sized {
    type Message: Message + Default;

    fn message(&self) -> Self::Message;
    fn of(message: Self::Message) -> Self;
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct LockRef {
    #[prost(string, tag = "1")]
    namespace: String,
    #[prost(string, tag = "2")]
    lock: String,
}

impl Mirrored for domain::LockRef {
    type Message = LockRef;

    fn message(&self) -> LockRef {
        LockRef {
            namespace: self.namespace.to_string(),
            lock: self.lock.to_string(),
        }
    }

    fn of(message: LockRef) -> Self {
        Self::new(parsed(&message.namespace), parsed(&message.lock))
    }
}

pub(crate) fn parsed<T: std::str::FromStr>(text: &str) -> T {
    text.parse().ok().expect("it was a name")
}

pub(crate) fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("it had this length")
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Command {
    #[prost(message, optional, tag = "1")]
    lock: Option<LockRef>,
    #[prost(oneof = "Action", tags = "2, 3")]
    action: Option<Action>,
    #[prost(message, optional, tag = "4")]
    cause: Option<Cause>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum Action {
    #[prost(message, tag = "2")]
    AcquireOnce(AcquireOnce),
    #[prost(message, tag = "3")]
    Release(Release),
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct AcquireOnce {
    #[prost(bytes, tag = "1")]
    lease_id: Vec<u8>,
    #[prost(uint32, tag = "2")]
    permits: u32,
    #[prost(uint64, tag = "3")]
    ttl_ms: u64,
    #[prost(uint64, optional, tag = "4")]
    wait_ms: Option<u64>,
    #[prost(uint64, optional, tag = "5")]
    max_hold_ms: Option<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Release {
    #[prost(bytes, tag = "1")]
    lease_id: Vec<u8>,
}

pub(crate) fn permits(mode: domain::Mode) -> u32 {
    match mode {
        domain::Mode::Exclusive => 0,
        domain::Mode::Shared { permits } => permits,
    }
}

pub(crate) fn mode(permits: u32) -> domain::Mode {
    match permits {
        0 => domain::Mode::Exclusive,
        permits => domain::Mode::Shared { permits },
    }
}

impl Mirrored for domain::Command {
    type Message = Command;

    fn message(&self) -> Command {
        let action = match &self.action {
            domain::Action::AcquireOnce {
                lease_id,
                mode,
                ttl_ms,
                wait_ms,
                max_hold_ms,
            } => Action::AcquireOnce(AcquireOnce {
                lease_id: lease_id.to_bytes().to_vec(),
                permits: permits(*mode),
                ttl_ms: *ttl_ms,
                wait_ms: *wait_ms,
                max_hold_ms: *max_hold_ms,
            }),
            domain::Action::Release { lease_id } => Action::Release(Release {
                lease_id: lease_id.to_bytes().to_vec(),
            }),
            other => unreachable!("no cycle has {other:?}"),
        };
        Command {
            lock: Some(self.lock.message()),
            action: Some(action),
            cause: self.cause.as_deref().map(domain::Cause::message),
        }
    }

    fn of(message: Command) -> Self {
        let action = match message.action.expect("an action") {
            Action::AcquireOnce(acquire) => domain::Action::AcquireOnce {
                lease_id: domain::LeaseId::from_bytes(array(&acquire.lease_id)),
                mode: mode(acquire.permits),
                ttl_ms: acquire.ttl_ms,
                wait_ms: acquire.wait_ms,
                max_hold_ms: acquire.max_hold_ms,
            },
            Action::Release(release) => domain::Action::Release {
                lease_id: domain::LeaseId::from_bytes(array(&release.lease_id)),
            },
        };
        Self {
            lock: domain::LockRef::of(message.lock.unwrap_or_default()),
            action,
            cause: message
                .cause
                .map(|cause| Arc::new(domain::Cause::of(cause))),
            expect: None,
        }
    }
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Cause {
    #[prost(string, tag = "1")]
    request_id: String,
    #[prost(uint64, tag = "2")]
    received: u64,
    #[prost(string, tag = "3")]
    subject: String,
    #[prost(string, optional, tag = "4")]
    team: Option<String>,
    #[prost(btree_map = "string, string", tag = "5")]
    claims: BTreeMap<String, String>,
    #[prost(message, optional, tag = "6")]
    request: Option<Request>,
    #[prost(message, optional, tag = "7")]
    decision: Option<Decision>,
}

impl Mirrored for domain::Cause {
    type Message = Cause;

    fn message(&self) -> Cause {
        Cause {
            request_id: self.request_id.to_string(),
            received: self.received.0,
            subject: self.principal.subject.to_string(),
            team: self.principal.team.as_ref().map(ToString::to_string),
            claims: self.principal.claims.clone(),
            request: Some(self.request.message()),
            decision: self.decision.as_deref().map(domain::Decision::message),
        }
    }

    fn of(message: Cause) -> Self {
        Self {
            request_id: parsed(&message.request_id),
            received: domain::WallMillis(message.received),
            principal: Arc::new(domain::Principal {
                subject: parsed(&message.subject),
                team: message.team.as_deref().map(parsed),
                roles: domain::RoleSet::default(),
                claims: message.claims,
            }),
            request: domain::Request::of(message.request.unwrap_or_default()),
            decision: message
                .decision
                .map(|decision| Arc::new(domain::Decision::of(decision))),
        }
    }
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Request {
    #[prost(uint32, tag = "1")]
    operation: u32,
    #[prost(message, optional, tag = "2")]
    lock: Option<LockRef>,
    #[prost(uint32, optional, tag = "3")]
    permits: Option<u32>,
    #[prost(uint64, optional, tag = "4")]
    ttl_ms: Option<u64>,
    #[prost(uint64, optional, tag = "5")]
    wait_ms: Option<u64>,
    #[prost(string, optional, tag = "6")]
    instance: Option<String>,
    #[prost(btree_map = "string, string", tag = "7")]
    labels: BTreeMap<String, String>,
    #[prost(bytes, optional, tag = "8")]
    lease: Option<Vec<u8>>,
}

impl Mirrored for domain::Request {
    type Message = Request;

    fn message(&self) -> Request {
        Request {
            operation: u32::from(self.operation == domain::Operation::Release),
            lock: Some(self.lock.message()),
            permits: self.mode.map(permits),
            ttl_ms: self.ttl_ms,
            wait_ms: self.wait_ms,
            instance: self.instance.as_deref().map(str::to_owned),
            labels: BTreeMap::new(),
            lease: self.lease.map(|lease| lease.as_bytes().to_vec()),
        }
    }

    fn of(message: Request) -> Self {
        let operation = match message.operation {
            0 => domain::Operation::Acquire,
            _ => domain::Operation::Release,
        };
        let lock = domain::LockRef::of(message.lock.unwrap_or_default());
        Self {
            mode: message.permits.map(mode),
            ttl_ms: message.ttl_ms,
            wait_ms: message.wait_ms,
            instance: message.instance.map(Into::into),
            lease: message
                .lease
                .map(|lease| domain::LeaseHandle::from_bytes(array(&lease))),
            ..Self::new(operation, lock)
        }
    }
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Decision {
    #[prost(bytes, tag = "1")]
    id: Vec<u8>,
    #[prost(uint64, tag = "2")]
    now: u64,
    #[prost(message, repeated, tag = "3")]
    verdicts: Vec<Verdict>,
    #[prost(message, optional, tag = "4")]
    limits: Option<Limits>,
    #[prost(uint64, tag = "5")]
    bindings_revision: u64,
    #[prost(bytes, optional, tag = "6")]
    rule: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Verdict {
    #[prost(string, tag = "1")]
    binding: String,
    #[prost(string, tag = "2")]
    policy: String,
    #[prost(string, tag = "3")]
    version: String,
    #[prost(bytes, tag = "4")]
    module: Vec<u8>,
    #[prost(bytes, tag = "5")]
    config: Vec<u8>,
    #[prost(uint32, tag = "6")]
    enforcement: u32,
    #[prost(message, optional, tag = "7")]
    allow: Option<Limits>,
    #[prost(uint64, tag = "8")]
    fuel: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Limits {
    #[prost(uint64, optional, tag = "1")]
    max_ttl_ms: Option<u64>,
    #[prost(uint64, optional, tag = "2")]
    max_hold_ms: Option<u64>,
}

impl From<&domain::PolicyLimits> for Limits {
    fn from(limits: &domain::PolicyLimits) -> Self {
        Self {
            max_ttl_ms: limits.max_ttl_ms,
            max_hold_ms: limits.max_hold_ms,
        }
    }
}

impl From<Limits> for domain::PolicyLimits {
    fn from(limits: Limits) -> Self {
        Self {
            max_ttl_ms: limits.max_ttl_ms,
            max_hold_ms: limits.max_hold_ms,
            counters: Vec::new(),
        }
    }
}

impl Mirrored for domain::Decision {
    type Message = Decision;

    fn message(&self) -> Decision {
        let verdict = |verdict: &domain::PolicyVerdict| Verdict {
            binding: verdict.binding.to_string(),
            policy: verdict.policy.to_string(),
            version: verdict.version.to_string(),
            module: verdict.module.0.to_vec(),
            config: verdict.config.0.to_vec(),
            enforcement: 1,
            allow: match &verdict.answer {
                domain::PolicyAnswer::Allow(limits) => Some(limits.into()),
                _ => None,
            },
            fuel: verdict.fuel,
        };
        Decision {
            id: self.id.to_be_bytes().to_vec(),
            now: self.facts.now.0,
            verdicts: self.verdicts.iter().map(verdict).collect(),
            limits: Some((&self.limits).into()),
            bindings_revision: self.bindings_revision,
            rule: self.rule.map(|rule| rule.0.to_vec()),
        }
    }

    fn of(message: Decision) -> Self {
        let verdict = |verdict: Verdict| domain::PolicyVerdict {
            binding: verdict.binding.into(),
            policy: verdict.policy.into(),
            version: verdict.version.into(),
            module: domain::Digest(array(&verdict.module)),
            config: domain::Digest(array(&verdict.config)),
            enforcement: domain::Enforcement::Mandatory,
            answer: domain::PolicyAnswer::Allow(verdict.allow.unwrap_or_default().into()),
            fuel: verdict.fuel,
            rollout: None,
        };
        let facts = domain::Facts {
            now: domain::WallMillis(message.now),
            lock: None,
            usage: None,
        };
        Self {
            id: u128::from_be_bytes(array(&message.id)),
            effect: domain::Effect::Allow,
            facts,
            verdicts: message.verdicts.into_iter().map(verdict).collect(),
            limits: message.limits.unwrap_or_default().into(),
            bindings_revision: message.bindings_revision,
            rule: message.rule.map(|rule| domain::RuleDigest(array(&rule))),
        }
    }
}
