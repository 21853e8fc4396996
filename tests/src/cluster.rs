//! Gateways that share the embedded store.

use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use serde_json::json;
use tempfile::TempDir;

use crate::Gateway;
use crate::GatewayOptions;
use crate::binary;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// How many gateways a test's cluster has.
pub const MEMBERS: usize = 3;

/// A port that is free now.
///
/// # Errors
/// There is none.
pub fn free_port() -> Result<u16> {
    let socket = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    Ok(socket.local_addr()?.port())
}

/// How the member at `place` is started; the first founds the group.
#[must_use]
pub fn cluster_options(folder: &TempDir, place: usize, port: u16, more: &str) -> GatewayOptions {
    GatewayOptions {
        data_dir: Some(folder.path().join(format!("gateway-{place}"))),
        config: format!(
            "[cluster]\nlisten = \"127.0.0.1:{port}\"\njoin = {}\ninsecure_without_tls = true\n{more}\n",
            place > 0
        ),
        log: None,
        ..GatewayOptions::default()
    }
}

/// Creates the empty store of a cluster's first gateway, as an operator does before its first start.
///
/// # Errors
/// There is a store already, or the command fails.
pub fn create_store(options: &GatewayOptions) -> Result<()> {
    let data_dir = options.data_dir.as_deref().context("a data folder")?;
    let config = data_dir.with_extension("toml");
    std::fs::write(&config, &options.config)?;
    let created = std::process::Command::new(binary())
        .args(["cluster", "create", "--config"])
        .arg(config)
        .arg("--data-dir")
        .arg(data_dir)
        .output()?;
    ensure!(created.status.success(), "{created:?}");
    Ok(())
}

/// A founder, and two that were taken in by the founder's API, with their data in `folder`. `more`
/// are further lines of their configuration, of section `cluster` first.
///
/// # Errors
/// One does not start, or is not taken in.
pub async fn cluster(folder: &TempDir, more: &str) -> Result<Vec<Gateway>> {
    let options = cluster_options(folder, 0, free_port()?, more);
    create_store(&options)?;
    let founder = Gateway::start_with(options).await?;
    let admin = founder.admin();
    let begun = admin.post("/v1/cluster:init", &json!(null)).await?;
    ensure!(begun.status == 200, "{begun:?}");
    let mut gateways = vec![founder];
    for place in 1..MEMBERS {
        let port = free_port()?;
        // It listens to clients only when it was taken in.
        let waits = tokio::spawn(Gateway::start_with(cluster_options(
            folder, place, port, more,
        )));
        let join = json!({ "address": format!("127.0.0.1:{port}") });
        let joined = async {
            loop {
                let joined = admin.post("/v1/cluster:join", &join).await?;
                if joined.status == 200 {
                    return Ok::<_, anyhow::Error>(joined);
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let joined = tokio::time::timeout(PATIENCE, joined).await??;
        let members = joined.body["members"].as_array().context("members")?;
        ensure!(members.len() == place + 1, "{joined:?}");
        gateways.push(waits.await??);
    }
    Ok(gateways)
}

/// The place of the gateway that leads.
///
/// # Errors
/// None does.
pub async fn leader(gateways: &[Gateway]) -> Result<usize> {
    let search = async {
        loop {
            for (place, gateway) in gateways.iter().enumerate() {
                let Ok(status) = gateway.admin().get("/v1/cluster").await else {
                    continue;
                };
                let leads = status.body["leader"] == status.body["node"];
                if status.status == 200 && leads {
                    return place;
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    Ok(tokio::time::timeout(PATIENCE, search).await?)
}
