//! How the cases speak to a store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use leasehold_backend_api::BackendError;
use leasehold_backend_api::Batch;
use leasehold_backend_api::Effect as StoreEffect;
use leasehold_backend_api::ErrorKind;
use leasehold_backend_api::Freshness;
use leasehold_domain::Action;
use leasehold_domain::Atomicity;
use leasehold_domain::Cause;
use leasehold_domain::Command;
use leasehold_domain::Decision;
use leasehold_domain::Digest;
use leasehold_domain::Effect;
use leasehold_domain::Enforcement;
use leasehold_domain::Facts;
use leasehold_domain::Grant;
use leasehold_domain::LeaseId;
use leasehold_domain::LockRef;
use leasehold_domain::LockView;
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
use leasehold_domain::WallMillis;

use crate::Harness;
use crate::Running;
use crate::tail::Tail;

/// Longer than any case waits for a time to live.
pub(crate) const LONG: u64 = 600_000;
/// A wait in the queue that outlasts its case.
pub(crate) const WAIT: Option<u64> = Some(60_000);

/// How often, and after how long, a batch is asked again that the store could not take.
const ASKED_AGAIN_MAX: usize = 100;
const ASKED_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// A store under test, and the harness that started it.
pub(crate) struct Store<'h, H: Harness + ?Sized> {
    pub(crate) harness: &'h H,
    pub(crate) running: Running,
}

impl<'h, H: Harness + ?Sized> Store<'h, H> {
    pub(crate) async fn start(harness: &'h H) -> Self {
        let running = harness.start().await;
        Self { harness, running }
    }

    /// Carries out a batch that must not fail. A group that elects a leader, as it may on a busy
    /// machine, takes nothing and says so: it is asked again.
    pub(crate) async fn run(&self, batch: Batch) -> Vec<Outcome> {
        let commands = batch.commands.len();
        let mut outcomes = self.try_run(batch.clone()).await;
        for _ in 0..ASKED_AGAIN_MAX {
            let elects = |error: &BackendError| {
                error.kind == ErrorKind::Unavailable && error.effect == StoreEffect::None
            };
            if !outcomes.as_ref().is_err_and(elects) {
                break;
            }
            tokio::time::sleep(ASKED_AGAIN_AFTER).await;
            outcomes = self.try_run(batch.clone()).await;
        }
        let outcomes = outcomes.expect("the store takes the batch");
        assert_eq!(outcomes.len(), commands, "one outcome for each command");
        outcomes
    }

    pub(crate) async fn try_run(&self, batch: Batch) -> Result<Vec<Outcome>, BackendError> {
        self.running.backend.execute(batch).await
    }

    /// `who` asks one thing of one lock, with a request id of its own.
    pub(crate) async fn ask(&self, who: &str, name: &str, action: Action) -> Outcome {
        self.run_one(command(who, &fresh_request(), lock(name), action))
            .await
    }

    pub(crate) async fn run_one(&self, command: Command) -> Outcome {
        let mut outcomes = self.run(Batch::one(command)).await;
        outcomes.remove(0)
    }

    /// `who` takes a free lock.
    pub(crate) async fn take(&self, who: &str, name: &str, ttl_ms: u64) -> Grant {
        granted(self.ask(who, name, acquire(ttl_ms, None)).await)
    }

    /// `who` enters a queue; answers the lease that a grant will have.
    pub(crate) async fn queue(&self, who: &str, name: &str, ttl_ms: u64) -> LeaseId {
        match self.ask(who, name, acquire(ttl_ms, WAIT)).await {
            Outcome::Queued { lease_id, .. } => lease_id,
            other => panic!("{who} is not queued: {other:?}"),
        }
    }

    /// Gives a lease back that must be held.
    pub(crate) async fn give_back(&self, who: &str, name: &str, lease_id: LeaseId) {
        let outcome = self.ask(who, name, Action::Release { lease_id }).await;
        assert_eq!(outcome, Outcome::Released, "{who} gives {name} back");
    }

    pub(crate) async fn view(&self, name: &str) -> LockView {
        let (backend, lock) = (&self.running.backend, lock(name));
        let read = backend.read(&lock, Freshness::Linearizable);
        read.await.expect("the store can be read")
    }

    /// Who holds a lock, in the order of their grants.
    pub(crate) async fn holders(&self, name: &str) -> Vec<String> {
        let holders = self.view(name).await.holders;
        holders
            .iter()
            .map(|holder| holder.owner.subject.to_string())
            .collect()
    }

    /// All events from the first on.
    pub(crate) fn tail(&self) -> Tail {
        self.tail_after(0)
    }

    pub(crate) fn tail_after(&self, after: u64) -> Tail {
        Tail::new(&*self.running.backend, after)
    }

