//! A gateway that joins late: what its store has never had comes from a member's ledger.

use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use leasehold_tests::Api;
use leasehold_tests::Gateway;
use leasehold_tests::GatewayOptions;
use leasehold_tests::cluster_options;
use leasehold_tests::create_store;
use leasehold_tests::free_port;
use serde_json::json;
use tempfile::TempDir;

use super::cluster::PATIENCE;
use super::cluster::same_ledgers;
use super::early::Waits;

/// More than a member keeps of its log beside a snapshot.
const CYCLES: usize = 700;
/// What the founder's store keeps of events.
const KEEP_EVENTS: u64 = 20;

fn forgetful(folder: &TempDir, place: usize, port: u16) -> GatewayOptions {
    let options = cluster_options(folder, place, port, "");
    let more =
        format!("[storage]\nsnapshot_commands = 200\n[audit]\nkeep_events = {KEEP_EVENTS}\n");
    GatewayOptions {
        config: options.config + &more,
        ..options
    }
}

/// Takes a lock, and gives it back: an event each.
async fn cycle(api: &Api) -> Result<()> {
    let lock = "/v1/namespaces/demo/locks/busy";
    let ask = json!({ "ttl_ms": 600_000 });
    let grant = api.post(&format!("{lock}:acquire"), &ask).await?;
    ensure!(grant.status < 300, "{grant:?}");
    let lease = json!({ "lease_id": grant.body["lease_id"] });
    let released = api.post(&format!("{lock}:release"), &lease).await?;
    ensure!(released.status < 300, "{released:?}");
    Ok(())
}

/// Waits until the store has forgotten what the ledger has. It does so when it is written to.
async fn forgotten(api: &Api) -> Result<()> {
    let waiting = async {
        loop {
            let metrics = api.get("/metrics").await?;
            let kept = metrics.text.lines().find_map(|line| {
                let kept = line.strip_prefix("leasehold_store_events{store=\"home\"} ")?;
                kept.parse::<u64>().ok()
            });
            if kept.context("how many events the store has")? <= 2 * KEEP_EVENTS {
                return anyhow::Ok(());
            }
            cycle(api).await?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await?
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_joiner_has_the_whole_ledger() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let options = forgetful(&folder, 0, free_port()?);
    create_store(&options)?;
    let founder = Gateway::start_with(options).await?;
    let admin = founder.admin();
    let begun = admin.post("/v1/cluster:init", &json!(null)).await?;
    ensure!(begun.status == 200, "{begun:?}");
    for _ in 0..CYCLES {
        cycle(&admin).await?;
    }
    forgotten(&admin).await?;
    let port = free_port()?;
    let waits = tokio::spawn(Gateway::start_with(forgetful(&folder, 1, port)));
    let join = json!({ "address": format!("127.0.0.1:{port}") });
    let joined = async {
        while admin.post("/v1/cluster:join", &join).await?.status != 200 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, joined).await??;
    let gateways = [founder, waits.await??];
    same_ledgers(&gateways).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_waits_says_so_and_stops_when_told() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let options = cluster_options(&folder, 1, free_port()?, "");
    let data_dir = options.data_dir.context("a folder")?;
    let mut waits = Waits::start(&data_dir, &options.config)?;
    waits.says_so().await?;
    ensure!(waits.terminate().await? == Some(0));
    Ok(())
}
