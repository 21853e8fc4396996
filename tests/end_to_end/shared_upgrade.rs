//! Gateways that share an etcd or a database are upgraded one by one, and back, under load, with the
//! next build, which supports one feature level more; then the level is raised, and the older build is
//! refused.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use leasehold_test_servers::Etcd;
use leasehold_test_servers::Postgres;
use leasehold_tests::ADMIN_KEY;
use leasehold_tests::Answer;
use leasehold_tests::Api;
use leasehold_tests::Build;
use leasehold_tests::Gateway;
use leasehold_tests::GatewayOptions;
use leasehold_tests::persist;
use serde_json::Value;
use serde_json::json;

use super::cluster::PATIENCE;
use super::cluster::all_held;
use super::cluster::client;
use super::cluster::same_ledgers;

const CLUSTER: &str = "/v1/cluster";
const RAISE: &str = "/v1/cluster:raise-level";
const FORGET: &str = "/v1/cluster:forget-gateway";
/// The feature level of the build before this one.
const BEFORE: u64 = 1;
/// That of this one.
const LEVEL: u64 = 2;
const CLIENTS: usize = 4;

/// The configuration of a gateway on a store.
type Config<'c> = &'c (dyn Fn(&str) -> String + Sync);

fn etcd_config(etcd: &Etcd, consumer: &str) -> String {
    format!(
        "[storage]\nbackend = \"etcd\"\n[storage.etcd]\nendpoints = {:?}\n\
         consumer = \"{consumer}\"\n",
        etcd.endpoints()
    )
}

fn postgres_config(server: &Postgres, consumer: &str) -> String {
    format!(
        "[storage]\nbackend = \"postgres\"\n[storage.postgres]\nurl = \"{}\"\n\
         consumer = \"{consumer}\"\nallow_unreplicated = true\n",
        server.url("postgres")
    )
}

async fn start(config: Config<'_>, consumer: &str, build: Build) -> Result<Gateway> {
    let options = GatewayOptions {
        config: config(consumer),
        build,
        ..GatewayOptions::default()
    };
    Gateway::start_with(options).await
}

/// Restarts one of two gateways as another build, while clients use the other. Returns the locks that
/// they hold at the end, and their tokens.
async fn install(
    gateways: &mut [Gateway],
    place: usize,
    build: Build,
    prefix: &str,
) -> Result<Vec<(String, u64)>> {
    let other = gateways[1 - place].admin();
    let stop = Arc::new(AtomicBool::new(false));
    let name = |n: usize| format!("{prefix}-{place}-{n}");
    let clients: Vec<_> = (0..CLIENTS)
        .map(|n| tokio::spawn(client(vec![other.clone()], name(n), stop.clone())))
        .collect();
    ensure!(gateways[place].terminate().await? == Some(0));
    gateways[place].install(build);
    gateways[place].restart().await?;
    stop.store(true, Ordering::SeqCst);
    let mut tokens = Vec::new();
    for (n, client) in clients.into_iter().enumerate() {
        tokens.push((name(n), client.await??));
    }
    Ok(tokens)
}

async fn status(api: &Api) -> Result<Value> {
    let status = api.get(CLUSTER).await?;
    ensure!(status.status == 200, "{status:?}");
    Ok(status.body)
}

/// The raise is refused, and the message names the gateways that are in its way.
fn refused(answer: &Answer, ids: &[&str]) -> Result<()> {
    ensure!(answer.status == 409, "{answer:?}");
    ensure!(answer.body["effect"] == "none", "{answer:?}");
    let text = answer.body.to_string();
    for id in ids {
        ensure!(text.contains(id), "{id}: {answer:?}");
    }
    ensure!(text.contains("forget-gateway"), "{answer:?}");
    Ok(())
}

/// The id of the gateway that answers.
async fn id(api: &Api) -> Result<String> {
    let status = status(api).await?;
    let gateways = status["gateways"].as_array().context("gateways")?;
    let this = gateways.iter().find(|gateway| gateway["answers"] == true);
    let id = this.context("the gateway that answers")?["id"].as_str();
    Ok(id.context("an id")?.to_owned())
}

/// The first administrator acquires a lock that stays held.
async fn hold(api: &Api, lock: &str) -> Result<(String, u64)> {
    let ask = json!({ "ttl_ms": 600_000 });
    let held = persist(std::slice::from_ref(api), lock, "acquire", &ask).await?;
    let token = held["fencing_token"].as_u64().context("a token")?;
    Ok((lock.to_owned(), token))
}