    pub(crate) async fn pass(&self, ms: u64) {
        self.harness.pass(&self.running, ms).await;
    }

    /// The time on the clock of the store's clients.
    pub(crate) fn clock(&self) -> Duration {
        self.running.clock.monotonic()
    }

    /// Lets time pass in steps, at most about `most_ms`, until `is_so` of the lock. Then the store
    /// still has real time to notice, and the clock goes on as a real one: a store that has just
    /// been started may have missed the steps, which took no time.
    pub(crate) async fn until(&self, name: &str, most_ms: u64, is_so: impl Fn(&LockView) -> bool) {
        let begin = self.clock();
        let mut patience = 3_000;
        loop {
            let view = self.view(name).await;
            if is_so(&view) {
                return;
            }
            if self.clock() - begin <= Duration::from_millis(most_ms) {
                self.pass(50).await;
                continue;
            }
            assert!(patience > 0, "{name} after {most_ms} ms: {view:?}");
            patience -= 1;
            tokio::time::sleep(Duration::from_millis(10)).await;
            self.pass(10).await;
        }
    }
}

pub(crate) fn lock(name: &str) -> LockRef {
    match name.contains(':') {
        true => name.replacen(':', "/", 1).parse(),
        false => format!("demo/{name}").parse(),
    }
    .expect("a lock's name")
}

pub(crate) fn subject(name: &str) -> Subject {
    name.parse().expect("a subject")
}

fn number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A lease id that no other case has.
pub(crate) fn fresh_lease() -> LeaseId {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&number().to_be_bytes());
    LeaseId::from_bytes(bytes)
}

pub(crate) fn fresh_request() -> String {
    format!("request-{}", number())
}

/// Subjects of the same first letter share a team.
pub(crate) fn principal(who: &str) -> Arc<Principal> {
    Arc::new(Principal {
        subject: subject(who),
        team: Some(format!("team-{}", &who[..1]).parse().expect("a team")),
        roles: RoleSet::default(),
        claims: BTreeMap::new(),
    })
}

pub(crate) fn cause(who: &str, request: &str, lock: &LockRef) -> Arc<Cause> {
    Arc::new(Cause {
        request_id: request.parse().expect("a request id"),
        received: WallMillis(0),
        principal: principal(who),
        request: Request::new(Operation::Acquire, lock.clone()),
        decision: None,
    })
}

pub(crate) fn command(who: &str, request: &str, lock: LockRef, action: Action) -> Command {
    Command {
        cause: Some(cause(who, request, &lock)),
        lock,
        action,
        expect: None,
    }
}

/// Returns the command with a decision that allowed it: by one policy, whose version has this
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

/// A command with a request id of its own.
pub(crate) fn by(who: &str, name: &str, action: Action) -> Command {
    command(who, &fresh_request(), lock(name), action)
}

pub(crate) fn acquire(ttl_ms: u64, wait_ms: Option<u64>) -> Action {
    acquire_as(Mode::Exclusive, ttl_ms, wait_ms)
}

pub(crate) fn acquire_as(mode: Mode, ttl_ms: u64, wait_ms: Option<u64>) -> Action {
    Action::Acquire {
        lease_id: fresh_lease(),
        mode,
        ttl_ms,
        wait_ms,
        max_hold_ms: None,
    }
}

/// As gateways ask for a lock: a late duplicate is not granted a new lease.
pub(crate) fn acquire_once(ttl_ms: u64, wait_ms: Option<u64>) -> Action {
    Action::AcquireOnce {
        lease_id: fresh_lease(),
        mode: Mode::Exclusive,
        ttl_ms,
        wait_ms,
        max_hold_ms: None,
    }
}

pub(crate) fn renew(lease_id: LeaseId, ttl_ms: Option<u64>) -> Action {
    Action::Renew {
        lease_id,
        ttl_ms,
        max_hold_ms: None,
        record: false,
    }
}

pub(crate) fn revoke(grace_ms: u64) -> Action {
    Action::Revoke {
        target: RevokeTarget::All,
        grace_ms,
    }
}

pub(crate) fn together(commands: Vec<Command>) -> Batch {
    Batch {
        commands,
        atomicity: Atomicity::AllOrNothing,
        notes: Vec::new(),
    }
}

pub(crate) fn each(commands: Vec<Command>) -> Batch {
    Batch {
        commands,
        atomicity: Atomicity::Each,
        notes: Vec::new(),
    }
}

#[track_caller]
pub(crate) fn granted(outcome: Outcome) -> Grant {
    match outcome {
        Outcome::Granted(grant) | Outcome::Renewed(grant) => grant,
        other => panic!("not granted: {other:?}"),
    }
}
