//! One lock cycle as a gateway writes it: a service takes a nightly lock under two policies, and
//! gives it back.

use std::collections::BTreeMap;
use std::sync::Arc;

use leasehold_domain::Action;
use leasehold_domain::Cause;
use leasehold_domain::Command;
use leasehold_domain::Cursor;
use leasehold_domain::Decision;
use leasehold_domain::Digest;
use leasehold_domain::Effect;
use leasehold_domain::EndCause;
use leasehold_domain::Enforcement;
use leasehold_domain::Event;
use leasehold_domain::EventKind;
use leasehold_domain::Facts;
use leasehold_domain::FeatureLevel;
use leasehold_domain::FencingToken;
use leasehold_domain::LeaseId;
use leasehold_domain::LeasePolicies;
use leasehold_domain::LockRef;
use leasehold_domain::Millis;
use leasehold_domain::Mode;
use leasehold_domain::Operation;
use leasehold_domain::Owner;
use leasehold_domain::PolicyAnswer;
use leasehold_domain::PolicyLimits;
use leasehold_domain::PolicyVerdict;
use leasehold_domain::Principal;
use leasehold_domain::Renewals;
use leasehold_domain::Request;
use leasehold_domain::RequestId;
use leasehold_domain::RoleSet;
use leasehold_domain::RuleDigest;
use leasehold_domain::Subject;
use leasehold_domain::TeamName;
use leasehold_domain::Transition;
use leasehold_domain::WallMillis;
use leasehold_stored::formed;
use leasehold_stored::record;

/// A held lock's record with the fields that the lock machine keeps.
#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Record {
    pub(crate) clock: Millis,
    pub(crate) revision: u64,
    pub(crate) last_token: u64,
    pub(crate) holders: Vec<Lease>,
    pub(crate) rest: Option<Box<Rest>>,
    pub(crate) policies: Vec<LeasePolicies>,
}

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Rest {}

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Lease {
    pub(crate) lease_id: LeaseId,
    pub(crate) request_id: RequestId,
    pub(crate) party: Party,
    pub(crate) mode: Mode,
    pub(crate) token: FencingToken,
    pub(crate) since: WallMillis,
    pub(crate) granted: Millis,
    pub(crate) deadline: Millis,
    pub(crate) ttl_ms: u64,
    pub(crate) hold_until: Option<Millis>,
    pub(crate) drain: Option<Box<leasehold_domain::DrainCause>>,
    pub(crate) renewals: Renewals,
    pub(crate) waited: bool,
    pub(crate) rule: Option<RuleDigest>,
    pub(crate) policies: u32,
    pub(crate) counters: Vec<leasehold_domain::CounterKey>,
}

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Party {
    pub(crate) subject: Subject,
    pub(crate) team: Option<TeamName>,
    pub(crate) details: Option<Box<Rest>>,
}

impl<'a> leasehold_stored::Formed<'a> for Rest {
    type Form = record::Details<'a>;

    fn form(&'a self) -> Self::Form {
        record::Details {
            instance: None,
            labels: BTreeMap::new(),
            value: None,
            reason: None,
        }
    }

    fn restore(_: Self::Form) -> Result<Self, leasehold_stored::Invalid> {
        Ok(Self {})
    }
}

impl<'a> leasehold_stored::Formed<'a> for Record {
    type Form = record::Record<'a>;

    fn form(&'a self) -> Self::Form {
        record::Record {
            clock: self.clock.0,
            revision: self.revision,
            last_token: self.last_token,
            holders: self.holders.form(),
            rest: None,
            policies: self.policies.form(),
        }
    }

    fn restore(form: Self::Form) -> Result<Self, leasehold_stored::Invalid> {
        Ok(Self {
            clock: Millis(form.clock),
            revision: form.revision,
            last_token: form.last_token,
            holders: Vec::restore(form.holders)?,
            rest: None,
            policies: Vec::restore(form.policies)?,
        })
    }
}

formed!(struct Lease => record::Lease<'a> {
    lease_id, request_id, party, mode, token, since, granted, deadline, ttl_ms, hold_until, drain,
    renewals, waited, rule, policies, counters,
});
formed!(struct Party => record::Party<'a> { subject, team, details });

fn lock() -> LockRef {
    "payments/ledger/close/2026-11-0001"
        .parse()
        .expect("a lock")
}

fn request_id(n: u32) -> RequestId {
    format!("019acd3e-{n:04x}-7cc3-98c4-dc0c0c07398f")
        .parse()
        .expect("a request id")
}

fn lease_id() -> LeaseId {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&Digest::of(b"lease").0[..16]);
    LeaseId::from_bytes(bytes)
}

fn principal() -> Principal {
    Principal {
        subject: "svc:ledger-close".parse().expect("a subject"),
        team: Some("payments".parse().expect("a team")),
        roles: RoleSet::default(),
        claims: BTreeMap::new(),
    }
}

