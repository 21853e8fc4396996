//! A database that is not as demanded, or goes away.

use std::collections::BTreeSet;
use std::sync::Arc;

use leasehold_backend_api::Backend;
use leasehold_backend_api::Effect;
use leasehold_backend_postgres::OpenError;
use leasehold_backend_postgres::PostgresBackend;
use leasehold_backend_postgres::PostgresConfig;
use leasehold_domain::Outcome;
use leasehold_domain::SystemClock;
use leasehold_test_servers::Postgres;
use leasehold_test_servers::until;

use crate::asking::acquire;
use crate::asking::ask;
use crate::asking::command;
use crate::asking::granted;
use crate::asking::insist;
use crate::asking::take;

fn run(case: impl Future<Output = ()>) {
    leasehold_conformance::run(case);
}

async fn open(config: PostgresConfig) -> Result<Arc<PostgresBackend>, OpenError> {
    PostgresBackend::open(config, Arc::new(SystemClock::new())).await
}

/// A server without a standby, taken as it is.
fn alone(server: &Postgres) -> PostgresConfig {
    let mut config = PostgresConfig::new(server.url("postgres"));
    config.allow_unreplicated = true;
    config
}

/// A primary without a synchronous standby is taken only if that is allowed by name, and then the
/// store's health says so.
#[test]
fn a_primary_without_a_standby_is_refused() {
    run(async {
        let server = Postgres::start().await;
        let mut config = PostgresConfig::new(server.url("postgres"));
        let refused = open(config.clone()).await;
        assert!(
            matches!(refused, Err(OpenError::Unreplicated(_))),
            "{refused:?}"
        );
        config.allow_unreplicated = true;
        let opened = open(config).await.expect("it is allowed");
        let health = opened.health().await;
        assert!(
            health.ready && health.detail.contains("UNREPLICATED"),
            "{}",
            health.detail
        );
    });
}

/// When the standby is no longer waited for, nothing is granted any more.
#[test]
fn a_primary_that_stops_waiting_is_refused() {
    run(async {
        let server = Postgres::start().await;
        let _standby = {
            let standby = server.standby().await;
            server.wait_for_standby(true).await;
            standby
        };
        let store = open(PostgresConfig::new(server.url("postgres"))).await;
        let store = store.expect("it is replicated");
        take(&store, "ann", "one", 60_000).await;
        server.wait_for_standby(false).await;
        let refused = ask(&store, command("ann", "two", acquire(60_000))).await;
        let failure = refused.unwrap_err();
        assert_eq!(failure.effect, Effect::None, "{failure}");
        assert!(!store.health().await.ready);
        server.wait_for_standby(true).await;
        let outcome = insist(&store, &command("ann", "two", acquire(60_000))).await;
        granted(Ok(outcome));
    });
}

/// A schema of a newer build is not touched.
#[test]
fn a_newer_schema_is_refused() {
    run(async {
        let server = Postgres::start().await;
        let config = alone(&server);
        open(config.clone()).await.expect("it opens").close().await;
        let newer = "INSERT INTO leasehold.migrations (number) VALUES (1000)";
        server.sql("postgres", newer).await;
        let refused = open(config).await;
        assert!(
            matches!(refused, Err(OpenError::Newer { found: 1000, .. })),
            "{refused:?}"
        );
    });
}

/// A server whose disk is full is asked on over the same connections, and the store is as it was:
/// reads are answered, and writes as soon as there is room.
#[test]
fn a_full_server_is_not_connected_to_again_and_again() {
    run(async {
        let server = Postgres::start().await;
        let store = open(alone(&server)).await.expect("it opens");
        take(&store, "ann", "one", 60_000).await;
        let connections = async || {
            let pids = "SELECT pid FROM pg_stat_activity WHERE application_name = 'leasehold'";
            server.ask("postgres", pids).await
        };
        let before = connections().await.len();
        let full = "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS \
            $$ BEGIN RAISE disk_full; END $$; \
            CREATE TRIGGER full_disk BEFORE INSERT ON leasehold.log \
                FOR EACH ROW EXECUTE FUNCTION full_disk()";
        server.sql("postgres", full).await;
        let mut seen = BTreeSet::new();
        for n in 0..30 {
            let refused = ask(&store, command("bob", &format!("l-{n}"), acquire(60_000))).await;
            let failure = refused.unwrap_err();
            assert!(failure.is_retryable(), "{failure}");
            assert_eq!(failure.effect, Effect::None, "{failure}");
            let held = ask(&store, command("bob", "one", acquire(60_000))).await;
            assert!(matches!(held, Ok(Outcome::Held { .. })), "{held:?}");
            seen.extend(connections().await);
        }
        // Now and then all servers are looked at again, and not each time.
        assert!(seen.len() <= before + 10, "{} connections", seen.len());
        let room = "DROP TRIGGER full_disk ON leasehold.log";
        server.sql("postgres", room).await;
        granted(ask(&store, command("bob", "two", acquire(60_000))).await);
        assert!(store.health().await.ready);
    });
}

/// The server is killed while clients work, and comes back: every grant that was answered is
/// there, and a request whose answer was lost gets one when it is asked again.
#[test]
fn a_killed_server_loses_nothing_that_was_answered() {
    run(async {
        let server = Postgres::start().await;
        let store = open(alone(&server)).await.expect("it opens");
        let clients = (0..8).map(|client| {
            let store = store.clone();
            tokio::spawn(async move {
                let (who, mut asked) = (format!("client-{client}"), Vec::new());
                for n in 0..400 {
                    let take = command(&who, &format!("c-{client}-{n}"), acquire(600_000));
                    match ask(&store, take.clone()).await {
                        Ok(outcome) => asked.push((take, Some(granted(Ok(outcome))))),
                        Err(failure) => {
                            assert!(failure.is_retryable(), "{failure}");
                            asked.push((take, None));
                            return asked;
                        }
                    }
                }
                asked
            })
        });
        let clients: Vec<_> = clients.collect();
        until("there is work to lose", || async {
            store.health().await.counts.leases >= 200
        })
        .await;
        server.kill();
        let mut asked = Vec::new();
        for client in clients {
            asked.extend(client.await.expect("a client"));
        }
        until("the store notices", || async {
            !store.health().await.ready
        })
        .await;
        let refused = ask(&store, command("ann", "x", acquire(60_000))).await;
        assert_eq!(refused.unwrap_err().effect, Effect::None);
        server.begin().await;
        for (take, answered) in asked {
            let Outcome::Granted(again) = insist(&store, &take).await else {
                panic!("{take:?} is not granted");
            };
            if let Some(grant) = answered {
                assert!(again.repeated, "{take:?} was forgotten");
                assert_eq!((again.lease_id, again.token), (grant.lease_id, grant.token));
            }
        }
        assert!(store.health().await.ready);
    });
}
