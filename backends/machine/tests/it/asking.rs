//! How the tests say who asks for what.

use std::sync::Arc;

use leasehold_domain::Action;
use leasehold_domain::Atomicity;
use leasehold_domain::Cause;
use leasehold_domain::Command;
use leasehold_domain::Decision;
use leasehold_domain::Digest;
use leasehold_domain::Effect;
use leasehold_domain::Enforcement;
use leasehold_domain::Facts;
use leasehold_domain::FeatureLevel;
use leasehold_domain::LeaseId;
use leasehold_domain::LockRef;
use leasehold_domain::Millis;
use leasehold_domain::Mode;
use leasehold_domain::Operation;
use leasehold_domain::Outcome;
use leasehold_domain::PolicyAnswer;
use leasehold_domain::PolicyLimits;
use leasehold_domain::PolicyVerdict;
use leasehold_domain::Principal;
use leasehold_domain::Request;
use leasehold_domain::RevokeTarget;
use leasehold_domain::RoleSet;
use leasehold_domain::RuleDigest;
use leasehold_domain::Subject;
use leasehold_domain::Transition;
use leasehold_domain::WallMillis;
use leasehold_domain::limits::TOKENS_PER_WRITE;
use leasehold_machine::LockRecord;
use leasehold_machine::Moment;
use leasehold_machine::apply;

pub(crate) const EXCLUSIVE: Mode = Mode::Exclusive;

pub(crate) fn shared(permits: u32) -> Mode {
    Mode::Shared { permits }
}

pub(crate) fn lock(name: &str) -> LockRef {
    format!("demo/{name}").parse().unwrap()
}

pub(crate) fn subject(name: &str) -> Subject {
    name.parse().unwrap()
}

pub(crate) fn lease(n: u64) -> LeaseId {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    LeaseId::from_bytes(bytes)
}

/// A moment whose floor grows with `write`, as a store's does.
pub(crate) fn moment(now: u64, write: u64) -> Moment {
    Moment {
        level: FeatureLevel::FIRST,
        now: Millis(now),
        wall: WallMillis(now.saturating_add(1_000_000)),
        token_floor: write * TOKENS_PER_WRITE,
    }
}

/// A command by `who` with a request id. Subjects of the same first letter share a team.
pub(crate) fn command(who: &str, request: &str, lock: LockRef, action: Action) -> Command {
    let principal = Principal {
        subject: subject(who),
        team: Some(format!("team-{}", &who[..1]).parse().unwrap()),
        roles: RoleSet::default(),
        claims: Default::default(),
    };
    let cause = Cause {
        request_id: request.parse().unwrap(),
        received: WallMillis(0),
        principal: Arc::new(principal),
        request: Request::new(Operation::Acquire, lock.clone()),
        decision: None,
    };
    Command {
        lock,
        action,
        cause: Some(Arc::new(cause)),
        expect: None,
    }
}

/// The same command, let pass by a decision under a rule: that of one policy, in the version of this
/// number.
pub(crate) fn ruled(command: Command, rule: u8) -> Command {
    let decision = Decision {
        id: 1,
        effect: Effect::Allow,
        facts: Facts {
            now: WallMillis(0),
            lock: None,
            usage: None,
        },
        verdicts: vec![PolicyVerdict {
            binding: "b".into(),
            policy: "p".into(),
            version: format!("{rule}.0.0").into(),
            module: Digest([rule; 32]),
            config: Digest([0; 32]),
            enforcement: Enforcement::Mandatory,
            answer: PolicyAnswer::Allow(PolicyLimits::default()),
            fuel: 1,
            rollout: None,
        }],
        limits: PolicyLimits::default(),
        bindings_revision: 1,
        rule: Some(RuleDigest([rule; 8])),
    };
    let is_renewal = matches!(command.action, Action::Renew { .. });
    let cause = command.cause.as_deref().map(|cause| {
        let mut request = cause.request.clone();
        if is_renewal {
            request.operation = Operation::Renew;
        }
        Cause {
            request,
            decision: Some(Arc::new(decision)),
            ..cause.clone()
        }
    });
    Command {
        cause: cause.map(Arc::new),
        ..command
    }
}

pub(crate) fn tick(lock: LockRef) -> Command {
    Command {
        lock,
        action: Action::Tick,
        cause: None,
        expect: None,
    }
}

