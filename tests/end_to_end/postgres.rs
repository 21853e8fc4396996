//! Gateways that share a PostgreSQL database: one store, whichever of them is asked.

mod failover;
mod ledger;
mod old_primary;
mod replication;

use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use leasehold_test_servers::Pair;
use leasehold_tests::Answer;
use leasehold_tests::Api;
use leasehold_tests::Gateway;
use leasehold_tests::GatewayOptions;
use serde_json::Value;
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(60);

/// What one gateway needs to use a database.
fn options(url: &str, consumer: &str, more: &str) -> GatewayOptions {
    let config = format!(
        "[storage]\nbackend = \"postgres\"\n[storage.postgres]\nurl = \"{url}\"\n\
         consumer = \"{consumer}\"\n{more}\n"
    );
    GatewayOptions {
        config,
        ..GatewayOptions::default()
    }
}

/// Two gateways on one database, which begin it together.
async fn two(url: &str) -> Result<(Gateway, Gateway)> {
    let first = Gateway::start_with(options(url, "one", ""));
    let second = Gateway::start_with(options(url, "two", ""));
    tokio::try_join!(first, second)
}

/// An acquire that waits, under way.
fn wait_for(api: &Api, lock: &str, request_id: &str) -> tokio::task::JoinHandle<Result<Answer>> {
    let (api, lock) = (api.clone(), lock.to_owned());
    let body = json!({ "ttl_ms": 60_000, "wait_ms": 60_000, "request_id": request_id });
    tokio::spawn(async move { api.verb(&lock, "acquire", &body).await })
}

/// What a wait came to.
async fn served(waiting: tokio::task::JoinHandle<Result<Answer>>) -> Result<Answer> {
    let answer = tokio::time::timeout(PATIENCE, waiting).await???;
    ensure!(answer.status == 201, "{answer:?}");
    Ok(answer)
}

async fn release(api: &Api, lock: &str, grant: &Answer) -> Result<()> {
    let lease_id = grant.text_of("lease_id")?;
    let released = api.with_lease(lock, "release", lease_id).await?;
    ensure!(released.status == 200, "{released:?}");
    Ok(())
}

