//! Shared permits, a lock's settings, tokens, and the list.

use anyhow::Context;
use anyhow::Result;
use leasehold_tests::Answer;
use leasehold_tests::Api;
use leasehold_tests::Gateway;
use serde_json::Value;
use serde_json::json;

async fn declare(api: &Api, lock: &str, settings: Value) -> Result<Answer> {
    let path = format!("/v1/namespaces/demo/locks/{lock}");
    api.put(&path, &settings).await
}

async fn share(api: &Api, lock: &str, permits: u32) -> Result<Answer> {
    let body = json!({ "ttl_ms": 60_000, "mode": "shared", "permits": permits });
    api.verb(lock, "acquire", &body).await
}

#[tokio::test]
async fn permits_are_shared_up_to_the_limit_and_nobody_is_overtaken() -> Result<()> {
    let gateway = Gateway::start().await?;
    let admin = gateway.admin();
    assert_eq!(
        declare(&admin, "p", json!({ "limit": 3 })).await?.status,
        200
    );
    let two = share(&admin, "p", 2).await?;
    let one = share(&admin, "p", 1).await?;
    assert_eq!((two.status, one.status), (201, 201), "{two:?} {one:?}");
    assert_eq!(share(&admin, "p", 1).await?.code(), "held");
    let too_many = share(&admin, "p", 4).await?;
    assert_eq!((too_many.status, too_many.code()), (409, "conflict"));

    let ask = |subject: &'static str, body: Value| {
        let gateway = &gateway;
        async move {
            let api = gateway.service(subject, "team-a").await?;
            let waiter = api.clone();
            let task = tokio::spawn(async move { waiter.verb("p", "acquire", &body).await });
            anyhow::Ok((api, task))
        }
    };
    let alone = json!({ "ttl_ms": 10_000, "wait_ms": 30_000 });
    let (writer, alone) = ask("writer", alone).await?;
    admin.queue_of("p", 1).await?;
    let shared = json!({ "ttl_ms": 10_000, "wait_ms": 30_000, "mode": "shared" });
    let (_, shared) = ask("reader", shared).await?;
    admin.queue_of("p", 2).await?;

    // A permit is free now, but the writer came first.
    admin
        .with_lease("p", "release", one.text_of("lease_id")?)
        .await?;
    assert_eq!(share(&admin, "p", 1).await?.code(), "held");
    assert!(!alone.is_finished() && !shared.is_finished());
    admin
        .with_lease("p", "release", two.text_of("lease_id")?)
        .await?;
    let written = alone.await??;
    assert_eq!(written.status, 201, "{written:?}");
    assert!(!shared.is_finished(), "alone means alone");
    assert!(written.token()? > two.token()?);
    writer
        .with_lease("p", "release", written.text_of("lease_id")?)
        .await?;
    assert_eq!(shared.await??.status, 201);
    Ok(())
}

