//! The lag of a ledger that has some, all or none of a real store's events.

use std::sync::Arc;

use leasehold_backend_api::Backend;
use leasehold_backend_api::Batch;
use leasehold_backend_memory::MemoryBackend;
use leasehold_domain::Action;
use leasehold_domain::Cause;
use leasehold_domain::Clock;
use leasehold_domain::Command;
use leasehold_domain::Cursor;
use leasehold_domain::LockSettings;
use leasehold_domain::ManualClock;
use leasehold_domain::Operation;
use leasehold_domain::Principal;
use leasehold_domain::Request;
use leasehold_domain::RoleSet;
use leasehold_domain::WallMillis;

use super::*;
use crate::safety::tests::safety;
use crate::store_client::StoreClient;
use crate::telemetry::Metrics;

/// A change of a lock, which is one event.
fn change(limit: u32) -> Command {
    let lock: leasehold_domain::LockRef = "demo/l".parse().unwrap();
    let principal = Principal {
        subject: "op".parse().unwrap(),
        team: None,
        roles: RoleSet::default(),
        claims: [].into(),
    };
    let cause = Cause {
        request_id: "r".parse().unwrap(),
        received: WallMillis(0),
        principal: Arc::new(principal),
        request: Request::new(Operation::Configure, lock.clone()),
        decision: None,
    };
    Command {
        lock,
        action: Action::Configure(LockSettings {
            limit,
            ..LockSettings::default()
        }),
        cause: Some(Arc::new(cause)),
        expect: None,
    }
}

#[tokio::test]
async fn the_age_is_that_of_the_oldest_event_which_the_ledger_lacks() {
    let clock = Arc::new(ManualClock::new(WallMillis(1_000_000)));
    let backend = MemoryBackend::new(clock.clone());
    for limit in 1..=2 {
        backend.execute(Batch::one(change(limit))).await.unwrap();
        clock.advance(2_500);
    }
    let home = leasehold_domain::StoreName::home();
    let store = StoreClient::new(&home, backend, clock.clone(), &Metrics::new(), &safety());
    let lag = async |ledger| measure_lag(&store, Cursor(ledger), clock.wall()).await;
    let of = |events, seconds| Lag { events, seconds };
    assert_eq!(lag(0).await, of(2, 5.0));
    assert_eq!(lag(1).await, of(1, 2.5));
    assert_eq!(lag(2).await, of(0, 0.0));
    // A clock that was set back makes no event older than it is.
    clock.set_wall(WallMillis(0));
    assert_eq!(lag(1).await, of(1, 0.0));
}
