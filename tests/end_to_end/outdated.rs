//! A member that starts with an older copy of its folder: it takes no part, says why, and is replaced
//! as it says.

use std::path::Path;
use std::process::Command;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use leasehold_tests::cluster;
use leasehold_tests::leader;
use leasehold_tests::persist;
use serde_json::json;

use super::cluster::PATIENCE;
use super::early::Waits;

fn copy(from: &Path, to: &Path) -> Result<()> {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status()?;
    ensure!(copied.success());
    Ok(())
}

/// Asks until readiness says what to do.
async fn says_what_to_do(waits: &Waits, node: u64) -> Result<()> {
    let advice = format!("leasehold cluster replace {node} ADDRESS");
    let asking = async {
        loop {
            let Ok(ready) = waits.api.get("/readyz").await else {
                continue;
            };
            ensure!(ready.status == 503, "{ready:?}");
            if ready.text.contains(&advice) {
                return anyhow::Ok(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let said = tokio::time::timeout(PATIENCE, asking).await;
    said.context("readiness never says what to do")?
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_with_an_older_folder_says_why_it_is_not_ready() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut gateways = cluster(&folder, "").await?;
    let leads = leader(&gateways).await?;
    let place = if leads == 1 { 2 } else { 1 };
    let status = gateways[place].admin().get("/v1/cluster").await?;
    let node = status.body["node"].as_u64().context("its number")?;
    let data_dir = gateways[place].data_dir().to_owned();
    let older = folder.path().join("older");
    ensure!(gateways[place].terminate().await? == Some(0));
    copy(&data_dir, &older)?;
    gateways[place].restart().await?;
    let apis = [gateways[place].admin()];
    let ask = json!({ "ttl_ms": 600_000, "request_id": "held" });
    persist(&apis, "held", "acquire", &ask).await?;
    ensure!(gateways[place].terminate().await? == Some(0));
    std::fs::remove_dir_all(&data_dir)?;
    std::fs::rename(&older, &data_dir)?;

    let config = std::fs::read_to_string(data_dir.with_extension("toml"))?;
    let mut outdated = Waits::start(&data_dir, &config)?;
    says_what_to_do(&outdated, node).await?;
    let refused = outdated.api.acquire("held", 60_000).await?;
    ensure!(refused.code() == "unavailable", "{refused:?}");
    ensure!(outdated.terminate().await? == Some(0));

    std::fs::remove_dir_all(&data_dir)?;
    let mut replacement = Waits::start(&data_dir, &config)?;
    let address = config.split('"').nth(1).context("an address")?;
    let replace = json!({ "node": node, "address": address });
    let admin = gateways[leads].admin();
    let replacing = async {
        while admin.post("/v1/cluster:replace", &replace).await?.status != 200 {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, replacing).await??;
    replacement.works().await?;
    let seen = replacement.api.show("held").await?;
    ensure!(
        seen.body["holders"].as_array().map(Vec::len) == Some(1),
        "{seen:?}"
    );
    ensure!(replacement.terminate().await? == Some(0));
    Ok(())
}