/// Starts a rollout of a binding that does not exist: found out after the feature level was looked at.
async fn start_rollout(api: &Api) -> Result<Answer> {
    let body = json!({ "name": "r", "binding": "none", "policy": "none", "version": "1.0.0" });
    api.post("/v1/rollouts", &body).await
}

/// Checks that nothing can be had that the build before would ignore: a policy with counters, the rule
/// of approvals, required signatures.
async fn is_guarded(api: &Api) -> Result<()> {
    let quota = json!({ "namespaces": ["demo"], "locks": ["counted/**"], "policies": [
        { "policy": "quota", "version": "2.0.1", "config": { "max_per_subject": 5 } }] });
    let bound = api.put("/v1/bindings/counted", &quota).await?;
    ensure!(bound.status < 300, "{bound:?}");
    let counted = api.acquire("counted/a", 60_000).await?;
    let ruled = api
        .put("/v1/approval-rule", &json!({ "required": 1 }))
        .await?;
    let signed = json!({ "required_signatures": 1, "reason": "a try" });
    let signed = api.put("/v1/policy-trust", &signed).await?;
    for (what, answer) in [
        ("counters", counted),
        ("approvals", ruled),
        ("signatures", signed),
    ] {
        ensure!(answer.status == 409, "{answer:?}");
        ensure!(answer.body["effect"] == "none", "{answer:?}");
        for part in [what, "level 2", "raise-level"] {
            ensure!(answer.text.contains(part), "{part}: {answer:?}");
        }
    }
    Ok(())
}

/// Takes two gateways of the build before through the upgrade, back, and up again.
async fn upgrade(config: Config<'_>) -> Result<()> {
    let first = start(config, "one", Build::Before).await?;
    let second = start(config, "two", Build::Before).await?;
    let mut gateways = [first, second];
    let (one, two) = (
        id(&gateways[0].admin()).await?,
        id(&gateways[1].admin()).await?,
    );
    ensure!(one != two, "{one}");
    ensure!(status(&gateways[0].admin()).await?["feature_level"] == BEFORE);
    let mut tokens = Vec::new();
    let all_builds = [Build::This, Build::Before, Build::This];
    for (build, prefix) in all_builds.into_iter().zip(["up", "back", "again"]) {
        for place in 0..gateways.len() {
            tokens.extend(install(&mut gateways, place, build, prefix).await?);
            if build == Build::This && place == 0 {
                let raising = gateways[0].admin().post(RAISE, &json!({})).await?;
                refused(&raising, &[&two])?;
            }
        }
    }
    all_held(&gateways, &tokens).await?;
    same_ledgers(&gateways).await?;

    // The build before may come back, and would ignore rollouts.
    let early = start_rollout(&gateways[0].admin()).await?;
    ensure!(early.status == 409, "{early:?}");
    let text = early.body.to_string();
    ensure!(
        text.contains("raise-level") && text.contains("level 2"),
        "{early:?}"
    );

    is_guarded(&gateways[0].admin()).await?;

    // One that is down counts.
    ensure!(gateways[1].terminate().await? == Some(0));
    gateways[1].install(Build::Before);
    gateways[1].restart().await?;
    ensure!(gateways[1].terminate().await? == Some(0));
    let api = gateways[0].admin();
    refused(&api.post(RAISE, &json!({ "to": LEVEL })).await?, &[&two])?;
    gateways[1].install(Build::This);
    gateways[1].restart().await?;

    let raised = gateways[1].admin().post(RAISE, &json!({})).await?;
    ensure!(raised.status == 200, "{raised:?}");
    ensure!(raised.body["feature_level"] == LEVEL, "{raised:?}");
    let lower = api.post(RAISE, &json!({ "to": BEFORE })).await?;
    ensure!(lower.status == 409, "{lower:?}");
    ensure!(start_rollout(&api).await?.status == 404);
    let counted = api.acquire("counted/a", 60_000).await?;
    ensure!(counted.status == 201, "{counted:?}");
    tokens.push(hold(&api, "after").await?);
    all_held(&gateways, &tokens).await?;
    same_ledgers(&gateways).await?;
    ensure!(id(&gateways[0].admin()).await? == one, "the id is kept");
    // There is no way back, and the way forward is open.
    ensure!(gateways[1].terminate().await? == Some(0));
    refused_start(&gateways[1], config).await?;
    gateways[1].restart().await?;
    all_held(&gateways, &tokens).await?;
    same_ledgers(&gateways).await
}

