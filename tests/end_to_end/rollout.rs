//! A policy version is rolled out over three gateways: in shadow it changes no answer, a bad canary
//! rolls itself back, and a rollback is in force everywhere at once.

use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use leasehold_domain::Clock;
use leasehold_domain::SystemClock;
use leasehold_policy_guests::Guest;
use leasehold_policy_guests::TEXT;
use leasehold_policy_guests::deny;
use leasehold_tests::ADMIN_KEY;
use leasehold_tests::Api;
use leasehold_tests::Gateway;
use leasehold_tests::cluster;
use serde_json::Value;
use serde_json::json;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Within which a rollback must be in force on every gateway.
const IN_FORCE: Duration = Duration::from_secs(2);

/// Longer than two windows of this test's rollouts, on a busy machine.
const WINDOWS: Duration = Duration::from_secs(5);

/// Time since it was started.
struct Stopwatch(SystemClock, Duration);

impl Stopwatch {
    fn start() -> Self {
        let clock = SystemClock::new();
        let began = clock.monotonic();
        Self(clock, began)
    }

    fn elapsed(&self) -> Duration {
        self.0.monotonic().saturating_sub(self.1)
    }
}

fn allows(version: &str) -> Guest {
    Guest {
        name: "by-hand".to_owned(),
        version: version.to_owned(),
        ..Guest::default()
    }
}

fn denies(version: &str) -> Guest {
    let at = TEXT as u32;
    Guest {
        answer: deny((at, 2), (at + 2, 7)),
        text: b"noby hand".to_vec(),
        ..allows(version)
    }
}

fn fails(version: &str) -> Guest {
    Guest {
        decide: "(unreachable)".to_owned(),
        ..allows(version)
    }
}

/// Uploads three versions and binds the first.
async fn prepare(gateway: &Gateway) -> Result<()> {
    let admin = gateway.admin();
    for guest in [allows("1.0.0"), fails("2.0.0"), denies("3.0.0")] {
        let uploaded = admin.upload_policy(&guest.name, &guest.version, guest.wasm());
        ensure!(uploaded.await?.status == 201, "{}", guest.version);
    }
    let body = json!({ "namespaces": ["demo"], "locks": ["roll/**"],
        "policies": [{ "policy": "by-hand", "version": "1.0.0" }] });
    let bound = admin.put("/v1/bindings/roll", &body).await?;
    ensure!(bound.status < 300, "{bound:?}");
    Ok(())
}

async fn command(gateway: &Gateway, arguments: &[&str]) -> Result<String> {
    let done = gateway.command_line(ADMIN_KEY, arguments).await?;
    ensure!(done.status.success(), "{arguments:?}: {done:?}");
    Ok(String::from_utf8(done.stdout)?)
}

/// Takes and gives back each of these locks. Returns how many could not be taken.
async fn refused(service: &Api, from: usize, to: usize) -> Result<usize> {
    let mut refused = 0;
    for n in from..to {
        let name = format!("roll/{n}");
        let granted = service
            .verb(&name, "acquire", &json!({ "ttl_ms": 60_000 }))
            .await?;
        if granted.status != 201 {
            ensure!(granted.status == 403, "{granted:?}");
            refused += 1;
            continue;
        }
        let lease = json!({ "lease_id": granted.body["lease_id"] });
        let released = service.verb(&name, "release", &lease).await?;
        ensure!(released.status == 200, "{released:?}");
    }
    Ok(refused)
}

async fn rollout(api: &Api, name: &str) -> Result<Value> {
    let shown = api.get(&format!("/v1/rollouts/{name}")).await?;
    ensure!(shown.status == 200, "{shown:?}");
    Ok(shown.body)
}

