//! Two stores that work, and governance that cannot be asked.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use leasehold_backend_api::Effect;
use leasehold_backend_memory::MemoryBackend;
use leasehold_domain::Clock;
use leasehold_domain::ManualClock;
use leasehold_domain::Mode;
use leasehold_domain::Precondition;
use leasehold_domain::StoreName;
use leasehold_domain::SystemClock;
use leasehold_policy_host::EngineLimits;
use leasehold_policy_host::PolicyEngine;

use super::*;
use crate::authentication::KeyRing;
use crate::authorization::fixture::authorization;
use crate::bookkeeping::OtherLedgers;
use crate::config::Policy;
use crate::governance::document::DefaultDecision;
use crate::governance::document::NamespaceCaps;
use crate::governance::document::NamespaceDraft;
use crate::governance::document::Visibility;
use crate::governance::loading::tests::Counting;
use crate::governance::loading::tests::operator;
use crate::governance::loading::tests::store;
use crate::pipeline::Held;
use crate::pipeline::Inner;
use crate::pipeline::Pipeline;
use crate::pipeline::ask;
use crate::pipeline::decide::Decider;
use crate::safety::tests::safety;
use crate::stores::Parts;
use crate::stores::Remembered;
use crate::stores::RunningStore;
use crate::stores::Slot;
use crate::stores::Stores;
use crate::stores::open_ledger;
use crate::telemetry::Metrics;

/// A gateway whose default store has governance, and whose namespaces `near` and `far` are in the
/// default store and in another.
struct House {
    documents: Arc<Counting>,
    clock: Arc<ManualClock>,
    governance: Arc<Governance>,
    pipeline: Pipeline,
    _running: [RunningStore; 2],
    _folder: tempfile::TempDir,
    _run: tokio::sync::watch::Sender<bool>,
}

fn draft(name: &str, store: Option<StoreName>) -> NamespaceDraft {
    NamespaceDraft {
        name: name.parse().unwrap(),
        team: None,
        visibility: Visibility::default(),
        description: String::new(),
        default_decision: DefaultDecision::Allow,
        store,
        caps: None,
    }
}

async fn house() -> House {
    let system: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let (clock, documents, slot) = (Arc::new(ManualClock::default()), store(), Slot::default());
    let (folder, metrics) = (tempfile::tempdir().unwrap(), Arc::new(Metrics::new()));
    let remembered = Arc::new(Remembered::open(folder.path()).unwrap());
    let run = async |name: StoreName, backend: Arc<MemoryBackend>| {
        let ledger = open_ledger(&folder.path().join(name.as_str())).await;
        let parts = Parts {
            members: crate::stores::StoreMembers::default(),
            ledger: Arc::new(ledger.unwrap()),
            name,
            backend: backend.clone(),
            documents: backend,
            others: OtherLedgers::None,
            remembered: remembered.clone(),
            claims: crate::stores::Claims::default(),
            keep_events: 0,
        };
        parts.run(system.clone(), &metrics, &safety()).await
    };
    let (home, sea): (StoreName, StoreName) = (StoreName::home(), "sea".parse().unwrap());
    let running = [
        run(home.clone(), documents.store.clone()).await,
        run(sea.clone(), MemoryBackend::new(system.clone())).await,
    ];
    slot.opened(running[1].open.clone());
    let extra = [(sea.clone(), Arc::new(slot))].into();
    let stores = Arc::new(Stores::new(running[0].open.clone(), extra));
    let engine = PolicyEngine::new(EngineLimits {
        instances: 2,
        ..EngineLimits::default()
    });
    let (keys, names) = (Arc::new(KeyRing::default()), [home, sea.clone()].into());
    let governance = Governance::load(
        documents.clone(),
        engine.unwrap(),
        keys,
        clock.clone(),
        names,
    );
    let governance = governance.await.unwrap();
    for (name, store) in [("near", None), ("far", Some(sea))] {
        let (ops, draft) = (operator(), draft(name, store));
        let made = governance.put_namespace(&ops, &draft, Precondition::Absent);
        made.await.unwrap();
    }
    let (budget, flags) = (
        Policy::default().request_budget(),
        governance.flags().clone(),
    );
    let (running_on, shutdown) = tokio::sync::watch::channel(false);
    let pipeline = Pipeline::new(Inner {
        governance: governance.clone(),
        authorization: authorization(stores.get(&StoreName::home()).unwrap(), system.clone()),
        decider: Decider::new(system, metrics.clone(), false, budget, flags),
        stores,
        default_caps: NamespaceCaps::default(),
        shutdown,
    });
    House {
        documents,
        clock,
        governance,
        pipeline,
        _running: running,
        _folder: folder,
        _run: running_on,
    }
}

impl House {
    async fn acquire(&self, lock: &str) -> Result<Held, Failure> {
        let acquire = ask::Acquire {
            lock: lock.parse().unwrap(),
            mode: Mode::Exclusive,
            ttl_ms: 60_000,
            wait_ms: None,
            instance: None,
            labels: [].into(),
            reason: None,
            value: None,
            override_terms: None,
        };
        self.pipeline.acquire(&operator(), acquire).await
    }
}

#[tokio::test]
async fn nothing_is_granted_in_any_store_while_governance_is_not_confirmed() {
    let house = house().await;
    let held = house.acquire("far/a").await.unwrap();
    house.documents.faults.ill.store(true, SeqCst);
    house.clock.advance(4_000);
    house.acquire("far/b").await.unwrap();
    house.clock.advance(2_000);
    for lock in ["far/c", "near/c"] {
        let refused = house.acquire(lock).await.unwrap_err();
        assert_eq!(refused.kind, FailureKind::Unavailable, "{lock}");
        assert_eq!(refused.effect, Effect::None);
        assert!(refused.retry_after_ms.is_some());
    }
    assert!(!house.governance.is_confirmed());
    // What is held goes on, and ends.
    let renew = ask::Renew {
        lock: "far/a".parse().unwrap(),
        lease_id: held.grant.lease_id,
        ttl_ms: None,
        reason: None,
        override_terms: None,
    };
    house.pipeline.renew(&operator(), renew).await.unwrap();
    let release = ask::Release {
        lock: "far/a".parse().unwrap(),
        lease_id: held.grant.lease_id,
        cooldown_ms: 0,
    };
    house.pipeline.release(&operator(), release).await.unwrap();
    // As soon as it can be asked again.
    house.documents.faults.ill.store(false, SeqCst);
    house.governance.catch_up().await.unwrap();
    house.acquire("far/c").await.unwrap();
}

#[tokio::test]
async fn a_process_that_stood_still_asks_before_it_refuses() {
    let house = house().await;
    house.clock.advance(600_000);
    assert!(!house.governance.is_confirmed());
    house.acquire("far/a").await.unwrap();
    assert!(house.governance.is_confirmed());
}

#[tokio::test]
async fn governance_is_confirmed_without_requests_or_changes() {
    let house = house().await;
    house.clock.advance(600_000);
    let confirmed = async {
        while !house.governance.is_confirmed() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(30), confirmed).await;
    in_time.expect("it is asked regularly");
}