fn verdict(policy: &str) -> PolicyVerdict {
    PolicyVerdict {
        binding: "payments-defaults".into(),
        policy: policy.into(),
        version: "1.2.0".into(),
        module: Digest::of(policy.as_bytes()),
        config: Digest::of(b"{}"),
        enforcement: Enforcement::Mandatory,
        answer: PolicyAnswer::Allow(PolicyLimits {
            max_ttl_ms: Some(60_000),
            max_hold_ms: None,
            counters: Vec::new(),
        }),
        fuel: 48_211,
        rollout: None,
    }
}

fn decision() -> Decision {
    Decision {
        id: 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef,
        effect: Effect::Allow,
        facts: Facts {
            now: WallMillis(1_796_000_000_000),
            lock: None,
            usage: None,
        },
        verdicts: vec![verdict("ownership"), verdict("ttl-bounds")],
        limits: PolicyLimits {
            max_ttl_ms: Some(60_000),
            max_hold_ms: None,
            counters: Vec::new(),
        },
        bindings_revision: 312,
        rule: Some(RuleDigest(*b"the rule")),
    }
}

fn cause(n: u32, operation: Operation, decision: Option<Decision>) -> Arc<Cause> {
    let acquires = operation == Operation::Acquire;
    Arc::new(Cause {
        request_id: request_id(n),
        received: WallMillis(1_796_000_000_000),
        principal: Arc::new(principal()),
        request: Request {
            mode: acquires.then_some(Mode::Exclusive),
            ttl_ms: acquires.then_some(30_000),
            instance: acquires.then(|| "ledger-7f9c-2".into()),
            lease: (!acquires).then(|| lease_id().handle()),
            ..Request::new(operation, lock())
        },
        decision: decision.map(Arc::new),
    })
}

/// The two commands of a cycle, each the content of a log entry.
pub(crate) fn cycle() -> (Command, Command) {
    let command = |action, cause| Command {
        lock: lock(),
        action,
        cause: Some(cause),
        expect: None,
    };
    let acquire = Action::AcquireOnce {
        lease_id: lease_id(),
        mode: Mode::Exclusive,
        ttl_ms: 30_000,
        wait_ms: None,
        max_hold_ms: None,
    };
    let release = Action::Release {
        lease_id: lease_id(),
    };
    (
        command(acquire, cause(1, Operation::Acquire, Some(decision()))),
        command(release, cause(2, Operation::Release, None)),
    )
}

fn owner() -> Owner {
    Owner {
        subject: principal().subject,
        team: principal().team,
        instance: Some("ledger-7f9c-2".into()),
        labels: BTreeMap::new(),
        value: None,
        reason: None,
    }
}

/// The two events of a cycle.
pub(crate) fn events() -> (Event, Event) {
    let event = |cursor, cause, transition| Event {
        level: FeatureLevel::FIRST,
        cursor: Cursor(cursor),
        now: Millis(86_400_123),
        wall: WallMillis(1_796_000_000_003),
        kind: EventKind::Lock {
            lock: lock(),
            cause: Some(cause),
            transitions: vec![transition],
        },
    };
    let granted = Transition::Granted {
        handle: lease_id().handle(),
        owner: owner(),
        mode: Mode::Exclusive,
        token: FencingToken(10_241_025),
        ttl_ms: 30_000,
        waited_ms: None,
        request_id: request_id(1),
    };
    let ended = Transition::Ended {
        handle: lease_id().handle(),
        owner: owner(),
        mode: Mode::Exclusive,
        token: FencingToken(10_241_025),
        cause: EndCause::Released,
        since: WallMillis(1_796_000_000_003),
        held_ms: 12_345,
        late_ms: 0,
        renewals: Renewals {
            count: 1,
            first: WallMillis(1_796_000_010_003),
            last: WallMillis(1_796_000_010_003),
        },
    };
    (
        event(
            200_001,
            cause(1, Operation::Acquire, Some(decision())),
            granted,
        ),
        event(200_002, cause(2, Operation::Release, None), ended),
    )
}

/// Of a lease that was granted and not renewed yet.
fn policies() -> LeasePolicies {
    LeasePolicies::granted_by(&decision())
}

/// A plainly held lock.
pub(crate) fn record() -> Record {
    Record {
        clock: Millis(86_400_123),
        revision: 10_241_026,
        last_token: 10_241_025,
        holders: vec![Lease {
            lease_id: lease_id(),
            request_id: request_id(1),
            party: Party {
                subject: principal().subject,
                team: principal().team,
                details: None,
            },
            mode: Mode::Exclusive,
            token: FencingToken(10_241_025),
            since: WallMillis(1_796_000_000_003),
            granted: Millis(86_400_123),
            deadline: Millis(86_430_123),
            ttl_ms: 30_000,
            hold_until: None,
            drain: None,
            renewals: Renewals::default(),
            waited: false,
            rule: Some(RuleDigest(*b"the rule")),
            policies: 1,
            counters: Vec::new(),
        }],
        rest: None,
        policies: vec![policies()],
    }
}
