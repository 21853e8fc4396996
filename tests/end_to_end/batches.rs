//! Several locks in one request: all or nothing, and an answer for each renewal.

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use leasehold_policy_guests::Guest;
use leasehold_tests::Answer;
use leasehold_tests::Api;
use leasehold_tests::Gateway;
use serde_json::Value;
use serde_json::json;

async fn acquire_all(api: &Api, body: Value) -> Result<Answer> {
    api.post("/v1/namespaces/demo/locks:acquire", &body).await
}

async fn renew_all(api: &Api, body: Value) -> Result<Answer> {
    api.post("/v1/namespaces/demo/leases:renew", &body).await
}

fn names(grants: &Answer) -> Vec<String> {
    let rows = grants.body["grants"].as_array().cloned();
    let name = |row: &Value| row["lock"].as_str().unwrap_or_default().to_owned();
    rows.unwrap_or_default().iter().map(name).collect()
}

#[tokio::test]
async fn several_locks_are_taken_all_or_none_of_them() -> Result<()> {
    let gateway = Gateway::start().await?;
    let (alice, bob) = (
        gateway.service("alice", "team-a").await?,
        gateway.service("bob", "team-b").await?,
    );
    let held = bob.acquire("m/b", 60_000).await?;
    let body = json!({ "locks": ["m/c", "m/b", "m/a"], "ttl_ms": 60_000 });
    let refused = acquire_all(&alice, body.clone()).await?;
    assert_eq!(
        (refused.status, refused.code()),
        (409, "held"),
        "{refused:?}"
    );
    assert_eq!(refused.body["holders"][0]["subject"], json!("bob"));
    for lock in ["m/a", "m/c"] {
        let view = alice.show(lock).await?;
        assert_eq!(view.body["state"], json!("free"), "{view:?}");
    }
    bob.with_lease("m/b", "release", held.text_of("lease_id")?)
        .await?;
    let grants = acquire_all(&alice, body).await?;
    assert_eq!(grants.status, 201, "{grants:?}");
    assert_eq!(names(&grants), ["m/c", "m/b", "m/a"], "as they were asked");
    for row in grants.body["grants"].as_array().context("grants")? {
        let lock = row["lock"].as_str().context("lock")?;
        let lease_id = row["grant"]["lease_id"].as_str().context("lease_id")?;
        let released = alice.with_lease(lock, "release", lease_id).await?;
        assert_eq!(released.status, 200, "{released:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_repeated_request_is_the_same_leases_and_a_bad_one_takes_nothing() -> Result<()> {
    let gateway = Gateway::start().await?;
    let api = gateway.admin();
    let body = json!({ "locks": ["r/a", "r/b"], "ttl_ms": 60_000, "request_id": "once" });
    let first = acquire_all(&api, body.clone()).await?;
    let again = acquire_all(&api, body).await?;
    for n in 0..2 {
        for field in ["lease_id", "fencing_token"] {
            let of = |answer: &Answer| answer.body["grants"][n]["grant"][field].clone();
            assert_eq!(of(&first), of(&again), "{again:?}");
        }
        assert_eq!(again.body["grants"][n]["grant"]["repeated"], json!(true));
    }
    let many: Vec<String> = (0..65).map(|n| format!("r/many-{n}")).collect();
    for bad in [
        json!({ "locks": [], "ttl_ms": 10_000 }),
        json!({ "locks": many, "ttl_ms": 10_000 }),
        json!({ "locks": ["r/x", "r/x"], "ttl_ms": 10_000 }),
        json!({ "locks": ["r/x", "r//y"], "ttl_ms": 10_000 }),
        json!({ "locks": ["r/x", "r/y"], "ttl_ms": 1 }),
        json!({ "locks": ["r/x"], "ttl_ms": 10_000, "wait_ms": 1_000 }),
        json!({ "locks": ["r/x"], "ttl_ms": 10_000, "permits": 2 }),
    ] {
        let answer = acquire_all(&api, bad.clone()).await?;
        assert_eq!(answer.status, 422, "{bad} gave {answer:?}");
    }
    assert_eq!(api.show("r/x").await?.body["revision"], json!(0));
    let most = acquire_all(&api, json!({ "locks": many[..64], "ttl_ms": 10_000 })).await?;
    assert_eq!(most.status, 201, "{most:?}");
    Ok(())
}

#[tokio::test]
async fn opposite_orders_never_block_each_other() -> Result<()> {
    let gateway = Gateway::start().await?;
    let racer = |subject: &'static str, locks: [&'static str; 2]| {
        let gateway = &gateway;
        async move {
            let api = gateway.service(subject, "team-a").await?;
            let mut won = 0;
            for n in 0..40 {
                let request_id = format!("{subject}-{n}");
                let body = json!({ "locks": locks, "ttl_ms": 60_000, "request_id": request_id });
                let grants = acquire_all(&api, body).await?;
                if grants.status == 409 {
                    assert_eq!(grants.code(), "held", "{grants:?}");
                    continue;
                }
                assert_eq!(grants.status, 201, "{grants:?}");
                won += 1;
                for row in grants.body["grants"].as_array().context("grants")? {
                    let lock = row["lock"].as_str().context("lock")?;
                    let lease_id = row["grant"]["lease_id"].as_str().context("lease_id")?;
                    let released = api.with_lease(lock, "release", lease_id).await?;
                    assert_eq!(released.status, 200, "{released:?}");
                }
            }
            anyhow::Ok(won)
        }
    };
    let (one, two) = tokio::join!(racer("one", ["o/a", "o/b"]), racer("two", ["o/b", "o/a"]));
    assert!(one? + two? > 0);
    for lock in ["o/a", "o/b"] {
        let view = gateway.admin().show(lock).await?;
        assert_eq!(view.body["state"], json!("free"), "{view:?}");
    }
    Ok(())
}

#[tokio::test]
async fn each_renewal_of_a_batch_has_its_own_answer() -> Result<()> {
    let gateway = Gateway::start().await?;
    let (alice, bob) = (
        gateway.service("alice", "team-a").await?,
        gateway.service("bob", "team-b").await?,
    );
    let mine = alice.acquire("b/mine", 60_000).await?;
    let over = alice.acquire("b/over", 60_000).await?;
    let over = over.text_of("lease_id")?;
    alice.with_lease("b/over", "release", over).await?;
    let foreign = bob.acquire("b/foreign", 60_000).await?;
    let lease = |lock: &str, id: &str, ttl_ms: u64| json!({ "lock": lock, "lease_id": id, "ttl_ms": ttl_ms });
    let mine = mine.text_of("lease_id")?;
    let leases = json!([
        lease("b/over", over, 30_000),
        lease("b/mine", mine, 30_000),
        lease("b/foreign", foreign.text_of("lease_id")?, 30_000),
        lease("b/mine", &"0".repeat(32), 30_000),
        lease("b/mine", mine, 1),
    ]);
    let answer = renew_all(&alice, json!({ "leases": leases })).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    let results = answer.body["results"].as_array().context("results")?;
    let code = |n: usize| results[n]["problem"]["code"].as_str().unwrap_or("granted");
    let codes: Vec<&str> = (0..results.len()).map(code).collect();
    let expected = [
        "lease_ended",
        "granted",
        "not_holder",
        "lease_lost",
        "invalid_request",
    ];
    assert_eq!(codes, expected, "{answer:?}");
    assert_eq!(results[1]["grant"]["ttl_ms"], json!(30_000));
    for bad in [
        json!({ "leases": [] }),
        json!({ "leases": vec![lease("b/mine", mine, 30_000); 1_001] }),
        json!({ "leases": [lease("b/mine", "rubbish", 30_000)] }),
        json!({ "leases": [lease("b//mine", mine, 30_000)] }),
    ] {
        let answer = renew_all(&alice, bad).await?;
        assert_eq!(answer.status, 422, "{answer:?}");
    }
    let nowhere = "/v1/namespaces/nowhere/leases:renew";
    let body = json!({ "leases": [lease("b/mine", mine, 30_000)] });
    let answer = alice.post(nowhere, &body).await?;
    let problem = &answer.body["results"][0]["problem"];
    let code = problem["code"].as_str().unwrap_or(answer.code());
    assert_eq!(code, "namespace_not_found", "{answer:?}");
    Ok(())
}

/// A policy that is shown the lock must see it as it is: a renewal that comes after another of the
/// same lock is judged once more, and not refused.
#[tokio::test]
async fn shared_leases_of_one_lock_are_renewed_together_where_a_policy_reads_it() -> Result<()> {
    let gateway = Gateway::start().await?;
    let api = gateway.admin();
    let guest = Guest {
        operations: vec!["renew".to_owned()],
        needs_lock: true,
        ..Guest::default()
    };
    let uploaded = api.upload_policy("by-hand", "1.2.3", guest.wasm()).await?;
    ensure!(uploaded.status == 201, "{uploaded:?}");
    let binding = json!({ "namespaces": ["demo"], "locks": ["together/**"],
        "operations": ["renew"], "policies": [{ "policy": "by-hand", "version": "1.2.3" }] });
    let bound = api.put("/v1/bindings/by-hand", &binding).await?;
    ensure!(bound.status < 300, "{bound:?}");
    let mut leases = Vec::new();
    for lock in ["together/a", "together/a", "together/b", "together/a"] {
        let body = json!({ "ttl_ms": 60_000, "mode": "shared" });
        let grant = api.verb(lock, "acquire", &body).await?;
        ensure!(grant.status == 201, "{grant:?}");
        let lease_id = grant.text_of("lease_id")?;
        leases.push(json!({ "lock": lock, "lease_id": lease_id }));
    }
    let renewed = renew_all(&api, json!({ "leases": leases })).await?;
    ensure!(renewed.status == 200, "{renewed:?}");
    let results = renewed.body["results"].as_array().context("results")?;
    ensure!(results.len() == leases.len(), "{renewed:?}");
    for result in results {
        ensure!(result["grant"]["lease_id"].is_string(), "{renewed:?}");
    }
    Ok(())
}
