//! The schema of an earlier build is brought forward.

use std::sync::Arc;

use leasehold_backend_api::Backend;
use leasehold_backend_postgres::PostgresBackend;
use leasehold_backend_postgres::PostgresConfig;
use leasehold_domain::SystemClock;
use leasehold_test_servers::Postgres;

use crate::asking::take;

/// As committed; a new file is added here, too.
const MIGRATIONS: [&str; 6] = [
    include_str!("../../migrations/1.sql"),
    include_str!("../../migrations/2.sql"),
    include_str!("../../migrations/3.sql"),
    include_str!("../../migrations/4.sql"),
    include_str!("../../migrations/5.sql"),
    include_str!("../../migrations/6.sql"),
];

/// Columns and functions, with their types and bodies.
const DECLARED: &str = "SELECT concat_ws(' ', table_name, column_name, data_type, is_nullable, \
        column_default) FROM information_schema.columns WHERE table_schema = 'leasehold' \
    UNION ALL SELECT concat_ws(' ', proname, pg_get_function_arguments(oid), prosrc) \
        FROM pg_proc WHERE pronamespace = 'leasehold'::regnamespace \
    UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'leasehold' ORDER BY 1";

async fn open(server: &Postgres, database: &str) -> Arc<PostgresBackend> {
    let mut config = PostgresConfig::new(server.url(database));
    config.allow_unreplicated = true;
    let opened = PostgresBackend::open(config, Arc::new(SystemClock::new())).await;
    opened.expect("it opens")
}

/// A database to which only the first migrations were applied, as an earlier build left it.
async fn left_by(server: &Postgres, migrations: &[&str]) -> String {
    let database = format!("left_{}", migrations.len());
    let create = format!("CREATE DATABASE {database}");
    server.sql("postgres", &create).await;
    let prepare = "CREATE SCHEMA leasehold; CREATE TABLE leasehold.migrations (number integer \
        PRIMARY KEY, applied timestamptz NOT NULL DEFAULT now())";
    server.sql(&database, prepare).await;
    for (number, migration) in (1..).zip(migrations) {
        let applied = format!("INSERT INTO leasehold.migrations VALUES ({number}, '2026-01-01')");
        server.sql(&database, migration).await;
        server.sql(&database, &applied).await;
    }
    server
        .sql(&database, "UPDATE leasehold.store SET now_us = 5000000")
        .await;
    database
}

#[test]
fn each_earlier_schema_is_brought_forward() {
    leasehold_conformance::run(async {
        let server = Postgres::start().await;
        open(&server, "postgres").await.close().await;
        let numbers = "SELECT number FROM leasehold.migrations ORDER BY number";
        let all = server.ask("postgres", numbers).await;
        assert_eq!(
            all.len(),
            MIGRATIONS.len(),
            "a migration is not in the test"
        );
        let declared = server.ask("postgres", DECLARED).await;
        assert!(declared.len() > 30, "{declared:?}");
        for known in 1..MIGRATIONS.len() {
            let database = left_by(&server, &MIGRATIONS[..known]).await;
            let store = open(&server, &database).await;
            take(&store, "ann", "one", 60_000).await;
            store.close().await;
            assert_eq!(server.ask(&database, numbers).await, all);
            assert_eq!(server.ask(&database, DECLARED).await, declared);
            // What was there is there, and no migration was applied again.
            let kept = "SELECT count(*) FROM leasehold.store, leasehold.migrations \
                WHERE now_us >= 5000000 AND applied = '2026-01-01'";
            assert_eq!(server.ask(&database, kept).await, [known.to_string()]);
        }
    });
}
