//! A database and an etcd cluster that come back older, and ledgers that are not theirs.

use std::path::Path;

use anyhow::Result;
use anyhow::ensure;
use leasehold_test_servers::Etcd;
use leasehold_test_servers::Postgres;

use super::FORGETS;
use super::copied;
use super::cycles;
use super::exchange_ledger;
use super::refused_with_positions;
use super::remove;
use super::remove_ledger;
use super::started;
use super::used;
use super::verified;

fn on_postgres(url: &str) -> String {
    format!(
        "{FORGETS}[storage]\nbackend = \"postgres\"\n[storage.postgres]\nurl = \"{url}\"\n\
         allow_unreplicated = true\n"
    )
}

fn on_etcd(cluster: &Etcd, prefix: &str) -> String {
    format!(
        "{FORGETS}[storage]\nbackend = \"etcd\"\n[storage.etcd]\nendpoints = {:?}\n\
         prefix = \"{prefix}\"\n",
        cluster.endpoints()
    )
}

/// The older store is refused, whichever of ledger and memory is left to tell. What a gateway
/// remembers of its database (`database.json`) keeps it fenced before that, so it is removed.
async fn older_is_refused(data_dir: &Path, folder: &Path, config: &str) -> Result<()> {
    let data_dir = &copied(data_dir, folder, "older")?;
    remove(data_dir, "database.json")?;
    refused_with_positions(data_dir, config).await?;
    let changed = copied(data_dir, folder, "no-memory")?;
    remove(&changed, "stores.json")?;
    refused_with_positions(&changed, config).await?;
    let changed = copied(data_dir, folder, "no-ledger")?;
    remove_ledger(&changed)?;
    refused_with_positions(&changed, config).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_restored_from_a_backup_is_refused() -> Result<()> {
    let server = Postgres::start().await;
    let database = server.database().await;
    let folder = tempfile::tempdir()?;
    let data_dir = folder.path().join("data");
    let config = on_postgres(&server.url(&database));
    used(&data_dir, &config, 5).await?;
    // A copy of the database's files, as a backup is.
    let copy = format!("CREATE DATABASE older TEMPLATE {database}");
    server.sql("postgres", &copy).await;
    used(&data_dir, &config, 5).await?;
    let older = on_postgres(&server.url("older"));
    older_is_refused(&data_dir, folder.path(), &older).await?;

    // The database has the truth: what the ledger lacks is filled from there, another's is refused.
    let foreign = folder.path().join("foreign");
    used(&foreign, FORGETS, 10).await?;
    let changed = copied(&data_dir, folder.path(), "foreign-ledger")?;
    exchange_ledger(&changed, &foreign)?;
    refused_with_positions(&changed, &config).await?;
    remove_ledger(&data_dir)?;
    let gateway = started(&data_dir, &config).await?;
    ensure!(verified(&gateway).await? == Some(0));
    let rows = gateway.admin().ledger("lock=demo/cycle-3").await?;
    ensure!(rows.len() >= 4, "{rows:?}");
    cycles(&gateway.admin(), 1).await?;
    ensure!(verified(&gateway).await? == Some(0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_etcd_restored_from_a_snapshot_is_refused() -> Result<()> {
    let cluster = Etcd::start(1).await;
    let folder = tempfile::tempdir()?;
    let data_dir = folder.path().join("data");
    let config = on_etcd(&cluster, &cluster.prefix());
    used(&data_dir, &config, 5).await?;
    let snapshot = folder.path().join("snapshot");
    cluster.snapshot(&snapshot);
    used(&data_dir, &config, 5).await?;

    let foreign = folder.path().join("foreign");
    used(&foreign, FORGETS, 10).await?;
    let changed = copied(&data_dir, folder.path(), "foreign-ledger")?;
    exchange_ledger(&changed, &foreign)?;
    refused_with_positions(&changed, &config).await?;
    let changed = copied(&data_dir, folder.path(), "lost-ledger")?;
    remove_ledger(&changed)?;
    refused_with_positions(&changed, &config).await?;
    remove(&changed, "stores.json")?;
    refused_with_positions(&changed, &config).await?;
    let mut gateway = started(&data_dir, &config).await?;
    ensure!(verified(&gateway).await? == Some(0));
    ensure!(gateway.terminate().await? == Some(0));

    cluster.restore(&snapshot).await;
    older_is_refused(&data_dir, folder.path(), &config).await
}
