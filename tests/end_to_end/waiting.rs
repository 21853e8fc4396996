//! Queues, hand-overs, and clients that leave.

use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use leasehold_tests::Answer;
use leasehold_tests::Api;
use leasehold_tests::Gateway;
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(20);

async fn acquire_waiting(api: Api, lock: &str, request_id: &str, wait_ms: u64) -> Result<Answer> {
    let body = json!({ "ttl_ms": 10_000, "wait_ms": wait_ms, "request_id": request_id });
    api.post(&format!("/v1/namespaces/demo/locks/{lock}:acquire"), &body)
        .await
}

#[tokio::test]
async fn waiters_are_served_in_order_by_the_release_itself() -> Result<()> {
    let gateway = Gateway::start().await?;
    let api = gateway.admin();
    let first = api.acquire("queue", 10_000).await?;
    let mut tasks = Vec::new();
    for n in 0..5 {
        let waiting = api.clone();
        tasks.push(tokio::spawn(async move {
            acquire_waiting(waiting, "queue", &format!("waiter-{n}"), 15_000).await
        }));
        api.queue_of("queue", n + 1).await?;
    }
    let mut lease_id = first.body["lease_id"]
        .as_str()
        .context("lease_id")?
        .to_owned();
    let mut token = first.body["fencing_token"].as_u64().context("token")?;
    for task in tasks {
        let released = api.with_lease("queue", "release", &lease_id).await?;
        assert_eq!(released.status, 200, "{released:?}");
        let granted = tokio::time::timeout(PATIENCE, task).await???;
        assert_eq!(granted.status, 201, "{granted:?}");
        let next = granted.body["fencing_token"].as_u64().context("token")?;
        assert!(next > token, "{next} after {token}");
        (lease_id, token) = (
            granted.body["lease_id"]
                .as_str()
                .context("lease_id")?
                .to_owned(),
            next,
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_wait_that_ends_tells_position_and_holder_and_keeps_the_place() -> Result<()> {
    let gateway = Gateway::start().await?;
    let holder = gateway.service("holder", "team-a").await?;
    let api = gateway.admin();
    let first = holder.acquire("queue", 30_000).await?;
    let held = acquire_waiting(api.clone(), "queue", "patient", 200).await?;
    assert_eq!((held.status, held.code()), (409, "held"), "{held:?}");
    assert_eq!(held.body["position"], json!(0), "{held:?}");
    assert_eq!(
        held.body["holders"][0]["subject"],
        json!("holder"),
        "{held:?}"
    );

    // Somebody else comes after; the patient one asks again in its own place, and is first.
    let late = tokio::spawn(acquire_waiting(gateway.admin(), "queue", "late", 15_000));
    api.queue_of("queue", 2).await?;
    let again = tokio::spawn(acquire_waiting(api.clone(), "queue", "patient", 15_000));
    let lease_id = first.body["lease_id"].as_str().context("lease_id")?;
    tokio::time::sleep(Duration::from_millis(100)).await;
    holder.with_lease("queue", "release", lease_id).await?;
    let granted = tokio::time::timeout(PATIENCE, again).await???;
    assert_eq!(granted.status, 201, "{granted:?}");
    assert!(!late.is_finished());
    late.abort();
    Ok(())
}

#[tokio::test]
async fn a_client_that_leaves_is_taken_out_of_the_queue() -> Result<()> {
    let gateway = Gateway::start().await?;
    let api = gateway.admin();
    let first = api.acquire("queue", 30_000).await?;
    let leaver = tokio::spawn(acquire_waiting(gateway.admin(), "queue", "leaver", 30_000));
    api.queue_of("queue", 1).await?;
    leaver.abort();
    api.queue_of("queue", 0).await?;
    let lease_id = first.body["lease_id"].as_str().context("lease_id")?;
    api.with_lease("queue", "release", lease_id).await?;
    let next = gateway
        .service("next", "team-a")
        .await?
        .acquire("queue", 10_000)
        .await?;
    assert_eq!(next.status, 201, "{next:?}");
    Ok(())
}

#[tokio::test]
async fn an_expired_lease_goes_to_the_waiter_without_any_command() -> Result<()> {
    let gateway = Gateway::start().await?;
    let api = gateway.admin();
    let first = gateway
        .service("dead", "team-a")
        .await?
        .acquire("queue", 1_000)
        .await?;
    assert_eq!(first.status, 201, "{first:?}");
    let granted = acquire_waiting(api.clone(), "queue", "heir", 15_000).await?;
    assert_eq!(granted.status, 201, "{granted:?}");
    assert!(granted.body["fencing_token"].as_u64() > first.body["fencing_token"].as_u64());
    Ok(())
}

#[tokio::test]
async fn a_repeated_acquire_is_the_same_lease() -> Result<()> {
    let gateway = Gateway::start().await?;
    let api = gateway.admin();
    let body = json!({ "ttl_ms": 10_000, "request_id": "once" });
    let path = "/v1/namespaces/demo/locks/retry:acquire";
    let first = api.post(path, &body).await?;
    let second = api.post(path, &body).await?;
    assert_eq!(
        first.body["lease_id"], second.body["lease_id"],
        "{second:?}"
    );
    assert_eq!(first.body["fencing_token"], second.body["fencing_token"]);
    let other = json!({ "ttl_ms": 10_000, "request_id": "twice" });
    assert_eq!(api.post(path, &other).await?.code(), "held");
    Ok(())
}
