//! The schema of an earlier build is brought forward.

use std::sync::Arc;

use leasehold_backend_api::Backend;
use leasehold_backend_api::Documents;
use leasehold_backend_api::Levels;
use leasehold_backend_api::level_edit;
use leasehold_backend_postgres::OpenError;
use leasehold_backend_postgres::PostgresBackend;
use leasehold_backend_postgres::PostgresConfig;
use leasehold_domain::FeatureLevel;
use leasehold_domain::Precondition;
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
    let opened = open_as(server, database, Levels::of_build()).await;
    opened.expect("it opens")
}

/// Opens as a build that supports `levels`.
async fn open_as(
    server: &Postgres,
    database: &str,
    levels: Levels,
) -> Result<Arc<PostgresBackend>, OpenError> {
    let mut config = PostgresConfig::new(server.url(database));
    config.allow_unreplicated = true;
    config.levels = levels;
    PostgresBackend::open(config, Arc::new(SystemClock::new())).await
}

const APPLIED: &str = "SELECT count(*) FROM leasehold.migrations";
const REHEARSAL: &str = "SELECT to_regclass('leasehold.rehearsal') IS NOT NULL";

/// Raises the level of the store that a build has open, and waits until as many migrations are applied.
async fn raise(server: &Postgres, store: &PostgresBackend, to: FeatureLevel, applied: usize) {
    let raised = store.write(vec![level_edit(to, Precondition::Any)]).await;
    raised.expect("raised");
    let seen = async {
        while server.ask("postgres", APPLIED).await != [applied.to_string()] {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let seen = tokio::time::timeout(std::time::Duration::from_secs(60), seen).await;
    seen.expect("migrated");
}

/// The next build adds a table at its level, and the one after that removes it at the next level.
#[test]
fn a_migration_waits_for_the_level_of_the_store() {
    leasehold_conformance::run(async {
        let server = Postgres::start().await;
        let (this, next) = (Levels::of_build(), Levels::of_build().next());
        let as_released = [MIGRATIONS.len().to_string()];
        // Up, and back, and up again: nothing is migrated while the level is not raised.
        for (levels, lock) in [(this, "a"), (next, "b"), (this, "c"), (next, "d")] {
            let store = open_as(&server, "postgres", levels)
                .await
                .expect("it opens");
            take(&store, "ann", lock, 60_000).await;
            store.close().await;
            assert_eq!(server.ask("postgres", APPLIED).await, as_released);
        }
        let store = open_as(&server, "postgres", next).await.expect("it opens");
        raise(&server, &store, next.max, MIGRATIONS.len() + 1).await;
        take(&store, "ann", "e", 60_000).await;
        store.close().await;
        assert_eq!(server.ask("postgres", REHEARSAL).await, ["t"]);
        match open_as(&server, "postgres", this).await {
            Err(OpenError::Level(problem)) => assert!(problem.contains("level 3"), "{problem}"),
            other => panic!("{other:?}"),
        }
        let last = next.next();
        let store = open_as(&server, "postgres", last).await.expect("it opens");
        raise(&server, &store, last.max, MIGRATIONS.len() + 2).await;
        store.close().await;
        assert_eq!(server.ask("postgres", REHEARSAL).await, ["f"]);
    });
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
