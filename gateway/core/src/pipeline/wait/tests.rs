//! Two gateways of one store, and a client that asks them in turn.

use futures_util::StreamExt;
use leasehold_audit::LedgerOptions;
use leasehold_audit::SqliteLedger;
use leasehold_backend_api::Backend;
use leasehold_backend_api::Freshness;
use leasehold_backend_memory::MemoryBackend;
use leasehold_domain::EventKind;
use leasehold_domain::LockView;
use leasehold_domain::Precondition;
use leasehold_domain::Principal;
use leasehold_domain::RoleSet;
use leasehold_domain::StoreName;
use leasehold_domain::SystemClock;
use leasehold_policy_host::EngineLimits;
use leasehold_policy_host::PolicyEngine;
use tokio::task::JoinHandle;

use super::*;
use crate::authentication::KeyRing;
use crate::authorization::fixture::authorization;
use crate::config::Policy;
use crate::governance::Governance;
use crate::governance::document::DefaultDecision;
use crate::governance::document::NamespaceCaps;
use crate::governance::document::NamespaceDraft;
use crate::governance::document::Visibility;
use crate::pipeline::Pipeline;
use crate::pipeline::ask;
use crate::pipeline::decide::Decider;
use crate::safety::tests::safety;
use crate::store_client::StoreClient;
use crate::stores::Remembered;
use crate::stores::StoreParts;
use crate::stores::Stores;
use crate::telemetry::Metrics;
use crate::waits::Waits;
use crate::watches::Watches;

/// Longer than any of these tests takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Two gateways, and what they share.
struct Pair {
    backend: Arc<MemoryBackend>,
    here: Arc<Pipeline>,
    there: Arc<Pipeline>,
    _folder: tempfile::TempDir,
    _run: tokio::sync::watch::Sender<bool>,
}

fn caller(who: &str, request: &str) -> Caller {
    Caller {
        principal: Arc::new(Principal {
            subject: who.parse().unwrap(),
            team: None,
            roles: RoleSet::default(),
            claims: [].into(),
        }),
        scope: None,
        request_id: request.parse().unwrap(),
    }
}

fn lock() -> LockRef {
    "demo/l".parse().unwrap()
}

/// A namespace without policies.
fn namespace() -> NamespaceDraft {
    NamespaceDraft {
        name: "demo".parse().unwrap(),
        team: None,
        visibility: Visibility::default(),
        description: String::new(),
        default_decision: DefaultDecision::Allow,
        store: None,
        caps: None,
    }
}

async fn pair() -> Pair {
    let clock = Arc::new(SystemClock::new());
    let backend = MemoryBackend::new(clock.clone());
    let folder = tempfile::tempdir().unwrap();
    let ledger = SqliteLedger::open(&folder.path().join("ledger"), LedgerOptions::default());
    let ledger = Arc::new(ledger.unwrap());
    let (run, shutdown) = tokio::sync::watch::channel(false);
    let engine = PolicyEngine::new(EngineLimits {
        instances: 4,
        ..EngineLimits::default()
    })
    .unwrap();
    let keys = Arc::new(KeyRing::default());
    let home = [StoreName::home()].into();
    let governance = Governance::load(backend.clone(), engine, keys, clock.clone(), home);
    let governance = governance.await.unwrap();
    let op = caller("op", "r");
    let draft = namespace();
    let made = governance.put_namespace(&op, &draft, Precondition::Absent);
    made.await.unwrap();
    let from = backend.health().await.newest;
    let gateway = || {
        let metrics = Arc::new(Metrics::new());
        let waits = Arc::new(Waits::default());
        tokio::spawn(waits.clone().follow(backend.clone(), from, metrics.clone()));
        let name = StoreName::home();
        let door = StoreClient::new(&name, backend.clone(), clock.clone(), &metrics, &safety());
        let door = Arc::new(door);
        let parts = StoreParts {
            name: name.clone(),
            backend: backend.clone(),
            ledger: ledger.clone(),
            others: None,
            remembered: Arc::new(Remembered::open(folder.path()).unwrap()),
        };
        let store = OpenStore {
            members: crate::stores::StoreMembers::default(),
            watches: Watches::new(door.clone(), ledger.clone()),
            name,
            door,
            documents: backend.clone(),
            ledger: ledger.clone(),
            parts,
            claims: crate::stores::Claims::default(),
            carrier: Arc::default(),
            waits,
        };
        let store = Arc::new(store);
        let (budget, flags) = (
            Policy::default().request_budget(),
            governance.flags().clone(),
        );
        Arc::new(Pipeline::new(Inner {
            governance: governance.clone(),
            authorization: authorization(&store, clock.clone()),
            decider: Decider::new(clock.clone(), metrics, false, budget, flags),
            stores: Arc::new(Stores::new(store, [].into())),
            default_caps: NamespaceCaps::default(),
            shutdown: shutdown.clone(),
        }))
    };
    Pair {
        here: gateway(),
        there: gateway(),
        backend,
        _folder: folder,
        _run: run,
    }
}

type Poll = JoinHandle<Result<Held, Failure>>;

/// One and the same request, made of this gateway.
fn ask(gateway: &Arc<Pipeline>, wait_ms: u64) -> Poll {
    let gateway = gateway.clone();
    tokio::spawn(async move {
        let acquire = ask::Acquire {
            lock: lock(),
            mode: Mode::Exclusive,
            ttl_ms: 60_000,
            wait_ms: Some(wait_ms),
            instance: None,
            labels: [].into(),
            reason: None,
            value: None,
            override_terms: None,
        };
        gateway.acquire(&caller("bob", "same"), acquire).await
    })
}

