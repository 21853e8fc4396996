//! A namespace leaves a store, and comes to one: seats, and the steps of a move.

use std::sync::Arc;

use leasehold_domain::Action;
use leasehold_domain::Change;
use leasehold_domain::Command;
use leasehold_domain::Edit;
use leasehold_domain::EditOutcome;
use leasehold_domain::Outcome;
use leasehold_domain::Precondition;
use leasehold_domain::Seat;
use leasehold_domain::SeatState;

use crate::Harness;
use crate::asking::LONG;
use crate::asking::Store;
use crate::asking::acquire;
use crate::asking::fresh_request;
use crate::asking::lock;
use crate::asking::principal;
use crate::asking::renew;

const ERA: u64 = 1;

impl<H: Harness + ?Sized> Store<'_, H> {
    /// The store has, takes in, or gives away the namespace of all cases.
    async fn seat(&self, state: SeatState, token_offset: u64) {
        let seat = Seat {
            era: ERA,
            state,
            token_offset,
        };
        let namespace = lock("any").namespace;
        let change = Change {
            request_id: fresh_request().parse().expect("a request id"),
            principal: principal("ops"),
            collection: Seat::COLLECTION.into(),
            id: namespace.as_str().into(),
            digest: None,
            summary: "moved".into(),
        };
        let edit = Edit {
            collection: Seat::COLLECTION.into(),
            id: namespace.as_str().into(),
            precondition: Precondition::Any,
            body: Some(Arc::from(seat.to_string().into_bytes())),
            change: Some(change),
        };
        let written = self.write(vec![edit]).await;
        assert!(matches!(written, EditOutcome::Done(_)), "{written:?}");
    }

    async fn step(&self, name: &str, action: Action) -> Outcome {
        let command = Command {
            lock: lock(name),
            action,
            cause: None,
            expect: None,
        };
        self.run_one(command).await
    }

    async fn export(&self, name: &str) -> (Option<Arc<[u8]>>, u64) {
        match self.step(name, Action::Export).await {
            Outcome::Exported {
                record,
                token_floor,
            } => (record, token_floor),
            other => panic!("{name} is not exported: {other:?}"),
        }
    }
}

/// A namespace that has left is refused whatever is asked, and time stands still for its leases.
pub async fn a_namespace_that_has_left_is_refused(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let grant = store.take("ann", "a", 1_000).await;
    store.seat(SeatState::Moved, 0).await;
    let renewal = renew(grant.lease_id, None);
    for (name, action) in [
        ("a", renewal.clone()),
        (
            "a",
            Action::Release {
                lease_id: grant.lease_id,
            },
        ),
        ("new", acquire(LONG, None)),
    ] {
        assert_eq!(store.ask("ann", name, action).await, Outcome::Moved);
    }
    harness.pass(&store.running, 1_500).await;
    assert_eq!(store.holders("a").await, ["ann"]);
    let (record, floor) = store.export("a").await;
    assert!(record.is_some() && floor >= grant.token.0, "{floor}");
    let other = Action::Evict { era: ERA + 1 };
    assert_eq!(store.step("a", other).await, Outcome::Moved);
    let evict = Action::Evict { era: ERA };
    assert_eq!(store.step("a", evict).await, Outcome::Evicted);
    assert_eq!(store.holders("a").await, [""; 0]);
    assert_eq!(store.export("a").await.0, None);
}

/// A namespace that comes brings leases, queue and tokens, and nothing is granted before it is there.
pub async fn a_namespace_that_comes_keeps_what_it_had(harness: &impl Harness) {
    let old = Store::start(harness).await;
    let grant = old.take("ann", "a", LONG).await;
    let waiter = old.queue("bob", "a", LONG).await;
    let gone = old.take("ann", "b", LONG).await;
    old.give_back("ann", "b", gone.lease_id).await;
    assert!(old.export("a").await.0.is_some(), "it is weighed before");
    old.seat(SeatState::Moved, 0).await;
    let (record, given) = old.export("a").await;
    let record = record.expect("it is held");

    let new = Store::start(harness).await;
    new.seat(SeatState::Arriving, given).await;
    let early = new.ask("cyd", "a", acquire(LONG, None)).await;
    assert_eq!(early, Outcome::Moved);
    let import = Action::Import { era: ERA, record };
    for _ in 0..2 {
        assert_eq!(new.step("a", import.clone()).await, Outcome::Imported);
    }
    new.seat(SeatState::Open, given).await;
    assert_eq!(new.step("a", import).await, Outcome::Moved);
    match new.ask("ann", "a", renew(grant.lease_id, None)).await {
        Outcome::Renewed(renewed) => assert_eq!(renewed.token, grant.token),
        other => panic!("the lease did not come: {other:?}"),
    }
    new.give_back("ann", "a", grant.lease_id).await;
    let view = new.view("a").await;
    assert_eq!(view.holders[0].handle, waiter.handle());
    assert!(view.last_token > grant.token);
    let next = new.take("cyd", "b", LONG).await;
    assert!(next.token > gone.token, "{:?} {:?}", next.token, gone.token);
}
