//! The contract, on a primary that waits for its standby.

use async_trait::async_trait;
use leasehold_backend_postgres::PostgresConfig;
use leasehold_conformance::Durable;
use leasehold_conformance::Harness;
use leasehold_conformance::Running;
use leasehold_test_servers::Pair;
use leasehold_test_servers::Shared;

use crate::store::Node;

static PAIR: Shared<Pair> = Shared::new();

struct Replicated;

#[async_trait]
impl Harness for Replicated {
    async fn start(&self) -> Running {
        let pair = PAIR.get(Pair::start).await;
        let database = pair.primary.database().await;
        let config = PostgresConfig::new(pair.primary.url(&database));
        Node::new(config, pair).run().await
    }

    async fn pass(&self, store: &Running, ms: u64) {
        Node::pass(store, ms).await;
    }
}

#[async_trait]
impl Durable for Replicated {
    async fn restart(&self, store: Running) -> Running {
        Node::restart(store).await
    }
}

leasehold_conformance::conformance!(Replicated);
leasehold_conformance::conformance_durable!(Replicated);
