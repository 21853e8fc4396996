//! Moves that turn back, and movers that come late, between two real stores of memory.

use crate::failure::FailureKind;
use leasehold_backend_api::Backend;
use leasehold_backend_api::Batch;
use leasehold_backend_api::Documents;
use leasehold_backend_api::Freshness;
use leasehold_backend_api::ImportLimit;
use leasehold_backend_memory::MemoryBackend;
use leasehold_domain::Action;
use leasehold_domain::Cause;
use leasehold_domain::Command;
use leasehold_domain::LeaseId;
use leasehold_domain::LockRef;
use leasehold_domain::Mode;
use leasehold_domain::Operation;
use leasehold_domain::Outcome;
use leasehold_domain::Precondition;
use leasehold_domain::Principal;
use leasehold_domain::Request;
use leasehold_domain::RoleSet;
use leasehold_domain::Seat;
use leasehold_domain::SeatState;
use leasehold_domain::SystemClock;
use leasehold_domain::WallMillis;
use leasehold_policy_host::EngineLimits;
use leasehold_policy_host::PolicyEngine;

use super::*;
use crate::authentication::KeyRing;
use crate::bookkeeping::OtherLedgers;
use crate::governance::document::DefaultDecision;
use crate::governance::document::NamespaceDraft;
use crate::governance::document::Visibility;
use crate::safety::tests::safety;
use crate::stores::Parts;
use crate::stores::Remembered;
use crate::stores::RunningStore;
use crate::stores::Slot;
use crate::stores::open_ledger;
use crate::telemetry::Metrics;

/// The most that a record may have in the new store, as exported.
const BYTES_MAX: usize = 4_000;
/// What makes a waiter large: some of these are more than a record may have.
const VALUE_BYTES: usize = 1_000;
const TTL_MS: u64 = 60_000;

/// A namespace in the store `home`, and a store `sea` that takes no large records.
struct House {
    home: Arc<MemoryBackend>,
    sea: Arc<MemoryBackend>,
    mover: Mover,
    governance: Arc<Governance>,
    caller: Caller,
    _running: [RunningStore; 2],
    _folder: tempfile::TempDir,
}

async fn house() -> House {
    let clock = Arc::new(SystemClock::new());
    let folder = tempfile::tempdir().unwrap();
    let home = MemoryBackend::new(clock.clone());
    let sea = MemoryBackend::limited(
        clock.clone(),
        ImportLimit {
            bytes_max: BYTES_MAX,
            bytes_of: |_, record| record.len(),
        },
    );
    let remembered = Arc::new(Remembered::open(folder.path()).unwrap());
    let run = async |name: StoreName, backend: &Arc<MemoryBackend>| {
        let parts = Parts {
            members: crate::stores::StoreMembers::default(),
            ledger: Arc::new(
                open_ledger(&folder.path().join(name.as_str()))
                    .await
                    .unwrap(),
            ),
            name,
            backend: backend.clone(),
            documents: backend.clone(),
            others: OtherLedgers::None,
            remembered: remembered.clone(),
            claims: crate::stores::Claims::default(),
            keep_events: 0,
        };
        let metrics = Arc::new(Metrics::new());
        parts.run(clock.clone(), &metrics, &safety()).await
    };
    let names: [StoreName; 2] = [StoreName::home(), "sea".parse().unwrap()];
    let running = [
        run(names[0].clone(), &home).await,
        run(names[1].clone(), &sea).await,
    ];
    let slot = Slot::default();
    slot.opened(running[1].open.clone());
    let extra = [(names[1].clone(), Arc::new(slot))].into();
    let stores = Arc::new(Stores::new(running[0].open.clone(), extra));
    let engine = PolicyEngine::new(EngineLimits {
        instances: 4,
        ..EngineLimits::default()
    });
    let keys = Arc::new(KeyRing::default());
    let governance = Governance::load(home.clone(), engine.unwrap(), keys, clock, names.into());
    let governance = governance.await.unwrap();
    let caller = Caller::gateway("test").unwrap();
    let draft = NamespaceDraft {
        name: "west".parse().unwrap(),
        team: None,
        visibility: Visibility::default(),
        description: String::new(),
        default_decision: DefaultDecision::Allow,
        store: None,
        caps: None,
    };
    let made = governance.put_namespace(&caller, &draft, Precondition::Absent);
    made.await.unwrap();
    House {
        home,
        sea,
        mover: Mover::new(stores, governance.clone()),
        governance,
        caller,
        _running: running,
        _folder: folder,
    }
}