pub(crate) fn acquire(id: u64, mode: Mode, ttl_ms: u64, wait_ms: Option<u64>) -> Action {
    Action::Acquire {
        lease_id: lease(id),
        mode,
        ttl_ms,
        wait_ms,
        max_hold_ms: None,
    }
}

pub(crate) fn acquire_once(id: u64, mode: Mode, ttl_ms: u64, wait_ms: Option<u64>) -> Action {
    Action::AcquireOnce {
        lease_id: lease(id),
        mode,
        ttl_ms,
        wait_ms,
        max_hold_ms: None,
    }
}

pub(crate) fn renew(id: u64, ttl_ms: Option<u64>) -> Action {
    Action::Renew {
        lease_id: lease(id),
        ttl_ms,
        max_hold_ms: None,
        record: false,
    }
}

pub(crate) fn release(id: u64) -> Action {
    Action::Release {
        lease_id: lease(id),
    }
}

pub(crate) fn release_with_cooldown(id: u64, cooldown_ms: u64) -> Action {
    Action::ReleaseWithCooldown {
        lease_id: lease(id),
        cooldown_ms,
    }
}

pub(crate) fn transfer(id: u64, to: &str, grace_ms: u64) -> Action {
    Action::Transfer {
        lease_id: lease(id),
        to: subject(to),
        grace_ms,
    }
}

pub(crate) fn revoke(grace_ms: u64) -> Action {
    Action::Revoke {
        target: RevokeTarget::All,
        grace_ms,
    }
}

pub(crate) fn cancel(id: u64) -> Action {
    Action::CancelWait {
        lease_id: lease(id),
    }
}

/// One lock, to which the tests speak in turn; each command is one write of a store.
#[derive(Debug, Default)]
pub(crate) struct OneLock {
    pub(crate) record: LockRecord,
    writes: u64,
    /// What the last command changed.
    pub(crate) told: Vec<Transition>,
}

impl OneLock {
    /// `who` asks at `now`; the request id is the action's lease, or the name itself.
    pub(crate) fn ask(&mut self, now: u64, who: &str, action: Action) -> Outcome {
        let request = match &action {
            Action::Acquire { lease_id, .. } => lease_id.reveal(),
            _ => who.to_owned(),
        };
        self.repeat(now, who, &request, action)
    }

    /// The same, with a given request id.
    pub(crate) fn repeat(&mut self, now: u64, who: &str, request: &str, action: Action) -> Outcome {
        self.run(now, &command(who, request, lock("l"), action))
    }

    /// `who` asks, and a decision under `rule` lets it pass.
    pub(crate) fn ask_under(&mut self, now: u64, rule: u8, who: &str, action: Action) -> Outcome {
        self.run(now, &ruled(command(who, who, lock("l"), action), rule))
    }

    pub(crate) fn tick(&mut self, now: u64) {
        assert_eq!(self.run(now, &tick(lock("l"))), Outcome::Ticked);
    }

    pub(crate) fn run(&mut self, now: u64, command: &Command) -> Outcome {
        self.writes += 1;
        let (outcome, told) = apply(&mut self.record, command, moment(now, self.writes));
        self.told = told;
        outcome
    }

    /// What the last command changed, by name.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.told.iter().map(Transition::as_str).collect()
    }

    /// Who holds the lock.
    pub(crate) fn holders(&self) -> Vec<String> {
        let view = self.record.view(&lock("l"), self.record.clock());
        let subjects = view.holders.iter();
        subjects.map(|h| h.owner.subject.to_string()).collect()
    }
}

/// The grant in an outcome that must be one.
#[track_caller]
pub(crate) fn granted(outcome: Outcome) -> leasehold_domain::Grant {
    match outcome {
        Outcome::Granted(grant) | Outcome::Renewed(grant) => grant,
        other => panic!("not granted: {other:?}"),
    }
}

/// Runs commands of a store one write at a time, each at `now`.
pub(crate) fn run_each(
    state: &mut leasehold_machine::State,
    now: u64,
    write: u64,
    commands: &[Command],
) -> Vec<Outcome> {
    state
        .execute(commands, Atomicity::Each, &[], moment(now, write))
        .outcomes
}
