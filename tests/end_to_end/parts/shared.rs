//! A database and an etcd cluster that come back older, and ledgers that are not theirs.

use std::path::Path;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use leasehold_test_servers::Etcd;
use leasehold_test_servers::Postgres;

use super::super::cluster::PATIENCE;
use super::super::early::Waits;
use super::super::stores::acquire;
use super::super::stores::create;
use super::super::stores::until_ready;
use super::FORGETS;
use super::accepting::accept;
use super::accepting::goes_on;
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

/// The configuration file of a data directory, as the command line takes it.
fn file_with(data_dir: &Path, config: &str) -> Result<String> {
    let file = data_dir.with_extension("toml");
    std::fs::write(&file, config)?;
    Ok(file.display().to_string())
}

/// An operator accepts the older store: what it holds is still held, and what was granted after the
/// copy is not known.
async fn older_is_accepted(data_dir: &Path, config: &str, newest: u64) -> Result<()> {
    let file = file_with(data_dir, config)?;
    let accepted = accept(data_dir, &["--config", &file])?;
    goes_on((data_dir, config), &accepted, newest).await?;
    let gateway = started(data_dir, config).await?;
    for (lock, held) in [("kept", 1), ("lost", 0)] {
        let seen = gateway.admin().show(lock).await?;
        let holders = seen.body["holders"].as_array().map(Vec::len);
        ensure!(holders == Some(held), "{seen:?}");
    }
    Ok(())
}

/// An operator accepts that the ledger is lost.
async fn lost_ledger_is_accepted(data_dir: &Path, config: &str, newest: u64) -> Result<()> {
    remove_ledger(data_dir)?;
    refused_with_positions(data_dir, config).await?;
    let accepted = accept(data_dir, &["--config", &file_with(data_dir, config)?])?;
    goes_on((data_dir, config), &accepted, newest).await
}

/// A gateway takes a lock and keeps it; returns its token.
async fn holds(data_dir: &Path, config: &str, lock: &str) -> Result<u64> {
    let mut gateway = started(data_dir, config).await?;
    let grant = gateway.admin().acquire(lock, 3_600_000).await?;
    ensure!(grant.status == 201, "{grant:?}");
    gateway.admin().settled().await?;
    ensure!(gateway.terminate().await? == Some(0));
    grant.body["fencing_token"].as_u64().context("a token")
}

/// The gateway waits for the database that it knows, and grants nothing from this one.
async fn is_fenced(data_dir: &Path, config: &str) -> Result<()> {
    let mut waits = Waits::start(data_dir, config)?;
    let fenced = async {
        loop {
            if let Ok(asked) = waits.api.acquire("any", 60_000).await {
                ensure!(asked.code() == "fenced", "{asked:?}");
                return anyhow::Ok(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let fenced = tokio::time::timeout(PATIENCE, fenced).await;
    fenced.context("it never says that it is fenced")??;
    ensure!(waits.terminate().await? == Some(0));
    Ok(())
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_database_is_accepted() -> Result<()> {
    let server = Postgres::start().await;
    let folder = tempfile::tempdir()?;
    for place in ["database", "data-dir"] {
        let database = server.database().await;
        let on = |database: &str| {
            let config = on_postgres(&server.url(database));
            format!("{config}ledger = \"{place}\"\n")
        };
        let (data_dir, config) = (folder.path().join(place), on(&database));
        holds(&data_dir, &config, "kept").await?;
        let older = format!("older_{database}");
        let copy = format!("CREATE DATABASE {older} TEMPLATE {database}");
        server.sql("postgres", &copy).await;
        used(&data_dir, &config, 5).await?;
        let newest = holds(&data_dir, &config, "lost").await?;
        let older = on(&older);
        is_fenced(&data_dir, &older).await?;
        older_is_accepted(&data_dir, &older, newest).await?;
        if place == "data-dir" {
            // Only the lost ledger had the rows.
            lost_ledger_is_accepted(&data_dir, &older, newest).await?;
        }
        // The newer database is not the one of this directory any more.
        is_fenced(&data_dir, &config).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_etcd_is_accepted() -> Result<()> {
    let cluster = Etcd::start(1).await;
    let folder = tempfile::tempdir()?;
    let data_dir = folder.path().join("data");
    let config = on_etcd(&cluster, &cluster.prefix());
    holds(&data_dir, &config, "kept").await?;
    let snapshot = folder.path().join("snapshot");
    cluster.snapshot(&snapshot);
    used(&data_dir, &config, 5).await?;
    let newest = holds(&data_dir, &config, "lost").await?;
    cluster.restore(&snapshot).await;
    refused_with_positions(&data_dir, &config).await?;
    older_is_accepted(&data_dir, &config, newest).await?;
    lost_ledger_is_accepted(&data_dir, &config, newest).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_additional_store_that_comes_back_older_is_fenced_until_it_is_accepted() -> Result<()> {
    let server = Postgres::start().await;
    let database = server.database().await;
    let folder = tempfile::tempdir()?;
    let data_dir = folder.path().join("data");
    let on = |database: &str| {
        let url = server.url(database);
        format!(
            "[stores.eu]\nbackend = \"postgres\"\n[stores.eu.postgres]\nurl = \"{url}\"\n\
             allow_unreplicated = true\n"
        )
    };
    let mut gateway = started(&data_dir, &on(&database)).await?;
    until_ready(&gateway.admin(), "eu", true).await?;
    ensure!(create(&gateway.admin(), "west", "eu").await?.status == 201);
    ensure!(acquire(&gateway.admin(), "west/kept").await?.status == 201);
    ensure!(gateway.terminate().await? == Some(0));
    let copy = format!("CREATE DATABASE older TEMPLATE {database}");
    server.sql("postgres", &copy).await;
    let mut gateway = started(&data_dir, &on(&database)).await?;
    until_ready(&gateway.admin(), "eu", true).await?;
    let granted = acquire(&gateway.admin(), "west/lost").await?;
    let newest = granted.body["fencing_token"].as_u64().context("a token")?;
    ensure!(gateway.terminate().await? == Some(0));

    let older = on("older");
    for memory in ["nothing", "stores/eu/database.json"] {
        remove(&data_dir, memory)?;
        let mut gateway = started(&data_dir, &older).await?;
        let refused = acquire(&gateway.admin(), "west/lost").await?;
        ensure!(
            refused.status == 503 && refused.code() == "fenced",
            "{refused:?}"
        );
        ensure!(refused.body["retryable"] == true, "{refused:?}");
        ensure!(refused.body["effect"] == "none", "{refused:?}");
        ensure!(
            cycles(&gateway.admin(), 1).await? > 0,
            "the home store works"
        );
        ensure!(gateway.terminate().await? == Some(0));
    }

    let file = file_with(&data_dir, &older)?;
    let wrong = accept(&data_dir, &["--config", &file, "--store", "mars"])?;
    ensure!(wrong.status.code() == Some(64), "{wrong:?}");
    let accepted = accept(&data_dir, &["--config", &file, "--store", "eu"])?;
    ensure!(accepted.status.success(), "{accepted:?}");
    let gateway = started(&data_dir, &older).await?;
    until_ready(&gateway.admin(), "eu", true).await?;
    let granted = acquire(&gateway.admin(), "west/lost").await?;
    ensure!(
        granted.body["fencing_token"].as_u64() > Some(newest),
        "{granted:?}"
    );
    let held = acquire(&gateway.admin(), "west/kept").await?;
    ensure!(held.code() == "held", "{held:?}");
    ensure!(verified(&gateway).await? == Some(0));
    Ok(())
}