fn lease(number: u64) -> LeaseId {
    LeaseId::from_bytes(u128::from(number).to_be_bytes())
}

async fn ask(store: &Arc<MemoryBackend>, number: u64, action: Action) -> Outcome {
    let lock: LockRef = "west/big".parse().unwrap();
    let mut request = Request::new(Operation::Acquire, lock.clone());
    request.value = Some("v".repeat(VALUE_BYTES).into());
    let cause = Cause {
        request_id: format!("r{number}").parse().unwrap(),
        received: WallMillis(0),
        principal: Arc::new(Principal {
            subject: format!("s{number}").parse().unwrap(),
            team: None,
            roles: RoleSet::default(),
            claims: [].into(),
        }),
        request,
        decision: None,
    };
    let command = Command {
        lock,
        action,
        cause: Some(Arc::new(cause)),
        expect: None,
    };
    let outcomes = store.execute(Batch::one(command)).await.unwrap();
    outcomes.into_iter().next().unwrap()
}

/// Takes the lock, or stands in its queue, as `s{number}`.
async fn acquire(store: &Arc<MemoryBackend>, number: u64) -> Outcome {
    let acquire = Action::Acquire {
        lease_id: lease(number),
        mode: Mode::Exclusive,
        ttl_ms: TTL_MS,
        wait_ms: Some(TTL_MS),
        max_hold_ms: None,
    };
    ask(store, number, acquire).await
}

/// Renews the lease of `s0`; its token.
async fn renew(store: &Arc<MemoryBackend>) -> u64 {
    let renewal = Action::Renew {
        lease_id: lease(0),
        ttl_ms: None,
        max_hold_ms: None,
        record: false,
    };
    match ask(store, 0, renewal).await {
        Outcome::Renewed(grant) => grant.token.0,
        other => panic!("the lease is lost: {other:?}"),
    }
}

/// One holder, and so many who wait.
async fn crowd(store: &Arc<MemoryBackend>, waiters: u64) {
    assert!(matches!(acquire(store, 0).await, Outcome::Granted(_)));
    for number in 1..=waiters {
        let queued = acquire(store, number).await;
        assert!(matches!(queued, Outcome::Queued { .. }), "{queued:?}");
    }
}

async fn waiters(store: &Arc<MemoryBackend>) -> usize {
    let lock: LockRef = "west/big".parse().unwrap();
    let view = store.read(&lock, Freshness::Linearizable).await.unwrap();
    view.queue.len()
}

impl House {
    async fn move_to(&self, store: &str) -> Result<Stored<NamespaceDocument>, Failure> {
        let (namespace, to) = ("west".parse().unwrap(), store.parse().unwrap());
        self.mover.run(&self.caller, &namespace, &to).await
    }

    /// Begins a move to `store` and leaves it there, as one whose gateway has gone.
    async fn begin(&self, store: &str) -> Move<'_> {
        let (namespace, to) = ("west".parse().unwrap(), store.parse().unwrap());
        let begun = self.governance.begin_move(&self.caller, &namespace, &to);
        let document = begun.await.unwrap().document;
        let moving = self.mover.move_of(&self.caller, &document).unwrap();
        moving.unwrap()
    }

    async fn document(&self) -> NamespaceDocument {
        let namespace = "west".parse().unwrap();
        let stored = self.governance.namespace(&namespace).await.unwrap();
        stored.document
    }

    /// Where the namespace stands with a store.
    async fn seat(&self, store: &Arc<MemoryBackend>) -> Option<(u64, SeatState)> {
        let document = store.get(Seat::COLLECTION, "west").await.unwrap();
        let seat = document.map(|document| Seat::read(&document.body));
        seat.map(|seat| (seat.era, seat.state))
    }
}

fn assert_too_large(refused: Result<Stored<NamespaceDocument>, Failure>) {
    let failure = refused.expect_err("it is too large");
    assert_eq!(failure.kind, FailureKind::Conflict, "{failure:?}");
    let said = &failure.message;
    assert!(said.contains("west/big") && said.contains("4000"), "{said}");
}

