//! A background task of the store that panics.

use leasehold_backend_postgres::PostgresBackend;
use leasehold_backend_postgres::PostgresConfig;
use leasehold_conformance::stopped;
use leasehold_test_servers::Postgres;

#[test]
fn a_store_whose_background_task_panics_stops_and_says_so() {
    leasehold_conformance::run(async {
        let server = Postgres::start().await;
        let mut config = PostgresConfig::new(server.url("postgres"));
        config.allow_unreplicated = true;
        let open = async |clock| {
            let opened = PostgresBackend::open(config.clone(), clock).await;
            opened.expect("it opens")
        };
        stopped::a_store_whose_background_task_panics_stops_and_says_so(open).await;
    });
}
