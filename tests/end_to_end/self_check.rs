//! A gateway evaluates samples of its own decisions again, as its ledger has recorded them: all are
//! reproduced, and nothing is reported.

use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use leasehold_domain::Clock;
use leasehold_domain::SystemClock;
use leasehold_policy_guests::Guest;
use leasehold_policy_guests::TEXT;
use leasehold_policy_guests::deny;
use leasehold_tests::Api;
use leasehold_tests::Gateway;
use leasehold_tests::GatewayOptions;
use serde_json::Value;
use serde_json::json;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many verdicts are to be reproduced before and after a restart.
const REPRODUCED: u64 = 20;

/// Binds a stock policy that limits, one that counts leases, and one by hand that denies.
async fn bind(admin: &Api) -> Result<()> {
    let at = TEXT as u32;
    let denies = Guest {
        name: "by-hand".to_owned(),
        version: "1.0.0".to_owned(),
        answer: deny((at, 2), (at + 2, 7)),
        text: b"noby hand".to_vec(),
        ..Guest::default()
    };
    let uploaded = admin.upload_policy(&denies.name, &denies.version, denies.wasm());
    ensure!(uploaded.await?.status == 201);
    let limits = json!({ "rules": [{ "max_ttl_ms": 30_000 }] });
    let bindings = [
        json!({ "locks": ["yes/**"], "policies": [
            { "policy": "ttl-bounds", "version": "1.1.0", "config": limits },
            { "policy": "quota", "version": "2.0.1", "config": { "max_per_subject": 100 } }] }),
        json!({ "locks": ["no/**"], "policies": [
            { "policy": "by-hand", "version": "1.0.0" }] }),
    ];
    for (name, mut binding) in ["yes", "no"].into_iter().zip(bindings) {
        binding["namespaces"] = json!(["demo"]);
        let bound = admin.put(&format!("/v1/bindings/{name}"), &binding).await?;
        ensure!(bound.status == 200, "{bound:?}");
    }
    Ok(())
}

/// Takes, renews and releases a lock, and is denied another.
async fn decisions(api: &Api, n: usize) -> Result<()> {
    let lock = format!("/v1/namespaces/demo/locks/yes/{n}");
    let acquire = json!({ "ttl_ms": 30_000 });
    let granted = api.post(&format!("{lock}:acquire"), &acquire).await?;
    ensure!(granted.status == 201, "{granted:?}");
    let lease = granted.body["lease_id"].clone();
    let renew = json!({ "lease_id": lease, "ttl_ms": 20_000 });
    let renewed = api.post(&format!("{lock}:renew"), &renew).await?;
    ensure!(renewed.status == 200, "{renewed:?}");
    let lease = json!({ "lease_id": lease });
    let released = api.post(&format!("{lock}:release"), &lease).await?;
    ensure!(released.status == 200, "{released:?}");
    let denied = api.acquire(&format!("no/{n}"), 30_000).await?;
    ensure!(denied.status == 403, "{denied:?}");
    Ok(())
}

/// Returns how many verdicts had this outcome.
async fn outcomes(admin: &Api, outcome: &str) -> Result<u64> {
    let metrics = admin.get("/metrics").await?.text;
    let name = format!("leasehold_policy_self_checks_total{{outcome=\"{outcome}\"}} ");
    let mut lines = metrics.lines();
    let count = lines.find_map(|line| line.strip_prefix(&name));
    count.map_or(Ok(0), |count| count.parse().context("a count"))
}

/// Has decisions made until enough of them are reproduced.
async fn until_reproduced(gateway: &Gateway) -> Result<()> {
    let (admin, service) = (gateway.admin(), gateway.service("svc", "ops").await?);
    let clock = SystemClock::new();
    let began = clock.monotonic();
    let mut made = 0;
    while outcomes(&admin, "reproduced").await? < REPRODUCED {
        let waited = clock.monotonic().saturating_sub(began);
        ensure!(waited < PATIENCE, "after {made} rounds");
        decisions(&service, made).await?;
        made += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sampled_decisions_are_reproduced_from_the_ledger_and_nothing_is_reported() -> Result<()> {
    let mut gateway = Gateway::start_with(GatewayOptions {
        config: "[policy]\nself_check_interval_ms = 50\n".to_owned(),
        ..GatewayOptions::default()
    })
    .await?;
    bind(&gateway.admin()).await?;
    for is_restarted in [false, true] {
        if is_restarted {
            gateway.restart().await?;
        }
        until_reproduced(&gateway).await?;
        let admin = gateway.admin();
        ensure!(outcomes(&admin, "not_reproduced").await? == 0);
        let incidents = admin.get("/v1/incidents").await?;
        ensure!(incidents.status == 200, "{incidents:?}");
        let listed: &Vec<Value> = incidents.body["incidents"].as_array().context("a list")?;
        ensure!(listed.is_empty(), "{incidents:?}");
    }
    Ok(())
}
