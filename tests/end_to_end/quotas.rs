//! A quota is kept whatever way leases are asked for, and no lease counts against itself.

use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use leasehold_tests::Answer;
use leasehold_tests::Api;
use leasehold_tests::Gateway;
use serde_json::Value;
use serde_json::json;

async fn acquire_all(api: &Api, body: Value) -> Result<Answer> {
    api.post("/v1/namespaces/demo/locks:acquire", &body).await
}

/// Binds the stock quota: so many leases for each subject.
async fn quota(admin: &Api, most: u32) -> Result<()> {
    let list = admin.get("/v1/policies").await?;
    let rows = list.body["policies"].as_array().context("policies")?;
    let row = rows.iter().find(|row| row["policy"] == "quota");
    let version = row.context("the stock quota")?["version"].clone();
    let binding = json!({ "namespaces": ["demo"], "policies": [
        { "policy": "quota", "version": version, "config": { "max_per_subject": most } }] });
    let bound = admin.put("/v1/bindings/quota", &binding).await?;
    assert_eq!(bound.status, 200, "{bound:?}");
    Ok(())
}

#[tokio::test]
async fn a_quota_counts_the_locks_of_one_request_too() -> Result<()> {
    let gateway = Gateway::start().await?;
    quota(&gateway.admin(), 3).await?;
    let alice = gateway.service("alice", "team-a").await?;
    assert_eq!(alice.acquire("q/first", 60_000).await?.status, 201);
    let three = json!({ "locks": ["q/a", "q/b", "q/c"], "ttl_ms": 60_000 });
    let denied = acquire_all(&alice, three).await?;
    assert_eq!(
        (denied.status, denied.code()),
        (403, "denied"),
        "{denied:?}"
    );
    assert_eq!(denied.body["denial"]["code"], json!("quota-subject"));
    let two = json!({ "locks": ["q/a", "q/b"], "ttl_ms": 60_000 });
    let granted = acquire_all(&alice, two).await?;
    assert_eq!(granted.status, 201, "{granted:?}");
    assert_eq!(alice.acquire("q/c", 60_000).await?.code(), "denied");
    let denials = gateway
        .admin()
        .ledger("verdict=denied&subject=alice")
        .await?;
    assert_eq!(denials.len(), 2, "{denials:?}");
    Ok(())
}

#[tokio::test]
async fn requests_that_race_for_a_quota_get_all_of_it_and_no_more() -> Result<()> {
    let gateway = Gateway::start().await?;
    quota(&gateway.admin(), 4).await?;
    let alice = gateway.service("alice", "team-a").await?;
    let race = |n: usize| {
        let alice = alice.clone();
        tokio::spawn(async move {
            let locks = [format!("race/{n}-a"), format!("race/{n}-b")];
            acquire_all(&alice, json!({ "locks": locks, "ttl_ms": 60_000 })).await
        })
    };
    let racers: Vec<_> = (0..8).map(race).collect();
    let mut granted = 0;
    for racer in racers {
        let answer = racer.await??;
        match answer.status {
            201 => granted += 1,
            _ => assert_eq!(answer.code(), "denied", "{answer:?}"),
        }
    }
    assert_eq!(granted, 2, "of 2 leases each");
    Ok(())
}

#[tokio::test]
async fn a_lease_that_waited_does_not_count_against_itself() -> Result<()> {
    let gateway = Gateway::start().await?;
    quota(&gateway.admin(), 1).await?;
    let holder = gateway.service("holder", "team-a").await?;
    let waiter = gateway.service("waiter", "team-b").await?;
    let held = holder.acquire("w", 60_000).await?;
    let body = json!({ "ttl_ms": 10_000, "wait_ms": 30_000 });
    let waiting = waiter.clone();
    let task = tokio::spawn(async move { waiting.verb("w", "acquire", &body).await });
    waiter.queue_of("w", 1).await?;
    // So long that the grant is judged again.
    tokio::time::sleep(Duration::from_millis(1_300)).await;
    let released = holder.with_lease("w", "release", held.text_of("lease_id")?);
    assert_eq!(released.await?.status, 200);
    let granted = task.await??;
    assert_eq!(granted.status, 201, "{granted:?}");
    assert_eq!(waiter.acquire("other", 10_000).await?.code(), "denied");
    Ok(())
}

#[tokio::test]
async fn sixty_four_clients_of_one_subject_are_not_refused_below_the_quota() -> Result<()> {
    let gateway = Gateway::start().await?;
    quota(&gateway.admin(), 64).await?;
    let alice = gateway.service("alice", "team-a").await?;
    let cycle = |n: usize| {
        let alice = alice.clone();
        tokio::spawn(async move {
            let lock = format!("crowd/{n}");
            for _ in 0..4 {
                let held = alice.acquire(&lock, 60_000).await?;
                assert_eq!(held.status, 201, "{held:?}");
                let released = alice.with_lease(&lock, "release", held.text_of("lease_id")?);
                assert_eq!(released.await?.status, 200);
            }
            anyhow::Ok(())
        })
    };
    let clients: Vec<_> = (0..64).map(cycle).collect();
    for client in clients {
        client.await??;
    }
    Ok(())
}

/// A client whose answer was lost asks again, and must not stand in its own way.
#[tokio::test]
async fn a_request_that_is_asked_again_does_not_count_against_itself() -> Result<()> {
    let gateway = Gateway::start().await?;
    quota(&gateway.admin(), 3).await?;
    let alice = gateway.service("alice", "team-a").await?;
    let two = json!({ "locks": ["r/a", "r/b"], "ttl_ms": 60_000, "request_id": "two" });
    let one = json!({ "ttl_ms": 60_000, "request_id": "one" });
    let first = (
        acquire_all(&alice, two.clone()).await?,
        alice.verb("r/c", "acquire", &one).await?,
    );
    assert_eq!((first.0.status, first.1.status), (201, 201), "{first:?}");
    let again = (
        acquire_all(&alice, two).await?,
        alice.verb("r/c", "acquire", &one).await?,
    );
    assert_eq!((again.0.status, again.1.status), (201, 201), "{again:?}");
    assert_eq!(again.1.body["lease_id"], first.1.body["lease_id"]);
    let lease_of = |answer: &Answer| answer.body["grants"][1]["grant"]["lease_id"].clone();
    assert_eq!(lease_of(&again.0), lease_of(&first.0));
    assert_eq!(alice.acquire("r/d", 60_000).await?.code(), "denied");
    Ok(())
}
