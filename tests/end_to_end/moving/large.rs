//! A lock with a queue that is larger than etcd takes.

use anyhow::Result;
use anyhow::ensure;
use leasehold_test_servers::Etcd;
use leasehold_test_servers::Postgres;
use leasehold_tests::Answer;
use leasehold_tests::Api;
use serde_json::Value;
use serde_json::json;
use tokio::task::JoinSet;

use super::create;
use super::move_to;
use super::moved_to;
use super::scale::three_stores;
use super::verb;
use super::with_lease;

/// Who wait, each with as many labels and as large a value as there may be.
const WAITERS: usize = 90;
/// So many of them are not too many.
const FEWER: usize = 20;

/// Text that does not pack.
fn noise(bytes: usize) -> String {
    let word = |_| format!("{:016x}", rand::random::<u64>());
    (0..bytes / 16).map(word).collect()
}

/// Waits for the lock with much to tell, until the task is ended.
async fn wait(api: Api, number: usize) -> Result<Answer> {
    let label = |label| (format!("label-{label}"), Value::from(noise(256)));
    let labels: serde_json::Map<_, _> = (0..16).map(label).collect();
    let ask = json!({ "ttl_ms": 60_000, "wait_ms": 60_000, "labels": labels,
        "value": noise(4_096), "request_id": format!("waiter-{number}") });
    verb(&api, "big", "acquire", &ask).await
}

/// Waits until so many stand in the queue, or fewer.
async fn queue_of(api: &Api, is: impl Fn(usize) -> bool) -> Result<()> {
    let queued = async {
        loop {
            let view = api.get("/v1/namespaces/west/locks/big").await?;
            if is(view.body["queue"].as_array().map_or(0, Vec::len)) {
                return anyhow::Ok(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(super::PATIENCE, queued).await?
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_is_too_long_for_the_new_store_refuses_the_move_by_name() -> Result<()> {
    let (postgres, etcd) = tokio::join!(Postgres::start(), Etcd::start(1));
    let gateway = three_stores(&postgres, &etcd).await?;
    let admin = gateway.admin();
    ensure!(create(&admin, "west", "home").await?.status == 201);
    let held = verb(&admin, "big", "acquire", &json!({ "ttl_ms": 600_000 })).await?;
    let mut waiting = JoinSet::new();
    for number in 0..FEWER {
        waiting.spawn(wait(admin.clone(), number));
    }
    queue_of(&admin, |queue| queue == FEWER).await?;
    let mut more = JoinSet::new();
    for number in FEWER..WAITERS {
        more.spawn(wait(admin.clone(), number));
    }
    queue_of(&admin, |queue| queue == WAITERS).await?;

    let refused = move_to(&admin, "sea").await?;
    ensure!(
        (refused.status, refused.code()) == (409, "conflict"),
        "{refused:?}"
    );
    ensure!(refused.body["effect"] == "none", "{refused:?}");
    let said = refused.text_of("detail")?;
    ensure!(
        said.contains("west/big") && said.contains("bytes"),
        "{said}"
    );
    let shown = admin.get("/v1/namespaces/west").await?;
    ensure!(shown.body["store"] == "home", "{shown:?}");
    ensure!(shown.body["moving_to"].is_null(), "{shown:?}");
    // Nothing has happened to anybody.
    ensure!(
        verb(&admin, "small", "acquire", &json!({ "ttl_ms": 60_000 }))
            .await?
            .status
            == 201
    );
    ensure!(with_lease(&admin, "big", "renew", &held).await?.status == 200);
    queue_of(&admin, |queue| queue == WAITERS).await?;
    // When most have gone, it can go.
    more.shutdown().await;
    queue_of(&admin, |queue| queue == FEWER).await?;
    moved_to(&admin, "sea").await?;
    ensure!(with_lease(&admin, "big", "renew", &held).await?.status == 200);
    Ok(())
}