/// Waits until a gateway shows this of a rollout.
async fn until(api: &Api, name: &str, is_so: impl Fn(&Value) -> bool) -> Result<Value> {
    let began = Stopwatch::start();
    loop {
        let shown = rollout(api, name).await?;
        if is_so(&shown) {
            return Ok(shown);
        }
        ensure!(began.elapsed() < PATIENCE, "{shown}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// In shadow a version that always fails changes no answer, and only `--force` takes it further. Returns
/// how many requests were compared.
async fn a_bad_shadow(gateways: &[Gateway], services: &[Api]) -> Result<usize> {
    let arguments = [
        "rollout",
        "start",
        "bad",
        "--binding",
        "roll",
        "--candidate",
        "by-hand@2.0.0",
        "--step",
        "shadow",
        "--step",
        "10%",
        "--step",
        "full",
        "--window",
        "1s",
    ];
    let started = command(&gateways[0], &arguments).await?;
    ensure!(started.contains("[shadow] 10% full"), "{started}");
    for (gateway, service) in gateways.iter().zip(services) {
        // Every gateway has heard of it.
        let admin = gateway.admin();
        until(&admin, "bad", |shown| shown["stage"] == "shadow").await?;
        ensure!(refused(service, 0, 30).await? == 0);
        let compared =
            |shown: &Value| shown["comparison"]["differences"]["failed"].as_u64() >= Some(1);
        until(&admin, "bad", compared).await?;
    }
    // The guardrails say so, and only --force passes them.
    let mut compared = 90;
    let bad = |shown: &Value| shown["comparison"]["verdict"] == "bad";
    let admin = gateways[1].admin();
    loop {
        let seen = until(&admin, "bad", bad);
        if let Ok(seen) = tokio::time::timeout(WINDOWS, seen).await {
            seen?;
            break;
        }
        // The requests were of two windows, and too few for either.
        ensure!(refused(&services[1], 0, 30).await? == 0);
        compared += 30;
        ensure!(compared < 600, "no window is bad");
    }
    let all = |shown: &Value| shown["total"]["compared"] == compared;
    until(&gateways[1].admin(), "bad", all).await?;
    let advance = ["rollout", "advance", "bad", "--reason", "try it", "--force"];
    let refused_so = gateways[1].command_line(ADMIN_KEY, &advance[..3]).await?;
    let told = String::from_utf8_lossy(&refused_so.stderr);
    ensure!(told.contains("a guardrail is exceeded"), "{refused_so:?}");
    let advanced = command(&gateways[1], &advance).await?;
    ensure!(advanced.contains("canary 10%"), "{advanced}");
    // What the shadow had shown on all gateways is on record with the step.
    ensure!(advanced.contains(&all_failed(compared)), "{advanced}");
    Ok(compared)
}

fn all_failed(compared: usize) -> String {
    format!("compared {compared} requests, 0 alike, {compared} failed")
}

/// As a canary it is rolled back, with the evidence on record.
async fn a_bad_canary(gateways: &[Gateway], services: &[Api], compared: usize) -> Result<()> {
    let began = Stopwatch::start();
    let (mut failed, mut at) = (0, 0);
    while rollout(&gateways[2].admin(), "bad").await?["stage"] != "rolled-back" {
        ensure!(began.elapsed() < PATIENCE, "nothing rolled it back");
        failed += refused(&services[at % services.len()], 0, 100).await?;
        at += 1;
    }
    // One lock in ten was judged by the candidate, until it was rolled back.
    ensure!(
        failed > 0 && failed < at * 30,
        "{failed} of {} requests",
        at * 100
    );
    let shown = rollout(&gateways[2].admin(), "bad").await?;
    let last = shown["changes"].as_array().and_then(|all| all.last());
    let last = last.context("a change")?;
    ensure!(last["by"] == "leasehold:rollouts", "{last}");
    let evidence = last["reason"].as_str().context("the evidence")?.to_owned();
    ensure!(evidence.contains("the candidate fail"), "{evidence}");
    for service in services {
        ensure!(refused(service, 0, 30).await? == 0);
    }
    // The evidence is in the ledger, and so is each step.
    let rows = gateways[2].admin().ledger("operation=governance").await?;
    let text = rows.iter().map(Value::to_string).collect::<String>();
    for part in [
        "rollout bad: by-hand of binding roll",
        &format!("try it; shadow {}", all_failed(compared)),
        &evidence,
        // What each gateway saw in its windows.
        "requests compared (100.0 %); 1 failed for demo/roll/",
    ] {
        ensure!(text.contains(part), "{part} is not in the ledger");
    }
    Ok(())
}

/// Returns how long after the answer to a rollback the last gateway goes by it.
async fn a_rollback(gateways: &[Gateway], services: &[Api]) -> Result<Duration> {
    let body = json!({ "name": "strict", "binding": "roll", "policy": "by-hand",
        "version": "3.0.0", "steps": [{ "stage": "canary", "share_percent": 100 },
        { "stage": "full" }], "guardrails": { "newly_denied_max_percent": 100 } });
    let started = gateways[0].admin().post("/v1/rollouts", &body).await?;
    ensure!(started.status == 201, "{started:?}");
    for service in services {
        let began = Stopwatch::start();
        while refused(service, 200, 201).await? == 0 {
            ensure!(
                began.elapsed() < PATIENCE,
                "a gateway has not heard of the rollout"
            );
        }
        ensure!(refused(service, 200, 220).await? == 20);
    }
    let full = command(&gateways[1], &["rollout", "advance", "strict"]).await?;
    ensure!(full.contains("full since"), "{full}");
    let bound = gateways[1].admin().get("/v1/bindings/roll").await?;
    ensure!(bound.body["policies"][0]["version"] == "3.0.0", "{bound:?}");
    let back = command(
        &gateways[0],
        &["rollout", "rollback", "strict", "--reason", "too strict"],
    );
    let back = back.await?;
    ensure!(back.contains("too strict"), "{back}");
    let answered = Stopwatch::start();
    for service in services {
        while refused(service, 200, 201).await? > 0 {
            ensure!(answered.elapsed() < PATIENCE, "a gateway still denies");
        }
    }
    Ok(answered.elapsed())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_is_rolled_out_over_three_gateways_and_back() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let gateways = cluster(&folder, "").await?;
    prepare(&gateways[0]).await?;
    let key = gateways[0].service("svc", "payments").await?;
    let services: Vec<Api> = gateways
        .iter()
        .map(|gateway| key.at(gateway.url()))
        .collect();
    let compared = a_bad_shadow(&gateways, &services).await?;
    a_bad_canary(&gateways, &services, compared).await?;
    let took = a_rollback(&gateways, &services).await?;
    ensure!(took < IN_FORCE, "{took:?} after the answer");
    let listed = command(&gateways[2], &["rollout", "list"]).await?;
    ensure!(listed.contains("rolled-back"), "{listed}");
    super::cluster::same_ledgers(&gateways).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_start_hold_and_roll_back() -> Result<()> {
    let gateway = Gateway::start().await?;
    prepare(&gateway).await?;
    let (admin, service) = (gateway.admin(), gateway.service("svc", "payments").await?);
    let operator = gateway.principal("op", "platform", &["operator"]).await?;
    let author = gateway.principal("au", "rules", &["policy-author"]).await?;
    let body = json!({ "name": "r", "binding": "roll", "policy": "by-hand", "version": "3.0.0" });
    for nobody in [&service, &operator, &author] {
        let refused = nobody.post("/v1/rollouts", &body).await?;
        ensure!(refused.status == 403, "{refused:?}");
    }
    ensure!(admin.post("/v1/rollouts", &body).await?.status == 201);
    let again = admin.post("/v1/rollouts", &body).await?;
    ensure!(again.status == 409, "{again:?}");
    ensure!(service.get("/v1/rollouts").await?.status == 403);
    ensure!(author.get("/v1/rollouts/r").await?.body["stage"] == "shadow");

    let none = json!({});
    let advanced = operator.post("/v1/rollouts/r:advance", &none).await?;
    ensure!(advanced.status == 403, "{advanced:?}");
    let held = operator.post("/v1/rollouts/r:hold", &none).await?;
    ensure!(held.body["held"] == true, "{held:?}");
    let advanced = admin.post("/v1/rollouts/r:advance", &none).await?;
    ensure!(advanced.status == 409, "{advanced:?}");
    let seen = json!({ "epoch": 7, "reason": "late" });
    let late = operator.post("/v1/rollouts/r:rollback", &seen).await?;
    ensure!(late.status == 412, "{late:?}");
    let unknown = admin.post("/v1/rollouts/r:explode", &none).await?;
    ensure!(unknown.status == 404, "{unknown:?}");
    ensure!(admin.get("/v1/rollouts/r:hold").await?.status == 405);
    let back = operator.post("/v1/rollouts/r:rollback", &none).await?;
    ensure!(back.body["stage"] == "rolled-back", "{back:?}");

    // A rollout outlives its gateway, and can be deleted once it is not open.
    let deleted = admin.delete("/v1/rollouts/r").await?;
    ensure!(deleted.status == 200, "{deleted:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_that_cannot_work_is_refused_with_the_place() -> Result<()> {
    let gateway = Gateway::start().await?;
    prepare(&gateway).await?;
    let admin = gateway.admin();
    for (wrong, part) in [
        (json!({ "name": "r" }), "binding"),
        (
            json!({ "name": "r", "binding": "nowhere", "policy": "by-hand" }),
            "binding",
        ),
        (
            json!({ "name": "r", "binding": "roll", "policy": "other" }),
            "policy",
        ),
        (
            json!({ "name": "r", "binding": "roll", "policy": "by-hand" }),
            "same",
        ),
        (
            json!({ "name": "r", "binding": "roll", "policy": "by-hand", "version": "9.0.0" }),
            "9.0.0",
        ),
        (
            json!({ "name": "r", "binding": "roll", "policy": "by-hand", "version": "3.0.0",
                "steps": [{ "stage": "canary", "share_percent": 50 },
                    { "stage": "canary", "share_percent": 10 }] }),
            "steps[1]",
        ),
        (
            json!({ "name": "r", "binding": "roll", "policy": "by-hand", "version": "3.0.0",
                "steps": [{ "stage": "canary", "share_percent": 101 }] }),
            "share_percent",
        ),
    ] {
        let refused = admin.post("/v1/rollouts", &wrong).await?;
        ensure!((400..500).contains(&refused.status), "{refused:?}");
        ensure!(refused.text.contains(part), "{part}: {refused:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_outlives_a_restart_and_moves_nobody() -> Result<()> {
    let mut gateway = Gateway::start().await?;
    prepare(&gateway).await?;
    let service = gateway.service("svc", "payments").await?;
    let body = json!({ "name": "r", "binding": "roll", "policy": "by-hand", "version": "3.0.0",
        "steps": [{ "stage": "canary", "share_percent": 33.3 }],
        "guardrails": { "newly_denied_max_percent": 100 } });
    let started = gateway.admin().post("/v1/rollouts", &body).await?;
    ensure!(started.body["share_percent"] == 33.3, "{started:?}");
    let which = async |service: &Api| {
        let mut which = Vec::new();
        for n in 0..60 {
            if refused(service, n, n + 1).await? > 0 {
                which.push(n);
            }
        }
        anyhow::Ok(which)
    };
    let before = which(&service).await?;
    ensure!((3..50).contains(&before.len()), "{before:?}");
    gateway.kill().await?;
    gateway.restart().await?;
    let service = service.at(gateway.url());
    ensure!(which(&service).await? == before);
    // It can be asked beforehand which version would judge.
    for n in 0..60 {
        let resolved = gateway
            .admin()
            .get(&format!("/v1/bindings:resolve?lock=demo/roll/{n}"))
            .await?;
        let policies = resolved.body["policies"].as_array().context("policies")?;
        let rolled = policies.iter().find(|policy| policy["binding"] == "roll");
        let rolled = rolled.context("the binding")?;
        let expected = if before.contains(&n) {
            "3.0.0"
        } else {
            "1.0.0"
        };
        ensure!(rolled["version"] == expected, "{n}: {rolled}");
        ensure!(
            rolled["rollout"] == "r" && rolled["bucket"].is_u64(),
            "{rolled}"
        );
    }
    let shown = command(&gateway, &["policy", "resolve", "demo/roll/1"]).await?;
    ensure!(shown.contains("r: canary, c"), "{shown}");
    let other = command(&gateway, &["policy", "resolve", "demo/other"]).await?;
    ensure!(!other.contains("by-hand"), "{other}");
    // The decision names the rollout, the stage and the bucket.
    let rows = gateway
        .admin()
        .ledger("operation=acquire&verdict=deny")
        .await?;
    let text = rows.last().context("a denial")?.to_string();
    for part in [
        "\"rollout\":\"r\"",
        "\"stage\":\"canary\"",
        "\"bucket\":",
        "mmh3-v1",
    ] {
        ensure!(text.contains(part), "{part} is not in {text}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recorded_decisions_are_reproduced_and_a_candidate_is_tried_on_them() -> Result<()> {
    let gateway = Gateway::start().await?;
    prepare(&gateway).await?;
    let service = gateway.service("svc", "payments").await?;
    ensure!(refused(&service, 0, 50).await? == 0);
    // Every policy of the demo namespace, and this one: nothing is left to chance.
    for policy in ["by-hand", "ttl-bounds", "ownership", "freeze-window"] {
        let arguments = ["policy", "replay", policy, "--json"];
        let report: Value = serde_json::from_str(&command(&gateway, &arguments).await?)?;
        ensure!(report["decisions"].as_u64() >= Some(50), "{report}");
        ensure!(report["reproduced"] == report["decisions"], "{report}");
        ensure!(report["not_reproduced"] == 0, "{report}");
        ensure!(report["differences"] == json!({}), "{report}");
    }
    let arguments = ["policy", "replay", "by-hand@3.0.0", "--since", "1h"];
    let told = command(&gateway, &arguments).await?;
    ensure!(told.contains("50 newly-denied"), "{told}");
    ensure!(
        told.contains("demo/roll/0 of payments: 1 newly-denied"),
        "{told}"
    );
    // Part by part it comes to the same.
    let body = json!({ "policy": "by-hand", "version": "3.0.0", "after": 7 });
    let part = gateway.admin().post("/v1/policies:replay", &body).await?;
    ensure!(
        part.status == 200 && part.body["next_cursor"].is_null(),
        "{part:?}"
    );
    let refused = service.post("/v1/policies:replay", &body).await?;
    ensure!(refused.status == 403, "{refused:?}");
    let missing = json!({ "policy": "by-hand", "version": "9.0.0" });
    let missing = gateway
        .admin()
        .post("/v1/policies:replay", &missing)
        .await?;
    ensure!(missing.status == 404, "{missing:?}");
    Ok(())
}
