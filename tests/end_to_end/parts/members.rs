//! A member of three: what its ledger lacks comes from the others, and a foreign ledger is refused.

use anyhow::Result;
use anyhow::ensure;
use leasehold_tests::cluster;

use super::FORGETS;
use super::copied;
use super::cycles;
use super::exchange_ledger;
use super::refused;
use super::remove_ledger;
use super::started;
use super::used;
use super::verified;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_members_lost_ledger_is_filled_and_a_foreign_one_refused() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let foreign = folder.path().join("foreign");
    used(&foreign, FORGETS, 20).await?;
    let mut gateways = cluster(&folder, FORGETS).await?;
    cycles(&gateways[0].admin(), 20).await?;
    gateways[2].admin().settled().await?;
    let mut member = gateways.remove(2);
    ensure!(member.terminate().await? == Some(0));
    let data_dir = member.data_dir().to_owned();
    let config = std::fs::read_to_string(data_dir.with_extension("toml"))?;

    let changed = copied(&data_dir, folder.path(), "changed")?;
    exchange_ledger(&changed, &foreign)?;
    let said = refused(&changed, &config).await?;
    ensure!(said.contains("of the store"), "{said}");

    remove_ledger(&data_dir)?;
    let member = started(&data_dir, &config).await?;
    ensure!(verified(&member).await? == Some(0));
    let rows = member.admin().ledger("lock=demo/cycle-3").await?;
    ensure!(rows.len() >= 2, "{rows:?}");
    Ok(())
}
