//! One client that asks for too much: it is told so by 429, and others are served.

use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use leasehold_tests::Answer;
use leasehold_tests::Api;
use leasehold_tests::Gateway;
use leasehold_tests::GatewayOptions;
use reqwest::Method;
use serde_json::json;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);
const WATCH: &str = "/v1/namespaces/demo/locks:watch";

async fn gateway(config: &str) -> Result<Gateway> {
    let config = config.to_owned();
    Gateway::start_with(GatewayOptions {
        config,
        ..Default::default()
    })
    .await
}

/// Whether this is the answer to one who asks for too much; `limit` is the one that was passed.
fn assert_limited(answer: &Answer, limit: &str) {
    assert_eq!(
        (answer.status, answer.code()),
        (429, "rate_limited"),
        "{answer:?}"
    );
    assert_eq!(answer.body["effect"], json!("none"), "{answer:?}");
    assert_eq!(answer.body["retryable"], json!(true), "{answer:?}");
    assert!(answer.text.contains(limit), "{answer:?}");
    let seconds = answer
        .headers
        .get("retry-after")
        .and_then(|value| value.to_str().ok());
    let seconds = seconds.and_then(|text| text.parse::<u64>().ok());
    assert!(seconds.is_some_and(|seconds| seconds >= 1), "{answer:?}");
}

async fn counted(api: &Api, line: &str) -> Result<u64> {
    let metrics = api.get("/metrics").await?.text;
    let value = metrics.lines().find_map(|row| row.strip_prefix(line));
    value.map_or(Ok(0), |value| Ok(value.trim().parse()?))
}

#[tokio::test]
async fn wrong_keys_are_throttled_and_right_ones_of_the_same_address_are_not() -> Result<()> {
    let gateway = gateway("[limits]\nfailed_authentications_per_address_per_s = 2\n").await?;
    let admin = gateway.admin();
    let ledger = admin.ledger("").await?.len();
    let mut throttled = 0;
    for number in 0..100 {
        let key = format!("lh_nobody{number}_{number:064x}");
        let answer = Api::new(gateway.url(), Some(&key))
            .get("/v1/namespaces")
            .await?;
        if answer.status == 429 {
            assert_limited(&answer, "failed_authentications");
            throttled += 1;
        } else {
            assert_eq!(answer.status, 401, "{answer:?}");
        }
        assert_eq!(admin.get("/v1/namespaces").await?.status, 200);
    }
    // Twenty at once, and two more each second.
    assert!((20..=80).contains(&throttled), "{throttled}");
    let line = "leasehold_rate_limited_total{limit=\"failed_authentications\"}";
    assert_eq!(counted(&admin, line).await?, throttled);
    assert_eq!(admin.ledger("").await?.len(), ledger, "none is recorded");
    Ok(())
}

#[tokio::test]
async fn a_key_has_as_many_watches_and_waits_as_it_may() -> Result<()> {
    let gateway = gateway("[limits]\nwatches_per_key_max = 3\nwaits_per_key_max = 2\n").await?;
    let admin = gateway.admin();
    let one = gateway.principal("one", "team-a", &[]).await?;
    let other = gateway.principal("other", "team-a", &[]).await?;
    let mut watches = Vec::new();
    for _ in 0..3 {
        let watch = one.request(Method::GET, WATCH).send().await?;
        assert_eq!(watch.status(), 200);
        watches.push(watch);
    }
    assert_limited(&one.get(WATCH).await?, "watches_per_key");
    assert_eq!(counted(&admin, "leasehold_watches").await?, 3);
    let more = other.request(Method::GET, WATCH).send().await?;
    assert_eq!(more.status(), 200, "others may");
    drop(watches.pop());
    let again = async {
        while one.request(Method::GET, WATCH).send().await?.status() != 200 {}
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, again).await??;

    assert_eq!(admin.acquire("busy", 60_000).await?.status, 201);
    let wait = |api: &Api, wait_ms: u64| {
        let api = api.clone();
        let body = json!({ "ttl_ms": 10_000, "wait_ms": wait_ms });
        async move {
            api.post("/v1/namespaces/demo/locks/busy:acquire", &body)
                .await
        }
    };
    let waiting = [
        tokio::spawn(wait(&one, 20_000)),
        tokio::spawn(wait(&one, 20_000)),
    ];
    while counted(&admin, "leasehold_waiting_requests").await? < 2 {}
    assert_limited(&wait(&one, 1_000).await?, "waits_per_key");
    assert_eq!(
        one.acquire("busy", 10_000).await?.code(),
        "held",
        "to ask is free"
    );
    assert_eq!(wait(&other, 50).await?.code(), "held");
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
    Ok(())
}

/// Many clients at once with the default limits, as somebody who guesses keys would.
#[tokio::test]
async fn wrong_keys_at_full_speed_are_throttled_by_default() -> Result<()> {
    const CLIENTS: usize = 8;
    const KEYS_EACH: usize = 300;
    let gateway = Gateway::start().await?;
    let admin = gateway.admin();
    let guess = async |client: usize| {
        let mut throttled = 0;
        for number in 0..KEYS_EACH {
            let key = format!("lh_{client:08x}{number:08x}_{number:064x}");
            let api = Api::new(gateway.url(), Some(&key));
            let answer = api.get("/v1/namespaces").await?;
            match answer.status {
                429 => throttled += 1,
                status => assert_eq!(status, 401, "{answer:?}"),
            }
        }
        anyhow::Ok(throttled)
    };
    let guessed = futures_util::future::try_join_all((0..CLIENTS).map(guess)).await?;
    let throttled: u64 = guessed.iter().sum();
    // 200 at once, and 20 more each second.
    let tried = (CLIENTS * KEYS_EACH) as u64;
    assert!(
        (1..=tried - 200).contains(&throttled),
        "{throttled} of {tried}"
    );
    let line = "leasehold_rate_limited_total{limit=\"failed_authentications\"}";
    assert_eq!(counted(&admin, line).await?, throttled);
    Ok(())
}

