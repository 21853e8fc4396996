//! The same values as prost's messages: only the fields and variants that a cycle has, all that a
//! complete set would have in the bytes.

use std::collections::BTreeMap;
use std::sync::Arc;

use leasehold_domain as domain;
use prost::Message;
use prost::Oneof;

use crate::values;

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

fn parsed<T: std::str::FromStr>(text: &str) -> T {
    text.parse().ok().expect("it was a name")
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
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

fn permits(mode: domain::Mode) -> u32 {
    match mode {
        domain::Mode::Exclusive => 0,
        domain::Mode::Shared { permits } => permits,
    }
}

fn mode(permits: u32) -> domain::Mode {
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

impl From<domain::PolicyLimits> for Limits {
    fn from(limits: domain::PolicyLimits) -> Self {
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
            allow: match verdict.answer {
                domain::PolicyAnswer::Allow(limits) => Some(limits.into()),
                _ => None,
            },
            fuel: verdict.fuel,
        };
        Decision {
            id: self.id.to_be_bytes().to_vec(),
            now: self.facts.now.0,
            verdicts: self.verdicts.iter().map(verdict).collect(),
            limits: Some(self.limits.into()),
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

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Event {
    #[prost(uint64, tag = "1")]
    cursor: u64,
    #[prost(uint64, tag = "2")]
    now: u64,
    #[prost(uint64, tag = "3")]
    wall: u64,
    #[prost(message, optional, tag = "4")]
    lock: Option<LockRef>,
    #[prost(message, optional, tag = "5")]
    cause: Option<Cause>,
    #[prost(message, repeated, tag = "6")]
    transitions: Vec<Transition>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Transition {
    #[prost(oneof = "Kind", tags = "1, 2")]
    kind: Option<Kind>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum Kind {
    #[prost(message, tag = "1")]
    Granted(Granted),
    #[prost(message, tag = "2")]
    Ended(Ended),
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Granted {
    #[prost(bytes, tag = "1")]
    handle: Vec<u8>,
    #[prost(message, optional, tag = "2")]
    owner: Option<Owner>,
    #[prost(uint32, tag = "3")]
    permits: u32,
    #[prost(uint64, tag = "4")]
    token: u64,
    #[prost(uint64, tag = "5")]
    ttl_ms: u64,
    #[prost(uint64, optional, tag = "6")]
    waited_ms: Option<u64>,
    #[prost(string, tag = "7")]
    request_id: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Ended {
    #[prost(bytes, tag = "1")]
    handle: Vec<u8>,
    #[prost(message, optional, tag = "2")]
    owner: Option<Owner>,
    #[prost(uint32, tag = "3")]
    permits: u32,
    #[prost(uint64, tag = "4")]
    token: u64,
    #[prost(uint32, tag = "5")]
    cause: u32,
    #[prost(uint64, tag = "6")]
    since: u64,
    #[prost(uint64, tag = "7")]
    held_ms: u64,
    #[prost(uint64, tag = "8")]
    late_ms: u64,
    #[prost(message, optional, tag = "9")]
    renewals: Option<Renewals>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Renewals {
    #[prost(uint64, tag = "1")]
    count: u64,
    #[prost(uint64, tag = "2")]
    first: u64,
    #[prost(uint64, tag = "3")]
    last: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Owner {
    #[prost(string, tag = "1")]
    subject: String,
    #[prost(string, optional, tag = "2")]
    team: Option<String>,
    #[prost(string, optional, tag = "3")]
    instance: Option<String>,
}

impl Mirrored for domain::Owner {
    type Message = Owner;

    fn message(&self) -> Owner {
        Owner {
            subject: self.subject.to_string(),
            team: self.team.as_ref().map(ToString::to_string),
            instance: self.instance.as_deref().map(str::to_owned),
        }
    }

    fn of(message: Owner) -> Self {
        Self {
            subject: parsed(&message.subject),
            team: message.team.as_deref().map(parsed),
            instance: message.instance.map(Into::into),
            labels: BTreeMap::new(),
            value: None,
            reason: None,
        }
    }
}

impl Mirrored for domain::Transition {
    type Message = Transition;

    fn message(&self) -> Transition {
        let kind = match self {
            Self::Granted {
                handle,
                owner,
                mode,
                token,
                ttl_ms,
                waited_ms,
                request_id,
            } => Kind::Granted(Granted {
                handle: handle.as_bytes().to_vec(),
                owner: Some(owner.message()),
                permits: permits(*mode),
                token: token.0,
                ttl_ms: *ttl_ms,
                waited_ms: *waited_ms,
                request_id: request_id.to_string(),
            }),
            Self::Ended {
                handle,
                owner,
                mode,
                token,
                since,
                held_ms,
                late_ms,
                renewals,
                ..
            } => Kind::Ended(Ended {
                handle: handle.as_bytes().to_vec(),
                owner: Some(owner.message()),
                permits: permits(*mode),
                token: token.0,
                cause: 0,
                since: since.0,
                held_ms: *held_ms,
                late_ms: *late_ms,
                renewals: Some(Renewals {
                    count: renewals.count,
                    first: renewals.first.0,
                    last: renewals.last.0,
                }),
            }),
            other => unreachable!("no cycle has {other:?}"),
        };
        Transition { kind: Some(kind) }
    }

    fn of(message: Transition) -> Self {
        match message.kind.expect("a transition") {
            Kind::Granted(granted) => Self::Granted {
                handle: domain::LeaseHandle::from_bytes(array(&granted.handle)),
                owner: domain::Owner::of(granted.owner.unwrap_or_default()),
                mode: mode(granted.permits),
                token: domain::FencingToken(granted.token),
                ttl_ms: granted.ttl_ms,
                waited_ms: granted.waited_ms,
                request_id: parsed(&granted.request_id),
            },
            Kind::Ended(ended) => {
                let renewals = ended.renewals.unwrap_or_default();
                Self::Ended {
                    handle: domain::LeaseHandle::from_bytes(array(&ended.handle)),
                    owner: domain::Owner::of(ended.owner.unwrap_or_default()),
                    mode: mode(ended.permits),
                    token: domain::FencingToken(ended.token),
                    cause: domain::EndCause::Released,
                    since: domain::WallMillis(ended.since),
                    held_ms: ended.held_ms,
                    late_ms: ended.late_ms,
                    renewals: domain::Renewals {
                        count: renewals.count,
                        first: domain::WallMillis(renewals.first),
                        last: domain::WallMillis(renewals.last),
                    },
                }
            }
        }
    }
}

impl Mirrored for domain::Event {
    type Message = Event;

    fn message(&self) -> Event {
        let domain::EventKind::Lock {
            lock,
            cause,
            transitions,
        } = &self.kind
        else {
            unreachable!("a cycle has only events of locks");
        };
        Event {
            cursor: self.cursor.0,
            now: self.now.0,
            wall: self.wall.0,
            lock: Some(lock.message()),
            cause: cause.as_deref().map(domain::Cause::message),
            transitions: transitions
                .iter()
                .map(domain::Transition::message)
                .collect(),
        }
    }

    fn of(message: Event) -> Self {
        let transitions = message.transitions.into_iter();
        Self {
            cursor: domain::Cursor(message.cursor),
            now: domain::Millis(message.now),
            wall: domain::WallMillis(message.wall),
            kind: domain::EventKind::Lock {
                lock: domain::LockRef::of(message.lock.unwrap_or_default()),
                cause: message
                    .cause
                    .map(|cause| Arc::new(domain::Cause::of(cause))),
                transitions: transitions.map(domain::Transition::of).collect(),
            },
        }
    }
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Record {
    #[prost(uint64, tag = "1")]
    clock: u64,
    #[prost(uint64, tag = "2")]
    revision: u64,
    #[prost(uint64, tag = "3")]
    last_token: u64,
    #[prost(message, repeated, tag = "4")]
    holders: Vec<Lease>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Lease {
    #[prost(bytes, tag = "1")]
    lease_id: Vec<u8>,
    #[prost(string, tag = "2")]
    request_id: String,
    #[prost(string, tag = "3")]
    subject: String,
    #[prost(string, optional, tag = "4")]
    team: Option<String>,
    #[prost(uint32, tag = "5")]
    permits: u32,
    #[prost(uint64, tag = "6")]
    token: u64,
    #[prost(uint64, tag = "7")]
    since: u64,
    #[prost(uint64, tag = "8")]
    granted: u64,
    #[prost(uint64, tag = "9")]
    deadline: u64,
    #[prost(uint64, tag = "10")]
    ttl_ms: u64,
    #[prost(uint64, optional, tag = "11")]
    hold_until: Option<u64>,
    #[prost(bytes, optional, tag = "12")]
    rule: Option<Vec<u8>>,
}

impl Mirrored for values::Record {
    type Message = Record;

    fn message(&self) -> Record {
        let lease = |lease: &values::Lease| Lease {
            lease_id: lease.lease_id.to_bytes().to_vec(),
            request_id: lease.request_id.to_string(),
            subject: lease.party.subject.to_string(),
            team: lease.party.team.as_ref().map(ToString::to_string),
            permits: permits(lease.mode),
            token: lease.token.0,
            since: lease.since.0,
            granted: lease.granted.0,
            deadline: lease.deadline.0,
            ttl_ms: lease.ttl_ms,
            hold_until: lease.hold_until.map(|until| until.0),
            rule: lease.rule.map(|rule| rule.0.to_vec()),
        };
        Record {
            clock: self.clock.0,
            revision: self.revision,
            last_token: self.last_token,
            holders: self.holders.iter().map(lease).collect(),
        }
    }

    fn of(message: Record) -> Self {
        let lease = |lease: Lease| values::Lease {
            lease_id: domain::LeaseId::from_bytes(array(&lease.lease_id)),
            request_id: parsed(&lease.request_id),
            party: values::Party {
                subject: parsed(&lease.subject),
                team: lease.team.as_deref().map(parsed),
                details: None,
            },
            mode: mode(lease.permits),
            token: domain::FencingToken(lease.token),
            since: domain::WallMillis(lease.since),
            granted: domain::Millis(lease.granted),
            deadline: domain::Millis(lease.deadline),
            ttl_ms: lease.ttl_ms,
            hold_until: lease.hold_until.map(domain::Millis),
            drain: None,
            renewals: domain::Renewals::default(),
            waited: false,
            rule: lease.rule.map(|rule| domain::RuleDigest(array(&rule))),
        };
        Self {
            clock: domain::Millis(message.clock),
            revision: message.revision,
            last_token: message.last_token,
            holders: message.holders.into_iter().map(lease).collect(),
            rest: None,
        }
    }
}
