//! The primary's machine is gone, and its standby takes over: what was granted is there, tokens
//! grow, and no lease ends early.

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use leasehold_domain::Clock;
use leasehold_domain::SystemClock;
use leasehold_test_servers::Pair;
use leasehold_tests::Api;
use leasehold_tests::persist;
use serde_json::Value;
use serde_json::json;

use super::same_ledger;
use super::two;

fn token(grant: &Value) -> Result<u64> {
    grant["fencing_token"].as_u64().context("a token")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_loses_no_grant_and_shortens_no_lease() -> Result<()> {
    let pair = Pair::start().await;
    let (first, second) = two(&pair.url("postgres")).await?;
    let apis: Vec<Api> = vec![first.admin(), second.admin()];
    let clock = SystemClock::new();
    let kept_ask = json!({ "ttl_ms": 600_000, "request_id": "kept" });
    let kept = persist(&apis, "kept", "acquire", &kept_ask).await?;
    let before = clock.monotonic();
    let short_ask = json!({ "ttl_ms": 8_000, "request_id": "short" });
    let short = persist(&apis, "short", "acquire", &short_ask).await?;

    let _third = pair.fail_over().await;
    // The same request, at either gateway, finds the same lease.
    for api in &apis {
        let again = persist(std::slice::from_ref(api), "kept", "acquire", &kept_ask).await?;
        ensure!(again["lease_id"] == kept["lease_id"], "{again}");
        ensure!(token(&again)? == token(&kept)?, "{again}");
    }
    // Who wants the short one gets it by time alone, and not before the time.
    let next = second.service("next", "team-b").await?;
    let wants = json!({ "ttl_ms": 60_000, "wait_ms": 60_000, "request_id": "next" });
    let granted = persist(&[next], "short", "acquire", &wants).await?;
    let lasted = (clock.monotonic() - before).as_millis();
    ensure!(lasted >= 8_000, "the lease ended after {lasted} ms");
    ensure!(token(&granted)? > token(&short)?, "{granted}");
    // What a primary that waited for nobody might have given out last is left out.
    let fresh = persist(&apis, "fresh", "acquire", &json!({ "ttl_ms": 60_000 })).await?;
    ensure!(token(&fresh)? > token(&kept)? + (1 << 30), "{fresh}");
    let lease = json!({ "lease_id": kept["lease_id"] });
    let renewed = persist(&apis, "kept", "renew", &lease).await?;
    ensure!(token(&renewed)? == token(&kept)?, "{renewed}");
    for api in &apis {
        let ready = api.get("/readyz").await?;
        let detail = ready.body["backend"]["detail"].as_str().context("detail")?;
        ensure!(ready.status == 200, "{ready:?}");
        ensure!(
            detail.contains("timeline 2, with a synchronous standby"),
            "{detail}"
        );
    }
    same_ledger(&apis[0], &apis[1]).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_primary_nothing_is_granted_and_readiness_says_so() -> Result<()> {
    let pair = Pair::start().await;
    let (first, _second) = two(&pair.url("postgres")).await?;
    let api = first.admin();
    ensure!(api.acquire("a", 60_000).await?.status == 201);
    pair.primary.kill();
    let refused = api.acquire("b", 60_000).await?;
    ensure!(refused.status == 503, "{refused:?}");
    ensure!(refused.body["retryable"] == true, "{refused:?}");
    let ready = api.get("/readyz").await?;
    ensure!(ready.status == 503, "{ready:?}");
    // The same request may be asked again: it finds out whether it took effect.
    pair.primary.begin().await;
    pair.primary.wait_for_standby(true).await;
    let ask = json!({ "ttl_ms": 60_000 });
    persist(std::slice::from_ref(&api), "b", "acquire", &ask).await?;
    ensure!(api.get("/readyz").await?.status == 200);
    Ok(())
}
