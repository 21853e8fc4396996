//! What a primary must be, and how it is told when it is taken without.

use anyhow::Context;
use anyhow::Result;
use leasehold_test_servers::Postgres;
use leasehold_tests::Gateway;

use super::options;
use crate::end_to_end::startup::serve_with;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_without_a_standby_is_refused_by_name() -> Result<()> {
    let server = Postgres::start().await;
    let config = options(&server.url("postgres"), "one", "").config;
    let (code, said) = tokio::task::spawn_blocking(move || serve_with(&config)).await??;
    assert_eq!(code, Some(69), "{said}");
    assert!(
        said.contains("synchronous_standby_names is empty"),
        "{said}"
    );
    assert!(
        said.contains("allow_unreplicated"),
        "it says what to ask for: {said}"
    );
    let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname = 'leasehold'";
    assert_eq!(
        server.ask("postgres", schemas).await,
        ["0"],
        "nothing was made"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_allowed_one_is_told_of_by_readiness_and_audit() -> Result<()> {
    let server = Postgres::start().await;
    let options = options(&server.url("postgres"), "one", "allow_unreplicated = true");
    let mut gateway = Gateway::start_with(options).await?;
    let ready = gateway.admin().get("/readyz").await?;
    let detail = ready.body["backend"]["detail"].as_str().context("detail")?;
    assert_eq!(ready.status, 200, "{ready:?}");
    assert!(detail.contains("UNREPLICATED"), "{detail}");
    gateway.restart().await?;
    let rows = gateway.admin().ledger("operation=governance").await?;
    let told = rows.iter().filter(|row| {
        let event = &row["event"];
        let summary = event["summary"].as_str().unwrap_or_default();
        event["collection"] == "storage"
            && event["id"] == "postgres"
            && event["principal"]["subject"] == "leasehold:storage"
            && summary.contains("UNREPLICATED, as the configuration allows")
    });
    assert_eq!(told.count(), 2, "once for each start: {rows:?}");
    Ok(())
}
