//! A gateway that joins late: what its store has never had comes from a member's ledger.

use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use leasehold_tests::Api;
use leasehold_tests::Gateway;
use leasehold_tests::GatewayOptions;
use leasehold_tests::cluster_options;
use leasehold_tests::free_port;
use serde_json::json;
use tempfile::TempDir;

use super::cluster::PATIENCE;
use super::cluster::same_ledgers;

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
    let founder = Gateway::start_with(forgetful(&folder, 0, free_port()?)).await?;
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
    let (port, peers_port) = (free_port()?, free_port()?);
    let options = cluster_options(&folder, 1, peers_port, "");
    let data_dir = options.data_dir.context("a folder")?;
    std::fs::create_dir_all(&data_dir)?;
    let config = folder.path().join("waits.toml");
    std::fs::write(&config, options.config)?;
    let mut waits = tokio::process::Command::new(leasehold_tests::binary())
        .args(["serve", "--listen", &format!("127.0.0.1:{port}")])
        .arg("--data-dir")
        .arg(&data_dir)
        .arg("--config")
        .arg(&config)
        .kill_on_drop(true)
        .spawn()?;
    let api = Api::new(&format!("http://127.0.0.1:{port}"), None);
    let lives = async {
        loop {
            match api.get("/healthz").await {
                Ok(answer) => return answer,
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    };
    let lives = tokio::time::timeout(PATIENCE, lives).await?;
    ensure!(lives.status == 200, "{lives:?}");
    let ready = api.get("/readyz").await?;
    ensure!(
        ready.status == 503 && ready.body["ready"] == false,
        "{ready:?}"
    );
    let refused = api.get("/v1/cluster").await?;
    ensure!(refused.code() == "unavailable", "{refused:?}");
    let pid = waits.id().context("it runs")?.to_string();
    std::process::Command::new("kill")
        .args(["-s", "TERM", &pid])
        .status()?;
    let ended = tokio::time::timeout(PATIENCE, waits.wait()).await??;
    ensure!(ended.code() == Some(0), "{ended:?}");
    Ok(())
}
