//! A database that hangs, and one that is gone.

use anyhow::Result;
use anyhow::ensure;
use leasehold_test_servers::Postgres;
use leasehold_tests::ADMIN_KEY;
use leasehold_tests::Gateway;
use leasehold_tests::GatewayOptions;
use serde_json::json;

use super::RULES;
use super::incident;
use super::it_is_told;
use super::only_beginnings_are_refused;
use super::told;
use super::until;
use super::until_granted;
use super::until_refused;

fn options(server: &Postgres, more: &str) -> GatewayOptions {
    let url = server.url("postgres");
    GatewayOptions {
        config: format!(
            "[storage]\nbackend = \"postgres\"\n[storage.postgres]\nurl = \"{url}\"\n\
             allow_unreplicated = true\ntransaction_deadline_ms = 1000\n{RULES}{more}\n"
        ),
        ..GatewayOptions::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_hangs_grants_nothing_until_it_answers() -> Result<()> {
    let server = Postgres::start().await;
    let gateway = Gateway::start_with(options(&server, "")).await?;
    let api = gateway.admin();
    let held = until_granted(&api, "held").await?;
    let lease_id = held.text_of("lease_id")?;

    server.freeze();
    let id = until_refused(&api).await?;
    only_beginnings_are_refused(&api, "held", lease_id).await?;
    it_is_told(&gateway, &id).await?;

    server.thaw();
    until_granted(&api, "now").await?;
    let renewed = api.with_lease("held", "renew", lease_id).await?;
    ensure!(renewed.status == 200, "{renewed:?}");
    let ended = incident(&api, &id).await?;
    ensure!(ended.body["ended"]["by"] == "recovery", "{ended:?}");
    let told = told(&api, &id).await?;
    ensure!(told.len() == 2, "{told:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_an_operator_is_asked_nothing_is_granted_before_also_after_a_restart() -> Result<()> {
    let server = Postgres::start().await;
    let options = options(&server, "end = \"acknowledged\"");
    let mut gateway = Gateway::start_with(options).await?;
    let auditor = gateway.principal("auditor", "team-a", &["auditor"]).await?;
    let operator = gateway.principal("olga", "team-a", &["operator"]).await?;
    until_granted(&gateway.admin(), "held").await?;

    server.kill();
    let id = until_refused(&gateway.admin()).await?;
    server.begin().await;
    // The store works and its ledger has been told, but nobody has looked yet.
    let api = gateway.admin();
    let recorded = |answer: &leasehold_tests::Answer| answer.body["recorded"] == true;
    let known = until("the record", || incident(&api, &id), recorded).await?;
    ensure!(known.body["open"] == true, "{known:?}");
    ensure!(until_refused(&api).await? == id);

    gateway.kill().await?;
    gateway.restart().await?;
    let (api, auditor) = (gateway.admin(), auditor.at(gateway.url()));
    ensure!(until_refused(&api).await? == id);
    let path = format!("/v1/incidents/{id}:acknowledge");
    let note = json!({ "note": "the disk was full" });
    let forbidden = auditor.post(&path, &note).await?;
    ensure!(forbidden.status == 403, "{forbidden:?}");
    let key = operator.key().unwrap_or_default();
    let words = [
        "incident",
        "acknowledge",
        &id,
        "--note",
        "the disk was full",
    ];
    let seen = gateway.command_line(key, &words).await?;
    ensure!(seen.status.code() == Some(0), "{seen:?}");

    until_granted(&api, "now").await?;
    let again = gateway.command_line(key, &words).await?;
    ensure!(again.status.code() == Some(0), "{again:?}");
    let other = gateway.command_line(ADMIN_KEY, &words).await?;
    ensure!(other.status.code() == Some(78), "{other:?}");

    gateway.restart().await?;
    let (api, auditor) = (gateway.admin(), auditor.at(gateway.url()));
    let kept = incident(&auditor, &id).await?;
    ensure!(kept.body["open"] == false, "{kept:?}");
    ensure!(kept.body["ended"]["by"] == "acknowledgement", "{kept:?}");
    ensure!(kept.body["acknowledged"]["by"] == "olga", "{kept:?}");
    let told = told(&api, &id).await?;
    let who: Vec<&str> = told.iter().map(|(who, _)| who.as_str()).collect();
    let door = "leasehold:gateway:door-1";
    ensure!(who == [door, "olga", door], "{told:?}");
    ensure!(told[1].1.contains("the disk was full"), "{told:?}");
    until_granted(&api, "after").await?;
    Ok(())
}
