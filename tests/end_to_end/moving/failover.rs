//! The primary of a store is gone for good in the middle of a move to it, or from it.

use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use leasehold_test_servers::Pair;
use leasehold_test_servers::Postgres;
use leasehold_test_servers::until;
use leasehold_tests::Api;
use leasehold_tests::Gateway;
use leasehold_tests::GatewayOptions;
use serde_json::json;

use super::create;
use super::leases::BATCH;
use super::leases::name;
use super::leases::release;
use super::leases::renew_all;
use super::leases::take;
use super::move_to;
use super::moved_to;
use super::until_ready;
use super::verb;
use super::with_lease;

/// Enough locks that a move of them is under way for a while.
const BATCHES: usize = 60;
/// Shorter than it takes until a gateway takes up a move that was cut off.
const SHORT_TTL_MS: u64 = 15_000;
/// How long a failover, and all that follows from it, may take on a busy machine.
const OUTAGE_MAX: Duration = Duration::from_secs(120);

async fn gateway(pair: &Pair) -> Result<Gateway> {
    let url = pair.url("postgres");
    let config =
        format!("[stores.eu]\nbackend = \"postgres\"\n[stores.eu.postgres]\nurl = \"{url}\"\n");
    let gateway = Gateway::start_with(GatewayOptions {
        config,
        ..GatewayOptions::default()
    });
    let gateway = gateway.await?;
    until_ready(&gateway.admin(), "eu", true).await?;
    Ok(gateway)
}

/// Waits until the database says that the copy is under way.
async fn copying(primary: &Postgres, to: &str) {
    let question = match to {
        // So many records have come.
        "eu" => format!("SELECT newest > {} FROM leasehold.store", 4 * BATCH),
        _ => "SELECT convert_from(body, 'UTF8') LIKE 'moved %' FROM leasehold.documents \
              WHERE collection = 'seat'"
            .to_owned(),
    };
    until("the copy is under way", || async {
        primary.ask("postgres", &question).await == ["t"]
    })
    .await;
}

/// Waits until the move has come to its end, though nobody asks for it.
async fn arrived(admin: &Api, to: &str) -> Result<()> {
    let arriving = async {
        loop {
            let shown = admin.get("/v1/namespaces/west").await?;
            if shown.body["store"] == to && shown.body["moving_to"].is_null() {
                return anyhow::Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let arrived = tokio::time::timeout(OUTAGE_MAX, arriving).await;
    arrived.context("the move does not end")?
}

async fn a_failover_in_the_middle(from: &str, to: &'static str) -> Result<()> {
    let pair = Pair::start().await;
    let gateway = gateway(&pair).await?;
    let admin = gateway.admin();
    ensure!(create(&admin, "west", "home").await?.status == 201);
    let mut leases = take(&admin, BATCHES).await?;
    let (lock, gone) = leases.pop_last().context("a lock")?;
    release(&admin, &lock, &gone).await?;
    if from != "home" {
        moved_to(&admin, from).await?;
    }
    // Of the first page of records.
    let short = verb(&admin, "a", "acquire", &json!({ "ttl_ms": SHORT_TTL_MS })).await?;
    ensure!(short.status == 201, "{short:?}");

    let mover = admin.clone();
    let moving = tokio::spawn(async move { move_to(&mover, to).await });
    copying(&pair.primary, to).await;
    pair.primary.kill();
    let answer = moving.await??;
    ensure!(answer.status == 503, "it was not in the middle: {answer:?}");
    // Nobody gets what others hold, wherever it is.
    let stranger = gateway.service("stranger", "team-b").await?;
    for batch in (0..BATCHES).step_by(10) {
        let (lock, ask) = (name(batch, 0), json!({ "ttl_ms": 60_000 }));
        let asked = verb(&stranger, &lock, "acquire", &ask).await?;
        ensure!([409, 503].contains(&asked.status), "{asked:?}");
    }
    let _third = pair.take_over().await;
    arrived(&admin, to).await?;
    let renewed = with_lease(&admin, "a", "renew", &short).await?;
    ensure!(renewed.status == 200, "{renewed:?}");
    ensure!(renewed.token()? == short.token()?, "{renewed:?}");
    renew_all(&admin, &leases).await?;
    let again = verb(&admin, &lock, "acquire", &json!({ "ttl_ms": 60_000 })).await?;
    ensure!(again.token()? > gone.token, "{again:?} after {gone:?}");
    for store in ["home", "eu"] {
        let path = format!("/v1/audit/verify?store={store}");
        let verified = admin.get(&path).await?;
        ensure!(verified.body["intact"] == true, "{verified:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_of_the_new_store_only_delays_a_move() -> Result<()> {
    a_failover_in_the_middle("home", "eu").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_of_the_old_store_only_delays_a_move() -> Result<()> {
    a_failover_in_the_middle("eu", "home").await
}