#[tokio::test]
async fn a_cooldown_follows_an_expiry_and_not_a_release() -> Result<()> {
    let gateway = Gateway::start().await?;
    let admin = gateway.admin();
    let settings = json!({ "cooldown_ms": 600_000, "description": "the ledger's close" });
    let declared = declare(&admin, "c", settings).await?;
    assert_eq!(declared.status, 200, "{declared:?}");
    assert_eq!(declared.body["description"], json!("the ledger's close"));
    let grant = admin.acquire("c", 60_000).await?;
    admin
        .with_lease("c", "release", grant.text_of("lease_id")?)
        .await?;
    let again = admin.acquire("c", 1_000).await?;
    assert_eq!(again.status, 201, "a release cools nothing: {again:?}");
    let cooling = |view: &Value| view["state"] == "cooling-down";
    let view = admin.until("c", cooling).await?;
    assert!(view["cooldown_remaining_ms"].as_u64() > Some(0), "{view}");
    let refused = admin.acquire("c", 10_000).await?;
    assert_eq!(refused.code(), "held", "{refused:?}");
    assert!(refused.body["cooldown_remaining_ms"].as_u64() > Some(0));
    assert!(refused.headers.contains_key("retry-after"), "{refused:?}");

    // A release may ask for a cooldown of its own.
    let grant = admin.acquire("d", 60_000).await?;
    let lease_id = grant.text_of("lease_id")?;
    for bad in [json!(600_001), json!(-1), json!("1s")] {
        let body = json!({ "lease_id": lease_id, "cooldown_ms": bad });
        let refused = admin.verb("d", "release", &body).await?;
        assert_eq!(refused.status, 422, "{refused:?}");
    }
    let body = json!({ "lease_id": lease_id, "cooldown_ms": 600_000 });
    let released = admin.verb("d", "release", &body).await?;
    assert_eq!(released.status, 200, "{released:?}");
    let refused = admin.acquire("d", 10_000).await?;
    assert_eq!(refused.code(), "held", "{refused:?}");
    assert!(refused.body["cooldown_remaining_ms"].as_u64() > Some(500_000));

    let outsider = gateway.service("outsider", "team-a").await?;
    let forbidden = declare(&outsider, "c", json!({})).await?;
    assert_eq!((forbidden.status, forbidden.code()), (403, "forbidden"));
    for bad in [
        json!({ "limit": 0 }),
        json!({ "limit": 10_001 }),
        json!({ "cooldown_ms": 600_001 }),
        json!({ "cooldown_ms": -1 }),
        json!({ "description": "x".repeat(1_025) }),
        json!({ "cooldown": 1 }),
    ] {
        let answer = declare(&admin, "c", bad).await?;
        assert_eq!(answer.status, 422, "{answer:?}");
    }
    // Declared anew without a cooldown, the lock is free when its present one is over, not before.
    assert_eq!(declare(&admin, "c", json!({})).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn only_the_current_token_is_valid() -> Result<()> {
    let gateway = Gateway::start().await?;
    let api = gateway.admin();
    let valid = async |token: u64| {
        let body = json!({ "fencing_token": token });
        api.verb("v", "validate", &body).await
    };
    let unknown = valid(1).await?;
    assert_eq!(unknown.status, 200, "{unknown:?}");
    assert_eq!(unknown.body["current"], json!(false));
    let old = api.acquire("v", 60_000).await?;
    let current = valid(old.token()?).await?;
    assert_eq!(current.body["current"], json!(true), "{current:?}");
    assert_eq!(current.body["accepts_work"], json!(true), "{current:?}");
    assert!(!current.text.contains(old.text_of("lease_id")?), "a secret");
    api.with_lease("v", "release", old.text_of("lease_id")?)
        .await?;
    assert_eq!(valid(old.token()?).await?.body["current"], json!(false));
    let new = api.acquire("v", 60_000).await?;
    let stale = valid(old.token()?).await?;
    assert_eq!(stale.body["current"], json!(false), "{stale:?}");
    assert_eq!(valid(new.token()? + 1).await?.body["current"], json!(false));
    Ok(())
}

#[tokio::test]
async fn the_list_is_paged_and_filtered_and_loses_nothing() -> Result<()> {
    let gateway = Gateway::start().await?;
    let admin = gateway.admin();
    let alice = gateway.service("alice", "team-a").await?;
    for n in 0..25 {
        let api = if n % 5 == 0 { &alice } else { &admin };
        let grant = api.acquire(&format!("l/{n:02}"), 60_000).await?;
        assert_eq!(grant.status, 201, "{grant:?}");
    }
    admin.acquire("other", 60_000).await?;
    let (mut cursor, mut pages, mut names) = (String::new(), 0, Vec::new());
    loop {
        let page = admin
            .get(&format!(
                "/v1/namespaces/demo/locks?prefix=l/&limit=10{cursor}"
            ))
            .await?;
        assert_eq!(page.status, 200, "{page:?}");
        for lock in page.body["locks"].as_array().context("locks")? {
            names.push(lock["lock"].as_str().context("lock")?.to_owned());
        }
        pages += 1;
        match page.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let all: Vec<String> = (0..25).map(|n| format!("l/{n:02}")).collect();
    assert_eq!((names, pages), (all, 3));
    let count = async |query: &str| {
        let page = admin
            .get(&format!("/v1/namespaces/demo/locks?{query}"))
            .await?;
        let locks = page.body["locks"].as_array().map(Vec::len);
        locks.with_context(|| format!("{page:?}"))
    };
    assert_eq!(count("holder=alice").await?, 5);
    assert_eq!(count("team=team-a").await?, 5);
    assert_eq!(count("state=held&prefix=l/").await?, 25);
    assert_eq!(count("state=contended").await?, 0);
    for bad in [
        "limit=0",
        "limit=1001",
        "limit=x",
        "state=lost",
        "cursor=a//b",
        "colour=red",
        "team=Team%20A",
    ] {
        let answer = admin
            .get(&format!("/v1/namespaces/demo/locks?{bad}"))
            .await?;
        assert_eq!(answer.status, 422, "{bad}: {answer:?}");
    }
    let nobody = admin.show("never").await?;
    assert_eq!(
        (nobody.status, &nobody.body["state"]),
        (200, &json!("free"))
    );
    let stale = admin.show("other?freshness=stale&max_age_ms=60000").await?;
    assert_eq!(stale.body["state"], json!("held"), "{stale:?}");
    assert_eq!(admin.show("other?freshness=maybe").await?.status, 422);
    Ok(())
}