/// The build before does not start on the gateway's data directory: exit code 69, and a message that
/// names both levels.
async fn refused_start(gateway: &Gateway, config: Config<'_>) -> Result<()> {
    let file = gateway.data_dir().with_extension("toml");
    std::fs::write(&file, config("two"))?;
    let mut command = tokio::process::Command::new(leasehold_tests::binary());
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(gateway.data_dir())
        .arg("--config")
        .arg(&file)
        .env("LEASEHOLD_ADMIN_KEY", ADMIN_KEY)
        .env("LEASEHOLD_TEST_NEWEST_LEVEL", "-1")
        .kill_on_drop(true);
    let ended = tokio::time::timeout(PATIENCE, command.output()).await??;
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    ensure!(
        ended.status.code() == Some(69),
        "{:?}: {said}",
        ended.status
    );
    for part in ["feature level 2", "supports 1 to 1"] {
        ensure!(said.contains(part), "{said}");
    }
    Ok(())
}

/// A gateway that was forgotten while it ran stops granting at the higher level, says why, and does not
/// harm the store.
async fn outdated_while_it_runs(config: Config<'_>) -> Result<()> {
    let old = start(config, "one", Build::Before).await?;
    let new = start(config, "two", Build::This).await?;
    let held = hold(&old.admin(), "held").await?;
    let api = new.admin();
    refused(
        &api.post(RAISE, &json!({})).await?,
        &[&id(&old.admin()).await?],
    )?;
    let forget = ["cluster", "forget-gateway", &id(&old.admin()).await?];
    let forgotten = new.command_line(ADMIN_KEY, &forget).await?;
    ensure!(forgotten.status.success(), "{forgotten:?}");
    let again = api
        .post(FORGET, &json!({ "gateway": "0123456789abcdef" }))
        .await?;
    ensure!(again.status == 409, "{again:?}");
    let raised = new
        .command_line(ADMIN_KEY, &["cluster", "raise-level"])
        .await?;
    ensure!(raised.status.success(), "{raised:?}");

    let refusing = async {
        loop {
            let asked = old.admin().acquire("wanted", 60_000).await?;
            if asked.status == 503 {
                return anyhow::Ok(asked);
            }
            // What it was answered it was granted before the raise reached it.
            ensure!(asked.status == 409 || asked.status == 201, "{asked:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let said = tokio::time::timeout(PATIENCE, refusing).await??;
    ensure!(said.body.to_string().contains("feature level"), "{said:?}");
    ensure!(said.body["effect"] == "none", "{said:?}");
    let ready = async {
        loop {
            let ready = old.admin().get("/readyz").await?;
            if ready.status == 503 && ready.body.to_string().contains("supports 1 to 1") {
                return anyhow::Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, ready).await??;
    // Nothing of it is in the store after the raise, and what it had granted is held.
    let view = api.get("/v1/namespaces/demo/locks/held").await?;
    ensure!(
        view.body["holders"][0]["fencing_token"] == held.1,
        "{view:?}"
    );
    let status = status(&api).await?;
    ensure!(status["feature_level"] == LEVEL, "{status}");
    ensure!(
        status["gateways"].as_array().map(Vec::len) == Some(1),
        "{status}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateways_on_etcd_are_upgraded_and_back_and_the_level_raised() -> Result<()> {
    let etcd = Etcd::start(1).await;
    upgrade(&|consumer| etcd_config(&etcd, consumer)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateways_on_postgres_are_upgraded_and_back_and_the_level_raised() -> Result<()> {
    let server = Postgres::start().await;
    upgrade(&|consumer| postgres_config(&server, consumer)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_gateway_on_etcd_that_is_too_old_stops_granting() -> Result<()> {
    let etcd = Etcd::start(1).await;
    outdated_while_it_runs(&|consumer| etcd_config(&etcd, consumer)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_gateway_on_postgres_that_is_too_old_stops_granting() -> Result<()> {
    let server = Postgres::start().await;
    outdated_while_it_runs(&|consumer| postgres_config(&server, consumer)).await
}
