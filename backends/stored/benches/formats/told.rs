//! Events and records as prost's messages.

use std::collections::BTreeMap;
use std::sync::Arc;

use leasehold_domain as domain;
use prost::Message;
use prost::Oneof;

use crate::messages::Cause;
use crate::messages::LockRef;
use crate::messages::Mirrored;
use crate::messages::array;
use crate::messages::mode;
use crate::messages::parsed;
use crate::messages::permits;
use crate::values;

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
            level: domain::FeatureLevel::FIRST,
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
    #[prost(message, repeated, tag = "5")]
    policies: Vec<LeasePolicies>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct LeasePolicies {
    #[prost(message, repeated, tag = "1")]
    granted: Vec<PolicyVersion>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct PolicyVersion {
    #[prost(string, tag = "1")]
    policy: String,
    #[prost(string, tag = "2")]
    version: String,
}

impl From<&domain::LeasePolicies> for LeasePolicies {
    fn from(policies: &domain::LeasePolicies) -> Self {
        let version = |one: &domain::PolicyVersion| PolicyVersion {
            policy: one.policy.to_string(),
            version: one.version.to_string(),
        };
        Self {
            granted: policies.granted.iter().map(version).collect(),
        }
    }
}

impl From<LeasePolicies> for domain::LeasePolicies {
    fn from(policies: LeasePolicies) -> Self {
        let version = |one: PolicyVersion| domain::PolicyVersion {
            policy: one.policy.into(),
            version: one.version.into(),
        };
        Self {
            granted: policies.granted.into_iter().map(version).collect(),
            renewed: None,
        }
    }
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
    #[prost(uint32, tag = "13")]
    policies: u32,
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
            policies: lease.policies,
        };
        Record {
            clock: self.clock.0,
            revision: self.revision,
            last_token: self.last_token,
            holders: self.holders.iter().map(lease).collect(),
            policies: self.policies.iter().map(Into::into).collect(),
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
            policies: lease.policies,
            counters: Vec::new(),
        };
        Self {
            clock: domain::Millis(message.clock),
            revision: message.revision,
            last_token: message.last_token,
            holders: message.holders.into_iter().map(lease).collect(),
            rest: None,
            policies: message.policies.into_iter().map(Into::into).collect(),
        }
    }
}