/// Both have all events that either knows of, the same to the byte, and what they have verifies.
async fn same_ledger(first: &Api, second: &Api) -> Result<Vec<Value>> {
    let mut newest = 0;
    for api in [first, second] {
        // A gateway knows of its own writes at once, and of another's soon.
        let ledger = api.get("/readyz").await?.body["ledger"].clone();
        let (cursor, lag) = (ledger["cursor"].as_u64(), ledger["lag_events"].as_u64());
        newest = newest.max(cursor.context("cursor")? + lag.context("lag")?);
    }
    let newest = usize::try_from(newest)?;
    let mut both = Vec::new();
    for api in [first, second] {
        let reading = async {
            loop {
                let mut rows = api.ledger("").await?;
                if rows.len() >= newest {
                    rows.truncate(newest);
                    return anyhow::Ok(rows);
                }
            }
        };
        both.push(tokio::time::timeout(PATIENCE, reading).await??);
        let verified = api.get("/v1/audit/verify").await?;
        ensure!(
            verified.status == 200 && verified.body["intact"] == true,
            "{verified:?}"
        );
    }
    ensure!(both[0] == both[1], "the ledgers differ");
    Ok(both.remove(0))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_gateway_takes_any_request() -> Result<()> {
    let pair = Pair::start().await;
    let (first, second) = two(&pair.url("postgres")).await?;
    let (one, two) = (first.admin(), second.admin());
    let grant = one.acquire("a", 60_000).await?;
    assert_eq!(grant.status, 201, "{grant:?}");
    let lease_id = grant.text_of("lease_id")?.to_owned();
    let other = second.service("other", "team-b").await?;
    assert_eq!(other.acquire("a", 60_000).await?.code(), "held");
    let renewed = two.with_lease("a", "renew", &lease_id).await?;
    assert_eq!(renewed.status, 200, "{renewed:?}");
    assert_eq!(renewed.token()?, grant.token()?);
    release(&two, "a", &grant).await?;
    // Who is known at one is soon known at the other, and reads there what was just done here.
    let there = first.api(other.key());
    let known = async {
        loop {
            let asked = there.acquire("a", 60_000).await?;
            if asked.status != 401 {
                return anyhow::Ok(asked);
            }
        }
    };
    let again = tokio::time::timeout(PATIENCE, known).await??;
    assert_eq!(again.status, 201, "{again:?}");
    assert!(again.token()? > grant.token()?);
    let seen = two.show("a").await?;
    assert_eq!(seen.body["holders"][0]["subject"], json!("other"));

    let rows = same_ledger(&one, &two).await?;
    let of_lock = rows.iter().filter(|row| row["event"]["lock"] == "demo/a");
    assert_eq!(of_lock.count(), 3, "granted, released, granted");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_bound_at_one_judges_at_the_other() -> Result<()> {
    let pair = Pair::start().await;
    let (first, second) = two(&pair.url("postgres")).await?;
    let binding = json!({ "namespaces": ["demo"], "locks": ["short/**"], "operations": ["acquire"],
        "policies": [{ "policy": "ttl-bounds", "version": "1.1.0",
            "config": { "rules": [{ "max_ttl_ms": 5_000, "too_long": "deny" }] } }] });
    let bound = first
        .admin()
        .put("/v1/bindings/short-only", &binding)
        .await?;
    assert_eq!(bound.status, 200, "{bound:?}");
    let api = second.admin();
    let denied = async {
        for n in 0.. {
            // A lock each time: before the binding is known there, it is granted.
            let asked = api.acquire(&format!("short/{n}"), 60_000).await?;
            if asked.status != 201 {
                return Ok(asked);
            }
        }
        anyhow::bail!("never denied")
    };
    let denied = tokio::time::timeout(PATIENCE, denied).await??;
    assert_eq!(
        (denied.status, denied.code()),
        (403, "denied"),
        "{denied:?}"
    );
    assert_eq!(denied.body["denial"]["policy"], "ttl-bounds", "{denied:?}");
    // It is on record everywhere, before it was answered.
    let rows = same_ledger(&first.admin(), &second.admin()).await?;
    let kinds = rows.iter().filter(|row| row["event"]["kind"] == "denied");
    assert_eq!(kinds.count(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiters_of_all_gateways_stand_in_one_queue() -> Result<()> {
    let pair = Pair::start().await;
    let (first, second) = two(&pair.url("postgres")).await?;
    let apis = [first.admin(), second.admin()];
    let mut grant = apis[0].acquire("queue", 60_000).await?;
    let mut waiting = Vec::new();
    for n in 0..4 {
        waiting.push(wait_for(&apis[n % 2], "queue", &format!("waiter-{n}")));
        apis[0].queue_of("queue", n + 1).await?;
    }
    for (n, waiting) in waiting.into_iter().enumerate() {
        // Released where the next one does not wait.
        release(&apis[(n + 1) % 2], "queue", &grant).await?;
        let next = served(waiting).await?;
        assert!(next.token()? > grant.token()?);
        grant = next;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_gateway_held_goes_on_at_the_other() -> Result<()> {
    let pair = Pair::start().await;
    let (mut first, second) = two(&pair.url("postgres")).await?;
    let (one, two) = (first.admin(), second.admin());
    let kept = one.acquire("kept", 600_000).await?;
    let holder = two.acquire("queue", 600_000).await?;
    let lost = wait_for(&one, "queue", "first-in-line");
    two.queue_of("queue", 1).await?;
    let later = wait_for(&two, "queue", "second-in-line");
    two.queue_of("queue", 2).await?;

    first.kill().await?;
    ensure!(lost.await?.is_err(), "its gateway is gone");
    let resumed = wait_for(&two, "queue", "first-in-line");
    // It stands where it stood: nobody was added, and it is served first.
    release(&two, "queue", &holder).await?;
    let next = served(resumed).await?;
    assert!(!later.is_finished());
    two.queue_of("queue", 1).await?;
    release(&two, "queue", &next).await?;
    assert!(served(later).await?.token()? > next.token()?);
    let lease_id = kept.text_of("lease_id")?;
    let renewed = two.with_lease("kept", "renew", lease_id).await?;
    assert_eq!(renewed.status, 200, "{renewed:?}");
    assert_eq!(renewed.token()?, kept.token()?);

    first.restart().await?;
    let rows = same_ledger(&first.admin(), &two).await?;
    let of_queue = rows
        .iter()
        .filter(|row| row["event"]["lock"] == "demo/queue");
    let ended = of_queue.filter(|row| row.to_string().contains("\"type\":\"wait-ended\""));
    assert_eq!(ended.count(), 0, "nobody lost its place");
    let same = first.admin().show("kept").await?.body["holders"][0]["fencing_token"].clone();
    assert_eq!(same.as_u64().context("a token")?, kept.token()?);
    Ok(())
}
