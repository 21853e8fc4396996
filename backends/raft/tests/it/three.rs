//! The contract, on a group of three: everything is asked of a follower. It restarts by closing
//! all nodes and opening them again.

use std::sync::Arc;

use async_trait::async_trait;
use leasehold_backend_api::Backend;
use leasehold_backend_api::Freshness;
use leasehold_conformance::Durable;
use leasehold_conformance::Harness;
use leasehold_conformance::Running;
use leasehold_domain::Clock;
use leasehold_domain::ManualClock;
use leasehold_domain::WallMillis;
use tokio::sync::Mutex;

use super::group::Group;

struct Three;

/// What a group of a test needs to go on.
struct Guard {
    clock: Arc<ManualClock>,
    group: Mutex<Option<Group>>,
}

impl Guard {
    fn of(store: &Running) -> &Self {
        let guard = store.guard.downcast_ref();
        guard.expect("our guard is a group")
    }
}

async fn run(group: Group, clock: Arc<ManualClock>) -> Running {
    group.take_part().await;
    let follower = group.nodes[group.follower().await].running().clone();
    Running {
        documents: follower.clone(),
        backend: follower,
        clock: clock.clone(),
        guard: Box::new(Guard {
            clock,
            group: Mutex::new(Some(group)),
        }),
    }
}

#[async_trait]
impl Harness for Three {
    async fn start(&self) -> Running {
        let clock = Arc::new(ManualClock::new(WallMillis(1_000_000)));
        run(Group::of_three(clock.clone()).await, clock).await
    }

    /// In steps that the leader's clock follows: a greater one counts as a freeze.
    async fn pass(&self, store: &Running, ms: u64) {
        let guard = Guard::of(store);
        let group = guard.group.lock().await;
        let group = group.as_ref().expect("the group runs");
        let lock = "demo/clock".parse().expect("a lock's name");
        let mut left = ms;
        while left > 0 {
            let step = left.min(100);
            guard.clock.advance(step);
            left -= step;
            let leader = group.nodes[group.leader().await].running();
            let looked = leader.read(&lock, Freshness::Linearizable).await;
            looked.expect("the leader looks at its clock");
        }
    }
}

#[async_trait]
impl Durable for Three {
    async fn restart(&self, store: Running) -> Running {
        let guard = Guard::of(&store);
        let mut group = guard.group.lock().await.take().expect("the group runs");
        let clock: Arc<dyn Clock> = guard.clock.clone();
        let stopping = group.nodes.iter_mut().map(|node| node.stop());
        futures_util::future::join_all(stopping).await;
        for node in &mut group.nodes {
            node.start(&clock).await.expect("the node starts again");
        }
        run(group, guard.clock.clone()).await
    }
}

leasehold_conformance::conformance!(Three);
leasehold_conformance::conformance_durable!(Three);