#[tokio::test]
async fn a_record_that_is_too_large_refuses_the_move_before_it_begins() {
    let house = house().await;
    crowd(&house.home, 6).await;
    assert_too_large(house.move_to("sea").await);
    assert!(house.document().await.travels.is_none());
    assert_eq!(house.seat(&house.home).await, None);
    assert_eq!(house.seat(&house.sea).await, None);
    assert_eq!(waiters(&house.home).await, 6);
    renew(&house.home).await;
}

#[tokio::test]
async fn a_record_that_grows_after_it_was_weighed_turns_the_move_back() {
    let house = house().await;
    // Weighed, begun, and not yet closed when the others come.
    let _ = house.begin("sea").await;
    crowd(&house.home, 6).await;
    assert_too_large(house.move_to("sea").await);
    let document = house.document().await;
    assert_eq!(
        (document.store, document.travels.to),
        (StoreName::home(), None)
    );
    assert_eq!(house.seat(&house.home).await, Some((1, SeatState::Open)));
    assert_eq!(house.seat(&house.sea).await, Some((1, SeatState::Moved)));
    assert_eq!(waiters(&house.home).await, 6);
    assert_eq!(waiters(&house.sea).await, 0);
    let token = renew(&house.home).await;
    // When there are fewer, it goes, and the queue with it.
    for number in 1..=5 {
        let lease_id = lease(number);
        let left = ask(&house.home, number, Action::CancelWait { lease_id });
        assert_eq!(left.await, Outcome::Cancelled);
    }
    let stored = house.move_to("sea").await.unwrap();
    assert_eq!(
        (stored.document.store.as_str(), stored.document.travels.era),
        ("sea", 2)
    );
    assert_eq!(renew(&house.sea).await, token);
    let lease_id = lease(0);
    let released = ask(&house.sea, 0, Action::Release { lease_id });
    assert_eq!(released.await, Outcome::Released);
    match acquire(&house.sea, 6).await {
        Outcome::Granted(next) => assert!(next.token.0 > token, "{next:?}"),
        other => panic!("the place is lost: {other:?}"),
    }
}

#[tokio::test]
async fn a_move_that_is_cut_off_turns_back_when_it_is_asked_to() {
    let house = house().await;
    crowd(&house.home, 1).await;
    let cut_off = house.begin("sea").await;
    // It was cut off when the old store was closed and the records were there.
    let ended = async {
        cut_off.prepare().await?;
        cut_off.close().await?;
        cut_off.lift_tokens().await?;
        cut_off.copy().await
    };
    assert!(ended.await.unwrap().is_none());
    assert!(matches!(acquire(&house.home, 2).await, Outcome::Moved));
    let stored = house.move_to("home").await.unwrap();
    assert_eq!(stored.document.travels.to, None);
    renew(&house.home).await;
    assert_eq!(waiters(&house.sea).await, 0);
    // Whoever worked on it finds that it is over.
    cut_off.open().await.unwrap_err();
    cut_off.close().await.unwrap_err();
    assert!(matches!(
        cut_off.carry_over().await.unwrap(),
        End::Stayed(_)
    ));
    renew(&house.home).await;
}

#[tokio::test]
async fn a_mover_that_comes_late_changes_nothing() {
    let house = house().await;
    crowd(&house.home, 1).await;
    let late = house.begin("sea").await;
    house.move_to("sea").await.unwrap();
    // The next move has closed the store, and copied nothing yet.
    let next = house.begin("home").await;
    next.prepare().await.unwrap();
    next.close().await.unwrap();
    assert!(late.carry_over().await.is_err());
    assert!(late.turn_back().await.is_err());
    assert_eq!(
        waiters(&house.sea).await,
        1,
        "what is to be copied is there"
    );
    house.move_to("home").await.unwrap();
    let token = renew(&house.home).await;
    for _ in 0..2 {
        assert!(late.carry_over().await.is_err());
        assert!(late.close().await.is_err());
        assert!(late.turn_back().await.is_err());
    }
    assert_eq!(renew(&house.home).await, token);
    assert_eq!(waiters(&house.home).await, 1);
    assert_eq!(house.seat(&house.home).await, Some((2, SeatState::Open)));
    assert_eq!(house.seat(&house.sea).await, Some((2, SeatState::Moved)));
}
