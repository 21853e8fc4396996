//! The ledger is in the database: gateways come and go with empty folders, and all of them have
//! all of it.

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use leasehold_test_servers::Postgres;
use leasehold_test_servers::until;
use leasehold_tests::Api;
use leasehold_tests::Gateway;
use serde_json::Value;
use serde_json::json;

use super::options;
use super::same_ledger;

/// More events than the database keeps for watches.
const CALLS: usize = 90;
const LOCKS: usize = 64;

async fn start(server: &Postgres, name: &str) -> Result<Gateway> {
    let url = server.url("postgres");
    Gateway::start_with(options(&url, name, "allow_unreplicated = true")).await
}

/// Many locks in few requests, each with an event of its own.
async fn take_many(api: &Api, name: &str, calls: usize) -> Result<()> {
    for call in 0..calls {
        let locks: Vec<Value> = (0..LOCKS)
            .map(|n| json!(format!("{name}/{call}-{n}")))
            .collect();
        let body = json!({ "locks": locks, "ttl_ms": 600_000 });
        let taken = api.post("/v1/namespaces/demo/locks:acquire", &body).await?;
        ensure!(taken.status == 201, "{taken:?}");
    }
    Ok(())
}

async fn number(server: &Postgres, question: &str) -> u64 {
    let answer = server.ask("postgres", question).await;
    answer[0].parse().expect("a number")
}

async fn archived(server: &Postgres) -> u64 {
    number(server, "SELECT cursor FROM leasehold.ledger_end").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_with_an_empty_folder_has_the_whole_ledger() -> Result<()> {
    let server = Postgres::start().await;
    let (mut first, second) = (start(&server, "one").await?, start(&server, "two").await?);
    take_many(&first.admin(), "first", CALLS).await?;
    until(
        "the database forgets events that its ledger has",
        || async { number(&server, "SELECT min(trimmed) FROM leasehold.consumers").await > 1_000 },
    )
    .await;
    let consumers = "SELECT string_agg(name, ',') FROM leasehold.consumers";
    ensure!(server.ask("postgres", consumers).await == ["ledger:archive"]);

    // It comes after those events were forgotten, and has them all the same.
    let third = start(&server, "three").await?;
    let rows = same_ledger(&first.admin(), &third.admin()).await?;
    ensure!(rows.len() >= CALLS * LOCKS, "only {} rows", rows.len());
    let at = rows.last().context("rows")?["event"]["time"].clone();
    let at = at.as_str().context("a time")?.to_owned();
    let path = format!("/v1/audit/holders?lock=demo/first/0-0&at={at}");
    let (here, there) = (
        first.admin().get(&path).await?,
        third.admin().get(&path).await?,
    );
    ensure!(here.status == 200 && here.body["holders"] == there.body["holders"]);

    // Whoever extends the database's ledger may go: another goes on.
    first.kill().await?;
    take_many(&second.admin(), "second", 3).await?;
    let health = second.admin().get("/readyz").await?;
    second.admin().settled().await?;
    let newest = health.body["ledger"]["cursor"]
        .as_u64()
        .context("a cursor")?;
    until("the others go on", || async {
        archived(&server).await >= newest.max(rows.len() as u64 + 3 * LOCKS as u64)
    })
    .await;
    let dense = "SELECT (count(*) = 0)::integer FROM ( \
        SELECT first, lag(last, 1, 0::bigint) OVER (ORDER BY last) AS before FROM leasehold.ledger \
        ) AS each WHERE first <> before + 1";
    ensure!(number(&server, dense).await == 1, "there are gaps");
    same_ledger(&second.admin(), &third.admin()).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_gateway_leaves_nothing_behind_that_others_lack() -> Result<()> {
    let server = Postgres::start().await;
    let mut only = start(&server, "one").await?;
    take_many(&only.admin(), "only", 2).await?;
    let rows = only.admin().ledger("").await?;
    ensure!(only.terminate().await? == Some(0));
    ensure!(archived(&server).await >= rows.len() as u64);
    let next = start(&server, "two").await?;
    let others = next.admin().ledger("").await?;
    ensure!(others[..rows.len()] == rows[..], "the ledgers differ");
    let verified = next.admin().get("/v1/audit/verify").await?;
    ensure!(verified.body["intact"] == true, "{verified:?}");
    Ok(())
}

/// More writes than are read at once: each a row of its own.
const MISSED: usize = 600;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_was_away_reads_what_it_has_missed() -> Result<()> {
    let server = Postgres::start().await;
    let (first, mut second) = (start(&server, "one").await?, start(&server, "two").await?);
    second.kill().await?;
    let api = first.admin();
    for n in 0..MISSED {
        let taken = api.acquire(&format!("missed/{n}"), 600_000).await?;
        ensure!(taken.status == 201, "{taken:?}");
    }
    second.restart().await?;
    let rows = same_ledger(&api, &second.admin()).await?;
    ensure!(rows.len() >= MISSED, "only {} rows", rows.len());
    Ok(())
}
