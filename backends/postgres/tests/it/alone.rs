//! The contract, on one server that stands alone, as the configuration allows.

use async_trait::async_trait;
use leasehold_backend_postgres::PostgresConfig;
use leasehold_conformance::Durable;
use leasehold_conformance::Harness;
use leasehold_conformance::Running;
use leasehold_test_servers::Postgres;
use leasehold_test_servers::Shared;

use crate::store::Node;

static SERVER: Shared<Postgres> = Shared::new();

struct Alone;

#[async_trait]
impl Harness for Alone {
    async fn start(&self) -> Running {
        let server = SERVER.get(Postgres::start).await;
        let database = server.database().await;
        let mut config = PostgresConfig::new(server.url(&database));
        config.allow_unreplicated = true;
        Node::new(config, server).run().await
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
