//! Rollouts over three gateways: counts are summed, an automatic plan advances on the sums, and gateways
//! that do not run a step are named.

use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use leasehold_domain::Clock;
use leasehold_domain::SystemClock;
use leasehold_policy_guests::Guest;
use leasehold_tests::ADMIN_KEY;
use leasehold_tests::Api;
use leasehold_tests::Gateway;
use leasehold_tests::cluster;
use serde_json::Value;
use serde_json::json;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Uploads two versions that allow, and binds the first.
async fn prepare(gateway: &Gateway) -> Result<()> {
    let admin = gateway.admin();
    for version in ["1.0.0", "2.0.0"] {
        let guest = Guest {
            name: "by-hand".to_owned(),
            version: version.to_owned(),
            ..Guest::default()
        };
        let uploaded = admin.upload_policy(&guest.name, version, guest.wasm());
        ensure!(uploaded.await?.status == 201, "{version}");
    }
    let body = json!({ "namespaces": ["demo"], "locks": ["roll/**"],
        "policies": [{ "policy": "by-hand", "version": "1.0.0" }] });
    let bound = admin.put("/v1/bindings/roll", &body).await?;
    ensure!(bound.status < 300, "{bound:?}");
    Ok(())
}

async fn rollout(api: &Api) -> Result<Value> {
    let shown = api.get("/v1/rollouts/r").await?;
    ensure!(shown.status == 200, "{shown:?}");
    Ok(shown.body)
}