impl Pair {
    /// Somebody else holds the lock; its lease.
    async fn held(&self) -> LeaseId {
        let acquire = ask::Acquire {
            lock: lock(),
            mode: Mode::Exclusive,
            ttl_ms: 60_000,
            wait_ms: None,
            instance: None,
            labels: [].into(),
            reason: None,
            value: None,
            override_terms: None,
        };
        let held = self.here.acquire(&caller("ann", "first"), acquire).await;
        held.unwrap().grant.lease_id
    }

    async fn release(&self, lease_id: LeaseId) {
        let lock = lock();
        let release = ask::Release {
            lock,
            lease_id,
            cooldown_ms: 0,
        };
        let released = self.here.release(&caller("ann", "last"), release).await;
        released.unwrap();
    }

    /// Waits until the store has carried out so many commands.
    async fn commands(&self, count: u64) {
        tokio::time::timeout(PATIENCE, async {
            while self.backend.health().await.writes.commands() < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .expect("the commands come in time");
    }

    async fn view(&self) -> LockView {
        let lock = lock();
        let read = self.backend.read(&lock, Freshness::Linearizable);
        read.await.unwrap()
    }
}

async fn granted(poll: Poll) -> Held {
    let answered = tokio::time::timeout(PATIENCE, poll).await;
    answered.expect("in time").unwrap().unwrap()
}

#[tokio::test]
async fn a_gateway_that_notices_late_takes_no_place_from_who_asked_elsewhere() {
    // The first gateway's cancellation may come before the hand-over, or after it.
    for before in [true, false] {
        let pair = pair().await;
        let lease_id = pair.held().await;
        let first = ask(&pair.here, 60_000);
        pair.commands(2).await;
        // Asked again: once to find the place, once more when it listens there.
        let second = ask(&pair.there, 60_000);
        pair.commands(4).await;
        first.abort();
        if before {
            pair.commands(5).await;
            assert_eq!(pair.view().await.queue.len(), 1, "the place is kept");
        }
        pair.release(lease_id).await;
        let held = granted(second).await;
        assert!(held.grant.waited);
        pair.commands(6).await;
        let holders = pair.view().await.holders;
        assert_eq!(holders.len(), 1);
        assert_eq!(holders[0].handle, held.grant.lease_id.handle());
    }
}

#[tokio::test]
async fn when_both_gateways_have_noticed_nothing_is_left() {
    for first_first in [true, false] {
        let pair = pair().await;
        let lease_id = pair.held().await;
        let first = ask(&pair.here, 60_000);
        pair.commands(2).await;
        let second = ask(&pair.there, 60_000);
        pair.commands(4).await;
        let (one, other) = if first_first {
            (first, second)
        } else {
            (second, first)
        };
        one.abort();
        pair.commands(5).await;
        other.abort();
        pair.commands(6).await;
        assert!(pair.view().await.queue.is_empty());
        pair.release(lease_id).await;
        assert!(pair.view().await.holders.is_empty());
    }
}

#[tokio::test]
async fn a_place_between_two_polls_is_found_elsewhere_and_stays() {
    let pair = pair().await;
    let lease_id = pair.held().await;
    let ended = ask(&pair.here, 1).await.unwrap();
    assert_eq!(ended.unwrap_err().kind, FailureKind::Held);
    pair.release(lease_id).await;
    let view = pair.view().await;
    assert!(view.holders.is_empty(), "nobody is there to take it");
    assert_eq!(view.queue.len(), 1);
    let held = granted(ask(&pair.there, 60_000)).await;
    assert!(held.grant.waited);
    // The first gateway gives up what nobody asked for there, and takes nothing.
    pair.commands(5).await;
    assert_eq!(pair.view().await.holders.len(), 1);
}

#[tokio::test]
async fn a_place_between_two_polls_that_nobody_asks_for_is_given_up() {
    let pair = pair().await;
    let lease_id = pair.held().await;
    let ended = ask(&pair.here, 1).await.unwrap();
    assert_eq!(ended.unwrap_err().kind, FailureKind::Held);
    pair.release(lease_id).await;
    assert_eq!(pair.view().await.queue.len(), 1);
    // By the store's own tick, or by the gateway.
    tokio::time::timeout(PATIENCE, async {
        while !pair.view().await.queue.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("the place is given up in time");
    assert!(pair.view().await.holders.is_empty());
}

/// The decisions that are on record for the lock.
async fn decisions(pair: &Pair) -> Vec<u128> {
    let newest = pair.backend.health().await.newest;
    let events = pair.backend.events(leasehold_domain::Cursor(0));
    let events = events.take(usize::try_from(newest.0).unwrap());
    let decided = events.filter_map(async |event| match &event.unwrap().kind {
        EventKind::Lock { cause, .. } => {
            let decision = cause.as_ref().and_then(|cause| cause.decision.as_ref());
            decision.map(|decision| decision.id)
        }
        _ => None,
    });
    decided.collect().await
}

#[tokio::test]
async fn a_grant_that_is_judged_again_is_on_record_with_the_decision_that_is_answered() {
    let pair = pair().await;
    let lease_id = pair.held().await;
    let waits = ask(&pair.here, 60_000);
    pair.commands(2).await;
    // What governs has changed since it asked.
    let governance = &pair.here.inner.governance;
    let before = governance.plan().revision;
    let other = NamespaceDraft {
        name: "other".parse().unwrap(),
        ..namespace()
    };
    let op = caller("op", "r2");
    let made = governance.put_namespace(&op, &other, Precondition::Absent);
    made.await.unwrap();
    assert!(governance.plan().revision > before);
    pair.release(lease_id).await;
    let held = granted(waits).await;
    assert!(held.grant.waited);
    let decided = held.decision.unwrap().id;
    assert!(decisions(&pair).await.contains(&decided));
}
