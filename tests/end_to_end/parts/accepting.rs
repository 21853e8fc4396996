//! An operator accepts what is lost: a new history begins, and names the old one.

use std::path::Path;
use std::process::Output;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use leasehold_tests::binary;
use serde_json::Value;

use super::FORGETS;
use super::copied;
use super::cycles;
use super::exchange_store;
use super::refused;
use super::remove;
use super::remove_ledger;
use super::started;
use super::used;
use super::verified;

pub(super) fn accept(data_dir: &Path, more: &[&str]) -> Result<Output> {
    let mut command = std::process::Command::new(binary());
    command
        .args(["store", "accept-older", "--json", "--data-dir"])
        .arg(data_dir)
        .args(more);
    Ok(command.output()?)
}

/// The new history continues: tokens grow, the ledger verifies, and its first event names the old
/// position and chain.
pub(super) async fn goes_on(
    (data_dir, config): (&Path, &str),
    accepted: &Output,
    above: u64,
) -> Result<()> {
    ensure!(accepted.status.success(), "{accepted:?}");
    let accepted: Value = serde_json::from_slice(&accepted.stdout)?;
    let mut gateway = started(data_dir, config).await?;
    let token = cycles(&gateway.admin(), 3).await?;
    ensure!(token > above, "{token} after {above}");
    ensure!(Some(token) > accepted["token_floor"].as_u64());
    let first = accepted["event"].as_u64().context("an event")?;
    let follows = accepted["follows_event"].as_u64().context("an event")?;
    ensure!(first == follows + 1, "{accepted}");
    let rows = gateway.admin().ledger("operation=governance").await?;
    let row = rows
        .iter()
        .find(|row| row["cursor"].as_u64() == Some(first));
    let told = row
        .context("the first event of the new history")?
        .to_string();
    for named in ["follows_event", "follows_chain"] {
        let value = &accepted[named];
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        ensure!(told.contains(&value), "{named} {value}: {told}");
    }
    ensure!(verified(&gateway).await? == Some(0));
    // A restart finds parts that fit.
    ensure!(gateway.terminate().await? == Some(0));
    gateway.restart().await?;
    ensure!(cycles(&gateway.admin(), 1).await? > token);
    ensure!(verified(&gateway).await? == Some(0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_store_starts_a_new_history_above_all_old_tokens() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data_dir = folder.path().join("data");
    used(&data_dir, FORGETS, 5).await?;
    let old = copied(&data_dir, folder.path(), "old")?;
    let newest = used(&data_dir, FORGETS, 10).await?;
    exchange_store(&data_dir, &old)?;
    refused(&data_dir, FORGETS).await?;
    let accepted = accept(&data_dir, &[])?;
    goes_on((&data_dir, FORGETS), &accepted, newest).await?;
    // The store that was accepted is not the one that the old ledger had.
    exchange_store(&data_dir, &old)?;
    refused(&data_dir, FORGETS).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_ledger_and_a_lost_store_are_accepted_by_name_only() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data_dir = folder.path().join("data");
    let newest = used(&data_dir, FORGETS, 5).await?;
    let no_ledger = copied(&data_dir, folder.path(), "no-ledger")?;
    remove_ledger(&no_ledger)?;
    refused(&no_ledger, FORGETS).await?;
    goes_on((&no_ledger, FORGETS), &accept(&no_ledger, &[])?, newest).await?;

    let no_store = copied(&data_dir, folder.path(), "no-store")?;
    remove(&no_store, "raft")?;
    let asked = accept(&no_store, &[])?;
    ensure!(asked.status.code() == Some(64), "{asked:?}");
    let accepted = accept(&no_store, &["--without-store"])?;
    goes_on((&no_store, FORGETS), &accepted, newest).await
}
