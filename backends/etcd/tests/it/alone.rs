//! The contract, on one member.

use async_trait::async_trait;
use leasehold_conformance::Durable;
use leasehold_conformance::Harness;
use leasehold_conformance::Running;
use leasehold_test_servers::Shared;

use crate::server::Etcd;
use crate::server::config;
use crate::store::Node;

static CLUSTER: Shared<Etcd> = Shared::new();

struct Alone;

#[async_trait]
impl Harness for Alone {
    async fn start(&self) -> Running {
        let cluster = CLUSTER.get(|| Etcd::start(1)).await;
        Node::new(config(&cluster), cluster).run().await
    }

    async fn pass(&self, store: &Running, ms: u64) {
        Node::pass(store, ms).await;
    }
}

#[async_trait]
impl Durable for Alone {
    async fn restart(&self, store: Running) -> Running {
        Node::restart(store).await
    }
}

leasehold_conformance::conformance!(Alone);
leasehold_conformance::conformance_durable!(Alone);
