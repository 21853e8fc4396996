//! Acquire and release of own locks by many clients, through the backend alone, on a real server
//! whose commits reach the disk: `cargo bench -p leasehold-backend-postgres`.

#[path = "../tests/it/asking.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod asking;

use std::sync::Arc;
use std::time::Duration;

use leasehold_backend_api::Backend;
use leasehold_backend_postgres::PostgresBackend;
use leasehold_backend_postgres::PostgresConfig;
use leasehold_domain::Action;
use leasehold_domain::Clock;
use leasehold_domain::SystemClock;
use leasehold_test_servers::Postgres;

const MEASURED: Duration = Duration::from_secs(5);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let server = Postgres::start_with(true).await;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        for clients in [1, 16, 64, 256] {
            let database = server.database().await;
            let mut config = PostgresConfig::new(server.url(&database));
            config.allow_unreplicated = true;
            let store = PostgresBackend::open(config, clock.clone()).await;
            measure(&store.expect("it opens"), &clock, clients).await;
        }
    });
}

#[expect(clippy::print_stdout, reason = "a benchmark's result")]
async fn measure(store: &Arc<PostgresBackend>, clock: &Arc<dyn Clock>, clients: usize) {
    let before = store.health().await.writes;
    let begin = clock.monotonic();
    let each = (0..clients).map(|client| {
        let (store, clock) = (store.clone(), clock.clone());
        tokio::spawn(async move {
            let (who, name) = (format!("client-{client}"), format!("lock-{client}"));
            let mut cycles = 0_u64;
            while clock.monotonic() - begin < MEASURED {
                let grant = asking::take(&store, &who, &name, 10_000).await;
                let lease_id = grant.lease_id;
                let give = asking::command(&who, &name, Action::Release { lease_id });
                asking::ask(&store, give).await.expect("an answer");
                cycles += 1;
                // As the ledger would.
                if client == 0 && cycles.is_multiple_of(500) {
                    let newest = store.health().await.newest;
                    store
                        .trim(leasehold_conformance::head(newest.0))
                        .await
                        .expect("a trim");
                }
            }
            cycles
        })
    });
    let each: Vec<_> = each.collect();
    let mut cycles = 0;
    for client in each {
        cycles += client.await.expect("a client");
    }
    let seconds = (clock.monotonic() - begin).as_secs_f64();
    let writes = store.health().await.writes;
    let commits = writes.count() - before.count();
    let batch = (writes.commands() - before.commands()) as f64 / commits as f64;
    println!(
        "{clients:>4} clients: {:>7.0} cycles/s, {:>6.0} commits/s, {batch:.1} commands each",
        cycles as f64 / seconds,
        commits as f64 / seconds,
    );
    store.close().await;
}
