//! The embedded store: gateways that form one group, with mutual TLS between them.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use anyhow::ensure;
use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::CertifiedIssuer;
use rcgen::IsCa;
use rcgen::KeyPair;
use serde_json::Value;
use serde_json::json;

use super::Options;
use super::world::FirstStore;
use super::world::PATIENCE;
use super::world::World;

const PEER_PORT: u16 = 7880;
/// How long a gateway waits for the group to agree, less than a client waits for the gateway.
const AGREE_WITHIN_MS: u64 = 3_000;
/// A snapshot for so many commands: many in a run, so that whoever starts again loads one.
const SNAPSHOT_COMMANDS: u64 = 200;

/// Starts a founder and lets it take in the others.
pub(crate) async fn start(world: &mut World, options: &Options, folder: &Path) -> Result<()> {
    let addresses: Vec<String> = (0..options.gateways)
        .map(|place| world.network.address(place).to_string())
        .collect();
    certificates(folder, &addresses)?;
    for (place, address) in addresses.iter().enumerate() {
        let config = format!(
            "[storage]\nsnapshot_commands = {SNAPSHOT_COMMANDS}\n\
             [cluster]\nlisten = \"{address}:{PEER_PORT}\"\njoin = {}\n\
             commit_deadline_ms = {AGREE_WITHIN_MS}\n\
             [cluster.tls]\ncert = {:?}\nkey = {:?}\nca = {:?}\n",
            place > 0,
            folder.join("peer.crt"),
            folder.join("peer.key"),
            folder.join("peers.crt"),
        );
        let store = match place {
            0 => FirstStore::Create,
            _ => FirstStore::Leave,
        };
        world.gateway(folder, &config, store)?;
    }
    world.ready(0).await?;
    let founder = world.admin(0);
    let begun = founder.post("/v1/cluster:init", &Value::Null).await?;
    ensure!(begun.status == 200, "{begun:?}");
    for (place, address) in addresses.iter().enumerate().skip(1) {
        let join = json!({ "address": format!("{address}:{PEER_PORT}") });
        let joining = async {
            loop {
                let joined = founder.post("/v1/cluster:join", &join).await?;
                if joined.status == 200 {
                    return anyhow::Ok(());
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(PATIENCE, joining).await??;
        world.ready(place).await?;
    }
    Ok(())
}

/// Writes an authority of the run's own, and a certificate for all hosts.
fn certificates(folder: &Path, addresses: &[String]) -> Result<()> {
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let peer = CertificateParams::new(addresses.to_vec())?;
    let peer = peer.signed_by(&key, &authority)?;
    std::fs::write(folder.join("peer.crt"), peer.pem())?;
    std::fs::write(folder.join("peer.key"), key.serialize_pem())?;
    std::fs::write(folder.join("peers.crt"), authority.pem())?;
    Ok(())
}

/// The gateway that leads, and its term, as one that can tell says.
pub(crate) async fn leader(world: &World) -> Option<(usize, u64)> {
    let mut newest: Option<(usize, u64)> = None;
    for place in 0..world.gateways.len() {
        let admin = world.admin(place);
        let asked = tokio::time::timeout(Duration::from_millis(500), admin.get("/v1/cluster"));
        let Ok(Ok(status)) = asked.await else {
            continue;
        };
        let term = status.body["term"].as_u64().unwrap_or_default();
        let leads = status.status == 200 && status.body["leader"] == status.body["node"];
        if leads && newest.is_none_or(|(_, known)| known < term) {
            newest = Some((place, term));
        }
    }
    newest
}
