//! A backup, a lost disk, a restore: nothing that was in the backup is lost, tokens go on above all
//! that were ever given out, and the old group cannot come back.

use std::path::Path;
use std::path::PathBuf;
use std::process::Output;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use leasehold_tests::ADMIN_KEY;
use leasehold_tests::Api;
use leasehold_tests::Gateway;
use leasehold_tests::GatewayOptions;
use leasehold_tests::create_store;
use leasehold_tests::free_port;
use serde_json::Value;
use serde_json::json;

async fn acquire(api: &Api, lock: &str) -> Result<Value> {
    let path = format!("/v1/namespaces/demo/locks/{lock}:acquire");
    let ask = json!({ "ttl_ms": 600_000, "request_id": lock });
    let grant = api.post(&path, &ask).await?;
    ensure!(grant.status < 300, "{grant:?}");
    Ok(grant.body)
}

fn token(grant: &Value) -> Result<u64> {
    grant["fencing_token"].as_u64().context("a token")
}

/// The command line without a gateway.
fn leasehold(arguments: &[&str]) -> Result<Output> {
    let mut command = std::process::Command::new(leasehold_tests::binary());
    Ok(command.args(arguments).output()?)
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path in UTF-8")
}

fn restore(file: &Path, data_dir: &Path) -> Result<Output> {
    leasehold(&[
        "restore",
        text(file)?,
        "--data-dir",
        text(data_dir)?,
        "--json",
    ])
}

async fn started(data_dir: PathBuf, config: String) -> Result<Gateway> {
    let options = GatewayOptions {
        data_dir: Some(data_dir),
        config,
        log: None,
        ..GatewayOptions::default()
    };
    Gateway::start_with(options).await
}

/// The first of a new cluster.
async fn founded(data_dir: PathBuf, config: String) -> Result<Gateway> {
    let options = GatewayOptions {
        data_dir: Some(data_dir),
        config,
        log: None,
        ..GatewayOptions::default()
    };
    create_store(&options)?;
    Gateway::start_with(options).await
}

fn clustered(port: u16) -> String {
    format!("[cluster]\nlisten = \"127.0.0.1:{port}\"\ninsecure_without_tls = true\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_disk_is_restored_and_tokens_go_on() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (old_port, new_port) = (free_port()?, free_port()?);
    let mut old = founded(folder.path().join("old"), clustered(old_port)).await?;
    let admin = old.admin();
    let begun = admin.post("/v1/cluster:init", &json!(null)).await?;
    ensure!(begun.status == 200, "{begun:?}");
    let held = acquire(&admin, "held").await?;
    let file = folder.path().join("backup");
    let taken = old
        .command_line(ADMIN_KEY, &["backup", text(&file)?])
        .await?;
    ensure!(taken.status.success(), "{taken:?}");
    let mut greatest = 0;
    for n in 0..50 {
        greatest = token(&acquire(&admin, &format!("after-{n}")).await?)?;
    }
    old.kill().await?;

    let data_dir = folder.path().join("new");
    let made = restore(&file, &data_dir)?;
    ensure!(made.status.success(), "{made:?}");
    let made: Value = serde_json::from_slice(&made.stdout)?;
    let gateway = started(data_dir, clustered(new_port)).await?;
    let admin = gateway.admin();
    // The same request still has its lease, for as long as it was told.
    let again = acquire(&admin, "held").await?;
    ensure!(again["lease_id"] == held["lease_id"], "{again}");
    ensure!(token(&again)? == token(&held)?, "{again}");
    ensure!(again["remaining_ms"].as_u64() >= Some(590_000), "{again}");
    // What was granted after the backup is not known, and its tokens are not given out again.
    let newer = acquire(&admin, "after-7").await?;
    ensure!(token(&newer)? > greatest, "{newer} after {greatest}");
    ensure!(
        Some(token(&newer)?) > made["token_floor"].as_u64(),
        "{newer}"
    );
    let told = admin.ledger("operation=governance").await?;
    let restored = |row: &&Value| row.to_string().contains("restored into a new group");
    ensure!(
        told.iter().filter(restored).count() == 1,
        "the restore is on record"
    );
    ensure!(!admin.ledger("lock=demo/held").await?.is_empty());
    let verified = gateway
        .command_line(ADMIN_KEY, &["audit", "verify"])
        .await?;
    ensure!(verified.status.success(), "{verified:?}");

    old.restart().await?;
    let begun = admin.post("/v1/cluster:init", &json!(null)).await?;
    ensure!(begun.status == 200, "{begun:?}");
    let join = json!({ "address": format!("127.0.0.1:{old_port}") });
    let refused = admin.post("/v1/cluster:join", &join).await?;
    ensure!(
        refused.status >= 400,
        "an old node was taken in: {refused:?}"
    );
    let status = admin.get("/v1/cluster").await?;
    ensure!(status.body["group"] == made["group"], "{status:?}");
    ensure!(
        status.body["members"].as_array().map(Vec::len) == Some(1),
        "{status:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_folder_is_backed_up_without_its_gateway() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut old = started(folder.path().join("old"), String::new()).await?;
    let held = acquire(&old.admin(), "held").await?;
    let file = folder.path().join("backup");
    let old_dir = old.data_dir().to_owned();
    let from_folder = ["backup", text(&file)?, "--data-dir", text(&old_dir)?];
    let refused = leasehold(&from_folder)?;
    ensure!(
        !refused.status.success(),
        "the folder is in use: {refused:?}"
    );
    // Killed, so that the ledger may lack what the log has.
    old.kill().await?;
    let taken = leasehold(&from_folder)?;
    ensure!(taken.status.success(), "{taken:?}");
    let data_dir = folder.path().join("new");
    let made = restore(&file, &data_dir)?;
    ensure!(made.status.success(), "{made:?}");
    let gateway = started(data_dir.clone(), String::new()).await?;
    let again = acquire(&gateway.admin(), "held").await?;
    ensure!(again["lease_id"] == held["lease_id"], "{again}");
    let occupied = restore(&file, &data_dir)?;
    ensure!(occupied.status.code() == Some(64), "{occupied:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_file_is_refused_and_nothing_is_made() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let gateway = Gateway::start().await?;
    acquire(&gateway.admin(), "held").await?;
    let file = folder.path().join("backup");
    let taken = gateway
        .command_line(ADMIN_KEY, &["backup", text(&file)?])
        .await?;
    ensure!(taken.status.success(), "{taken:?}");
    let whole = std::fs::read(&file)?;
    let mut damaged: Vec<Vec<u8>> = [0, 10, whole.len() / 2, whole.len() - 1]
        .into_iter()
        .map(|length| whole[..length].to_vec())
        .collect();
    for at in [3, 20, whole.len() / 3, whole.len() / 2, whole.len() - 20] {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        damaged.push(changed);
    }
    damaged.push([whole.as_slice(), b"x"].concat());
    let (bad, data_dir) = (folder.path().join("bad"), folder.path().join("new"));
    for (n, bytes) in damaged.iter().enumerate() {
        std::fs::write(&bad, bytes)?;
        let refused = restore(&bad, &data_dir)?;
        ensure!(refused.status.code() == Some(65), "case {n}: {refused:?}");
        ensure!(!refused.stderr.is_empty(), "case {n} says why");
        let left = std::fs::read_dir(folder.path())?.count();
        ensure!(left == 2, "case {n} left something behind");
    }
    Ok(())
}