/// Waits until a gateway shows this of the rollout, doing something in between.
async fn until<F>(api: &Api, is_so: impl Fn(&Value) -> bool, work: impl Fn() -> F) -> Result<Value>
where
    F: Future<Output = Result<()>>,
{
    let clock = SystemClock::new();
    let began = clock.monotonic();
    loop {
        let shown = rollout(api).await?;
        if is_so(&shown) {
            return Ok(shown);
        }
        let waited = clock.monotonic().saturating_sub(began);
        ensure!(waited < PATIENCE, "{shown}");
        work().await?;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn nothing() -> Result<()> {
    Ok(())
}

/// Takes and gives back ten locks.
async fn ten(service: &Api) -> Result<()> {
    for n in 0..10 {
        let name = format!("roll/{n}");
        let ask = json!({ "ttl_ms": 60_000 });
        let granted = service.verb(&name, "acquire", &ask).await?;
        ensure!(granted.status == 201, "{granted:?}");
        let lease = json!({ "lease_id": granted.body["lease_id"] });
        let released = service.verb(&name, "release", &lease).await?;
        ensure!(released.status == 200, "{released:?}");
    }
    Ok(())
}

fn states(shown: &Value) -> Vec<&str> {
    let gateways = shown["gateways"].as_array();
    let all = gateways.into_iter().flatten();
    all.filter_map(|gateway| gateway["state"].as_str())
        .collect()
}

async fn command(gateway: &Gateway, arguments: &[&str]) -> Result<String> {
    let done = gateway.command_line(ADMIN_KEY, arguments).await?;
    ensure!(done.status.success(), "{arguments:?}: {done:?}");
    Ok(String::from_utf8(done.stdout)?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_are_summed_and_an_automatic_plan_advances_on_the_sums() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let gateways = cluster(&folder, "").await?;
    prepare(&gateways[0]).await?;
    let key = gateways[0].service("svc", "payments").await?;
    let services: Vec<Api> = gateways.iter().map(|one| key.at(one.url())).collect();
    // No gateway sees 25 locks, and all of them together do.
    let plan = json!({ "name": "r", "binding": "roll", "policy": "by-hand", "version": "2.0.0",
        "automatic": true, "guardrails": { "window_ms": 4_000, "least_samples": 25 },
        "steps": [{ "stage": "shadow" }, { "stage": "canary", "share_percent": 50 },
            { "stage": "full" }] });
    let started = gateways[0].admin().post("/v1/rollouts", &plan).await?;
    ensure!(started.status == 201, "{started:?}");
    ensure!(started.body["automatic"] == true, "{started:?}");
    let work = async || {
        for service in &services {
            ten(service).await?;
        }
        Ok(())
    };
    let admin = gateways[1].admin();
    let has = |field: &'static str| move |shown: &Value| !shown[field].is_null();
    let waiting = until(&admin, has("waits"), nothing).await?;
    ensure!(waiting["stage"] == "shadow", "{waiting}");
    // Nobody has asked for anything yet, so nothing is known of the candidate.
    let judged = |shown: &Value| shown["total"]["verdict"] == "not-enough-data";
    until(&admin, judged, nothing).await?;
    let canary = until(&admin, |shown| shown["stage"] == "canary", work).await?;
    let advanced = &canary["changes"][1];
    ensure!(advanced["by"] == "leasehold:rollouts", "{canary}");
    let compared = advanced["compared"].as_str().context("counts")?;
    let count: u64 = compared
        .split_whitespace()
        .next()
        .context("a count")?
        .parse()?;
    ensure!(count >= 25, "{compared}");
    let all_run = |shown: &Value| states(shown) == ["running"; 3];
    for gateway in &gateways {
        let shown = until(&gateway.admin(), all_run, nothing).await?;
        let shown_by_name = shown["gateways"].to_string();
        ensure!(shown_by_name.contains("reported_at"), "{shown}");
    }
    let full = until(&admin, |shown| shown["stage"] == "full", work).await?;
    // One gateway has made each step, and the others have kept out of it.
    let changes = full["changes"].as_array().context("changes")?;
    ensure!(changes.len() == 3, "{full}");
    ensure!(full["epoch"] == 2, "{full}");
    let rows = admin.ledger("operation=governance").await?;
    let text = rows.iter().map(Value::to_string).collect::<String>();
    ensure!(
        text.contains("the last window is good on all gateways"),
        "{text}"
    );
    // Each gateway compares its clock with those of the others.
    let clocks = admin.get("/metrics").await?.text;
    let compared = clocks.matches("leasehold_gateway_clock_ahead_seconds{gateway=");
    ensure!(compared.count() == 2, "{clocks}");
    // Reports make no events.
    ensure!(!text.contains("rollout-report"), "{text}");
    super::cluster::same_ledgers(&gateways).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_vanished_is_named_and_one_that_stopped_is_not_waited_for() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut gateways = cluster(&folder, "").await?;
    prepare(&gateways[0]).await?;
    gateways[2].kill().await?;
    let start = [
        "rollout",
        "start",
        "r",
        "--binding",
        "roll",
        "--candidate",
        "by-hand@2.0.0",
        "--step",
        "shadow",
        "--step",
        "10%",
        "--step",
        "20%",
        "--step",
        "full",
    ];
    command(&gateways[0], &start).await?;
    let advance = ["rollout", "advance", "r"];
    let refused = gateways[0].command_line(ADMIN_KEY, &advance).await?;
    let told = String::from_utf8_lossy(&refused.stderr);
    ensure!(
        told.contains("these gateways do not run its step"),
        "{refused:?}"
    );
    let shown = command(&gateways[0], &["rollout", "show", "r"]).await?;
    ensure!(shown.contains("2 of 3 run this step"), "{shown}");

    // Once it is back it runs the step, and its step can be left.
    gateways[2].restart().await?;
    let admin = gateways[0].admin();
    let all_run = |shown: &Value| states(shown) == ["running"; 3];
    until(&admin, all_run, nothing).await?;
    let advanced = command(&gateways[0], &advance).await?;
    ensure!(advanced.contains("canary 10%"), "{advanced}");

    let stopped = gateways[2].terminate().await?;
    ensure!(stopped == Some(0), "{stopped:?}");
    let one_stopped = |shown: &Value| states(shown).contains(&"stopped");
    until(&admin, one_stopped, nothing).await?;
    let advanced = command(&gateways[0], &advance).await?;
    ensure!(advanced.contains("canary 20%"), "{advanced}");
    ensure!(advanced.contains("is stopped"), "{advanced}");
    // A restart says that it runs again, also without a change of the rollout.
    gateways[2].restart().await?;
    until(&admin, all_run, nothing).await?;
    Ok(())
}
