//! A gateway's side of a store, for the contract's cases and for our own.

use std::any::Any;
use std::sync::Arc;

use leasehold_backend_api::Freshness;
use leasehold_backend_etcd::EtcdBackend;
use leasehold_backend_etcd::EtcdConfig;
use leasehold_conformance::Running;
use leasehold_domain::ManualClock;
use leasehold_domain::WallMillis;

/// What a gateway needs to go on.
pub(crate) struct Node {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) config: EtcdConfig,
    /// What must run as long as the gateway does.
    servers: Arc<dyn Any + Send + Sync>,
}

impl Node {
    pub(crate) fn new(config: EtcdConfig, servers: Arc<dyn Any + Send + Sync>) -> Self {
        Self {
            clock: Arc::new(ManualClock::new(WallMillis(1_000_000))),
            config,
            servers,
        }
    }

    pub(crate) async fn open(&self) -> Arc<EtcdBackend> {
        let opened = EtcdBackend::open(self.config.clone(), self.clock.clone()).await;
        opened.expect("the store can be opened")
    }

    pub(crate) async fn run(self) -> Running {
        let backend = self.open().await;
        Running {
            documents: backend.clone(),
            backend,
            clock: self.clock.clone(),
            guard: Box::new(self),
        }
    }

    /// Lets time pass in steps that the gateway's clock follows: a greater one counts as a freeze.
    pub(crate) async fn pass(store: &Running, ms: u64) {
        let node = Self::of(store);
        let lock = "demo/clock".parse().expect("a lock's name");
        let mut left = ms;
        while left > 0 {
            let step = left.min(100);
            node.clock.advance(step);
            left -= step;
            let freshness = Freshness::Stale {
                max_age_ms: u64::MAX,
            };
            let looked = store.backend.read(&lock, freshness).await;
            looked.expect("the gateway looks at its clock");
        }
    }

    /// The gateway is gone without a word, and another takes its place.
    pub(crate) async fn restart(store: Running) -> Running {
        let node = Self::of(&store);
        let next = Self {
            clock: node.clock.clone(),
            config: node.config.clone(),
            servers: node.servers.clone(),
        };
        drop(store);
        next.run().await
    }

    fn of(store: &Running) -> &Self {
        store.guard.downcast_ref().expect("our guard is a node")
    }
}