/// A client's own requests wait for each other; those that wait for a lock hold nothing up.
#[tokio::test]
async fn a_waiting_acquire_does_not_hold_up_its_client() -> Result<()> {
    let gateway = gateway("[limits]\nconcurrent_requests_per_key_max = 1\n").await?;
    let admin = gateway.admin();
    let grant = admin.acquire("one", 60_000).await?;
    assert_eq!(grant.status, 201, "{grant:?}");
    let waiter = admin.clone();
    let waiting = tokio::spawn(async move {
        let body = json!({ "ttl_ms": 10_000, "wait_ms": 30_000 });
        let path = "/v1/namespaces/demo/locks/one:acquire";
        waiter.post(path, &body).await
    });
    while counted(&admin, "leasehold_waiting_requests").await? < 1 {}
    let _watch = admin.request(Method::GET, WATCH).send().await?;
    let many = (0..20).map(|number| {
        let api = admin.clone();
        async move { api.acquire(&format!("many-{number}"), 10_000).await }
    });
    for answer in futures_util::future::try_join_all(many).await? {
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    assert!(counted(&admin, "leasehold_requests_queued_total").await? > 0);
    let body = json!({ "lease_id": grant.body["lease_id"] });
    let released = admin.post("/v1/namespaces/demo/locks/one:release", &body);
    assert_eq!(released.await?.status, 200);
    assert_eq!(waiting.await??.status, 201);
    Ok(())
}

#[tokio::test]
async fn a_namespace_that_gets_too_much_still_keeps_its_leases() -> Result<()> {
    let gateway = gateway("[limits]\nrequests_per_namespace_per_s = 20\n").await?;
    let admin = gateway.admin();
    let body = json!({ "name": "quiet", "default_decision": "allow" });
    let made = admin.post("/v1/namespaces", &body).await?;
    assert_eq!(made.status, 201, "{made:?}");
    let grant = admin.acquire("kept", 60_000).await?;
    assert_eq!(grant.status, 201, "{grant:?}");
    let mut limited = None;
    for _ in 0..500 {
        let answer = admin.get("/v1/namespaces/demo/locks/kept").await?;
        if answer.status == 429 {
            limited = Some(answer);
            break;
        }
    }
    assert_limited(&limited.context("a limit")?, "requests_per_namespace");
    assert_eq!(admin.get("/v1/namespaces/quiet/locks/a").await?.status, 200);
    // Written otherwise it is the same namespace.
    assert_eq!(
        admin.get("/v1/namespaces/%64emo/locks/kept").await?.status,
        429
    );
    let body = json!({ "lease_id": grant.body["lease_id"], "ttl_ms": 60_000 });
    for _ in 0..50 {
        let renewed = admin
            .post("/v1/namespaces/demo/locks/kept:renew", &body)
            .await?;
        assert_eq!(renewed.status, 200, "{renewed:?}");
    }
    let body = json!({ "lease_id": grant.body["lease_id"] });
    let released = admin
        .post("/v1/namespaces/demo/locks/kept:release", &body)
        .await?;
    assert_eq!(released.status, 200, "{released:?}");
    Ok(())
}

#[tokio::test]
async fn behind_a_trusted_proxy_each_client_has_its_own_rate() -> Result<()> {
    let config = "[listen.proxies]\ntrusted = [\"127.0.0.1\"]\n\
        [limits]\nrequests_per_address_per_s = 10\n";
    let gateway = gateway(config).await?;
    let admin = gateway.admin();
    let ask = |client: &str| {
        let request = admin.request(Method::GET, "/v1/namespaces");
        let request = request.header("forwarded", format!("for={client}"));
        async move { anyhow::Ok(request.send().await?.status().as_u16()) }
    };
    let mut statuses = Vec::new();
    for _ in 0..40 {
        statuses.push(ask("192.0.2.1").await?);
    }
    assert!(statuses.contains(&429), "{statuses:?}");
    assert_eq!(ask("192.0.2.2").await?, 200);
    assert_eq!(
        admin.get("/healthz").await?.status,
        200,
        "health is always served"
    );
    Ok(())
}

#[tokio::test]
async fn a_watch_that_is_not_read_is_disconnected() -> Result<()> {
    let gateway = gateway("[limits]\nwatch_unread_deadline_ms = 500\n").await?;
    let admin = gateway.admin();
    let unread = admin.request(Method::GET, WATCH).send().await?;
    assert_eq!(unread.status(), 200);
    let told = async {
        let value = "x".repeat(4_000);
        while counted(&admin, "leasehold_slow_watches_total").await? == 0 {
            for _ in 0..20 {
                let body = json!({ "ttl_ms": 60_000, "value": value });
                let path = "/v1/namespaces/demo/locks/told:acquire";
                let grant = admin.post(path, &body).await?;
                assert_eq!(grant.status, 201, "{grant:?}");
                let body = json!({ "lease_id": grant.body["lease_id"] });
                let path = "/v1/namespaces/demo/locks/told:release";
                assert_eq!(admin.post(path, &body).await?.status, 200);
            }
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, told).await??;
    while counted(&admin, "leasehold_watches").await? > 0 {}
    Ok(())
}
