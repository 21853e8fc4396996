//! The contract, through a pooler in transaction mode.

use async_trait::async_trait;
use leasehold_backend_postgres::PostgresConfig;
use leasehold_conformance::Durable;
use leasehold_conformance::Harness;
use leasehold_conformance::Running;
use leasehold_test_servers::Pooler;
use leasehold_test_servers::Postgres;
use leasehold_test_servers::Shared;

use crate::store::Node;

static POOLER: Shared<Pooler> = Shared::new();

struct Pooled;

#[async_trait]
impl Harness for Pooled {
    async fn start(&self) -> Running {
        let start = || async { Pooler::start(Postgres::start().await).await };
        let pooler = POOLER.get(start).await;
        let database = pooler.server.database().await;
        let mut config = PostgresConfig::new(pooler.url(&database));
        config.allow_unreplicated = true;
        Node::new(config, pooler).run().await
    }

    async fn pass(&self, store: &Running, ms: u64) {
        Node::pass(store, ms).await;
    }
}

#[async_trait]
impl Durable for Pooled {
    async fn restart(&self, store: Running) -> Running {
        Node::restart(store).await
    }
}

leasehold_conformance::conformance!(Pooled);
leasehold_conformance::conformance_durable!(Pooled);
