//! Encrypted, as a role that may do no more than it must.

use std::path::Path;
use std::sync::Arc;

use leasehold_backend_api::Backend;
use leasehold_backend_postgres::OpenError;
use leasehold_backend_postgres::PostgresBackend;
use leasehold_backend_postgres::PostgresConfig;
use leasehold_domain::SystemClock;
use leasehold_test_servers::Postgres;
use secrecy::SecretString;

use crate::asking::take;

async fn open(config: PostgresConfig) -> Result<Arc<PostgresBackend>, OpenError> {
    PostgresBackend::open(config, Arc::new(SystemClock::new())).await
}

/// A role of its own with a password, over TLS: it works, and every connection is encrypted. A
/// server that the given authority does not vouch for, or under another name, is not spoken to.
#[test]
fn a_plain_role_over_tls_is_enough() {
    leasehold_conformance::run(async {
        let server = Postgres::start().await;
        let certificate = server.encrypt().await;
        let role = "CREATE ROLE gate LOGIN PASSWORD 'secret' IN ROLE pg_read_all_stats";
        server.sql("postgres", role).await;
        server
            .sql("postgres", "CREATE DATABASE gate OWNER gate")
            .await;
        let url = |host: &str| format!("postgresql://gate@{host}:{}/gate", server.port());
        let config = |host: &str, authorities: &Path| PostgresConfig {
            password: Some(SecretString::from("secret".to_owned())),
            tls_ca: Some(authorities.to_owned()),
            allow_unreplicated: true,
            ..PostgresConfig::new(url(host))
        };
        let store = open(config("localhost", &certificate)).await;
        let store = store.expect("it opens");
        take(&store, "ann", "one", 60_000).await;
        let question = "SELECT bool_and(ssl), count(*) >= 1 FROM pg_stat_ssl \
            JOIN pg_stat_activity USING (pid) WHERE application_name = 'leasehold'";
        assert_eq!(server.ask("postgres", question).await, ["t"]);
        store.close().await;

        let other = Postgres::start().await;
        let stranger = other.encrypt().await;
        for wrong in [
            config("localhost", &stranger),
            config("127.0.0.1", &certificate),
        ] {
            let refused = open(wrong).await;
            assert!(
                matches!(refused, Err(OpenError::Unavailable(_))),
                "{refused:?}"
            );
        }
    });
}

/// What a configuration must not ask for.
#[test]
fn a_careless_configuration_is_refused() {
    leasehold_conformance::run(async {
        for url in [
            "postgresql://gate:secret@localhost/gate",
            "postgresql://gate@db.example/gate",
            "postgresql://gate@localhost/gate?sslmode=require",
            "nonsense",
        ] {
            let refused = open(PostgresConfig::new(url)).await;
            assert!(
                matches!(refused, Err(OpenError::Config(_))),
                "{url}: {refused:?}"
            );
        }
    });
}
