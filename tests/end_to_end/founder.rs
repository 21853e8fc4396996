//! A gateway with peers whose folder has no store: the folder may be one that was lost, so no store
//! is created unless an operator says so.

use std::path::Path;
use std::process::Output;
use std::process::Stdio;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use leasehold_tests::ADMIN_KEY;
use leasehold_tests::Gateway;
use leasehold_tests::GatewayOptions;
use leasehold_tests::binary;
use leasehold_tests::cluster_options;
use leasehold_tests::create_store;
use leasehold_tests::free_port;
use tempfile::TempDir;

/// `EX_UNAVAILABLE`.
const CANNOT_START: i32 = 69;

fn founder(folder: &TempDir) -> Result<GatewayOptions> {
    Ok(cluster_options(folder, 0, free_port()?, ""))
}

fn data_dir(options: &GatewayOptions) -> Result<&Path> {
    options.data_dir.as_deref().context("a data folder")
}

/// Runs a command that must end by itself.
async fn ends(words: &[&str], options: &GatewayOptions) -> Result<Output> {
    let data_dir = data_dir(options)?;
    let config = data_dir.with_extension("toml");
    std::fs::write(&config, &options.config)?;
    let mut command = tokio::process::Command::new(binary());
    command
        .args(words)
        .arg("--config")
        .arg(&config)
        .arg("--data-dir")
        .arg(data_dir)
        .env("LEASEHOLD_ADMIN_KEY", ADMIN_KEY)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let patience = std::time::Duration::from_secs(30);
    let ended = tokio::time::timeout(patience, command.output()).await;
    Ok(ended.context("it goes on")??)
}

async fn does_not_start(options: &GatewayOptions) -> Result<()> {
    let ended = ends(&["serve", "--listen", "127.0.0.1:0"], options).await?;
    ensure!(ended.status.code() == Some(CANNOT_START), "{ended:?}");
    ensure!(ended.stdout.is_empty(), "it listened: {ended:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_with_peers_creates_no_store_by_itself() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let options = founder(&folder)?;
    does_not_start(&options).await?;
    // The place may be wrong, or its disk not mounted: nothing is left there.
    ensure!(!data_dir(&options)?.exists());
    create_store(&options)?;
    let mut gateway = Gateway::start_with(options).await?;
    let granted = gateway.admin().acquire("held", 600_000).await?;
    ensure!(granted.status == 201, "{granted:?}");
    gateway.restart().await?;
    let again = gateway.service("other", "team-b").await?;
    ensure!(again.acquire("held", 600_000).await?.code() == "held");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_founder_whose_store_is_gone_does_not_begin_anew() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let options = founder(&folder)?;
    create_store(&options)?;
    let same = || GatewayOptions {
        data_dir: options.data_dir.clone(),
        config: options.config.clone(),
        log: None,
        ..GatewayOptions::default()
    };
    let mut gateway = Gateway::start_with(same()).await?;
    ensure!(gateway.admin().acquire("held", 600_000).await?.status == 201);
    ensure!(gateway.terminate().await? == Some(0));
    let data_dir = data_dir(&options)?;
    for part in ["raft/log", "raft", ""] {
        std::fs::remove_dir_all(data_dir.join(part))?;
        does_not_start(&options).await?;
    }
    // Also where an operator made the folder again.
    std::fs::create_dir(data_dir)?;
    does_not_start(&options).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_is_created_once_and_beside_no_ledger() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let options = founder(&folder)?;
    create_store(&options)?;
    let again = ends(&["cluster", "create"], &options).await?;
    ensure!(again.status.code() == Some(CANNOT_START), "{again:?}");
    let mut gateway = Gateway::start_with(GatewayOptions {
        data_dir: options.data_dir.clone(),
        config: options.config.clone(),
        log: None,
        ..GatewayOptions::default()
    })
    .await?;
    let in_use = ends(&["cluster", "create"], &options).await?;
    ensure!(in_use.status.code() == Some(CANNOT_START), "{in_use:?}");
    ensure!(gateway.terminate().await? == Some(0));
    let data_dir = data_dir(&options)?;
    std::fs::remove_dir_all(data_dir.join("raft"))?;
    let beside = ends(&["cluster", "create"], &options).await?;
    ensure!(beside.status.code() == Some(CANNOT_START), "{beside:?}");
    ensure!(!data_dir.join("raft").exists());
    Ok(())
}
