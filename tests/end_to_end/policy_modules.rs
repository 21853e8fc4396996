//! Policy modules are blobs of the store: a member that missed an upload judges by it, a restored
//! gateway has them, and one that has lost them says so.

use std::path::Path;
use std::path::PathBuf;
use std::process::Output;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use leasehold_policy_guests::Guest;
use leasehold_policy_guests::TEXT;
use leasehold_policy_guests::deny;
use leasehold_tests::ADMIN_KEY;
use leasehold_tests::Api;
use leasehold_tests::Gateway;
use leasehold_tests::GatewayOptions;
use leasehold_tests::binary;
use leasehold_tests::cluster;
use serde_json::Value;
use serde_json::json;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A policy that denies every acquire.
fn module() -> Vec<u8> {
    let at = TEXT as u32;
    Guest {
        name: "denies".to_owned(),
        operations: vec!["acquire".to_owned()],
        answer: deny((at, 2), (at + 2, 7)),
        text: b"noby hand".to_vec(),
        ..Guest::default()
    }
    .wasm()
}

/// Uploads the policy; its digest.
async fn upload(admin: &Api) -> Result<String> {
    let stored = admin.upload_policy("denies", "1.2.3", module()).await?;
    ensure!(stored.status < 300, "{stored:?}");
    Ok(stored.text_of("digest")?.to_owned())
}

/// Uploads the policy and binds it to locks below `by-hand/`; its digest.
async fn bind(admin: &Api) -> Result<String> {
    let digest = upload(admin).await?;
    let body = json!({ "namespaces": ["demo"], "locks": ["by-hand/**"],
        "policies": [{ "policy": "denies", "version": "1.2.3" }] });
    let bound = admin.put("/v1/bindings/by-hand", &body).await?;
    ensure!(bound.status == 200, "{bound:?}");
    Ok(digest)
}

/// Asks for a lock until it is refused with this code and message.
async fn is_refused(admin: &Api, code: &str, message: &str) -> Result<()> {
    let asking = async {
        loop {
            let answer = admin.acquire("by-hand/lock", 10_000).await?;
            // Another gateway may not have heard of the binding yet.
            if answer.status >= 400
                && answer.code() == code
                && answer.body.to_string().contains(message)
            {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let refused = tokio::time::timeout(PATIENCE, asking).await;
    refused.with_context(|| format!("no {code} with {message:?}"))?
}

fn blob(data_dir: &Path, digest: &str) -> PathBuf {
    data_dir.join("raft").join("blobs").join(digest)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_was_killed_before_an_upload_judges_by_it() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut gateways = cluster(&folder, "").await?;
    gateways[2].kill().await?;
    let digest = bind(&gateways[0].admin()).await?;
    for gateway in &gateways[..2] {
        let there = std::fs::read(blob(gateway.data_dir(), &digest))?;
        ensure!(there == module());
        is_refused(&gateway.admin(), "denied", "by hand").await?;
    }
    ensure!(!blob(gateways[2].data_dir(), &digest).exists());
    gateways[2].restart().await?;
    is_refused(&gateways[2].admin(), "denied", "by hand").await?;
    ensure!(std::fs::read(blob(gateways[2].data_dir(), &digest))? == module());
    Ok(())
}

fn leasehold(arguments: &[&str]) -> Result<Output> {
    let mut command = std::process::Command::new(binary());
    Ok(command.args(arguments).output()?)
}

async fn started(data_dir: &Path) -> Result<Gateway> {
    let options = GatewayOptions {
        data_dir: Some(data_dir.to_owned()),
        config: String::new(),
        log: None,
        ..GatewayOptions::default()
    };
    Gateway::start_with(options).await
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path in UTF-8")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_a_running_or_a_stopped_gateway_has_the_modules() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let old = folder.path().join("old");
    let mut gateway = started(&old).await?;
    let digest = bind(&gateway.admin()).await?;
    let running = folder.path().join("running.backup");
    let taken = gateway
        .command_line(ADMIN_KEY, &["backup", text(&running)?])
        .await?;
    ensure!(taken.status.success(), "{taken:?}");
    ensure!(gateway.terminate().await? == Some(0));
    let stopped = folder.path().join("stopped.backup");
    let taken = leasehold(&["backup", text(&stopped)?, "--data-dir", text(&old)?])?;
    ensure!(taken.status.success(), "{taken:?}");
    for file in [running, stopped] {
        let data_dir = file.with_extension("data");
        let made = leasehold(&["restore", text(&file)?, "--data-dir", text(&data_dir)?])?;
        ensure!(made.status.success(), "{made:?}");
        ensure!(std::fs::read(blob(&data_dir, &digest))? == module());
        let gateway = started(&data_dir).await?;
        is_refused(&gateway.admin(), "denied", "by hand").await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_has_lost_a_module_says_so_and_gets_it_back() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data_dir = folder.path().join("data");
    let mut gateway = started(&data_dir).await?;
    let digest = bind(&gateway.admin()).await?;
    ensure!(gateway.terminate().await? == Some(0));
    std::fs::remove_file(blob(&data_dir, &digest))?;
    let start = tokio::process::Command::new(binary())
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(&data_dir)
        .env("LEASEHOLD_ADMIN_KEY", ADMIN_KEY)
        .kill_on_drop(true)
        .output();
    let refused = tokio::time::timeout(PATIENCE, start).await??;
    let said = String::from_utf8_lossy(&refused.stderr);
    ensure!(refused.status.code() == Some(69), "{refused:?}");
    ensure!(said.contains(&digest), "{said}");

    let accepted = leasehold(&["store", "accept-older", "--data-dir", text(&data_dir)?])?;
    ensure!(accepted.status.success(), "{accepted:?}");
    let gateway = started(&data_dir).await?;
    let admin = gateway.admin();
    is_refused(&admin, "policy_error", "").await?;
    let metrics = reqwest::get(format!("{}/metrics", gateway.url())).await?;
    let metrics = metrics.text().await?;
    ensure!(
        metrics.contains("leasehold_policy_modules_missing 1"),
        "{metrics}"
    );
    let rows = admin.ledger("lock=demo/by-hand/lock").await?;
    let why: Vec<Value> = rows.iter().map(|row| row["event"].clone()).collect();
    let why = Value::from(why).to_string();
    ensure!(why.contains("not in the store"), "{why}");
    ensure!(upload(&admin).await? == digest);
    is_refused(&admin, "denied", "by hand").await
}
