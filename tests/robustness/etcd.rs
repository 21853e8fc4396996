//! Three etcd members, each on a host of its own.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use serde_json::Value;
use serde_json::json;

use super::Options;
use super::disk::Disk;
use super::host::Host;
use super::process::Process;
use super::process::Spec;
use super::world::FirstStore;
use super::world::PATIENCE;
use super::world::Servers;
use super::world::World;

const CLIENT_PORT: u16 = 2379;
const PEER_PORT: u16 = 2380;

/// How long one call may take, less than a client waits for the gateway.
const TRANSACTION_DEADLINE_MS: u64 = 3_000;

/// `full` in base64: a key of nobody's.
const FILLER_KEY: &str = "ZnVsbA==";
/// The length of its value in base64, 1 MB: more pages in a row than a member has free.
const FILLER_BASE64: usize = 1_398_104;

/// The members of one etcd.
#[derive(Debug)]
pub(crate) struct Members {
    pub(crate) members: Vec<Member>,
    pub(crate) http: reqwest::Client,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) host: Host,
    url: String,
}

/// Starts the members, and then the gateways.
pub(crate) async fn start(world: &mut World, options: &Options, folder: &Path) -> Result<()> {
    let members = Members::start(world, options, folder)?;
    let ready = tokio::time::timeout(PATIENCE, async {
        while members.leader().await.is_none() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    ready.await.context("etcd has no leader")?;
    let urls: Vec<&str> = members.members.iter().map(|m| m.url.as_str()).collect();
    let config = format!(
        "[storage]\nbackend = \"etcd\"\n[storage.etcd]\nendpoints = {urls:?}\n\
         insecure_without_tls = true\ntransaction_deadline_ms = {TRANSACTION_DEADLINE_MS}\n"
    );
    world.servers = Servers::Etcd(members);
    for place in 0..options.gateways {
        let config = format!("{config}consumer = \"gateway-{place}\"\n");
        world.gateway(folder, &config, FirstStore::Leave)?;
        world.ready(place).await?;
    }
    Ok(())
}

impl Members {
    fn start(world: &World, options: &Options, folder: &Path) -> Result<Self> {
        let hosts = options.gateways..options.gateways + options.store.servers();
        let address = |host: usize| world.network.address(host);
        let cluster: Vec<String> = hosts
            .clone()
            .map(|host| format!("m{host}=http://{}:{PEER_PORT}", address(host)))
            .collect();
        let member = |host: usize| {
            let client = format!("http://{}:{CLIENT_PORT}", address(host));
            let peer = format!("http://{}:{PEER_PORT}", address(host));
            let disk = Disk::new(folder, &format!("etcd-{host}"))?;
            let data = disk.path().join("data");
            let command = [
                "etcd",
                &format!("--name=m{host}"),
                &format!("--data-dir={}", data.display()),
                &format!("--listen-client-urls={client}"),
                &format!("--advertise-client-urls={client}"),
                &format!("--listen-peer-urls={peer}"),
                &format!("--initial-advertise-peer-urls={peer}"),
                &format!("--initial-cluster={}", cluster.join(",")),
                "--initial-cluster-state=new",
            ];
            let namespace = world.network.namespace(host);
            let process = Process::start(Spec {
                name: format!("etcd {host}"),
                namespace: namespace.clone(),
                command: command.map(str::to_owned).to_vec(),
                environment: Vec::new(),
                log: folder.join(format!("etcd-{host}.log")),
            })?;
            let trace = folder.join(format!("etcd-{host}.trace"));
            Ok(Member {
                host: Host::new(process, disk, namespace, trace),
                url: client,
            })
        };
        let members = hosts.map(member).collect::<Result<_>>()?;
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_millis(500))
            .build()?;
        Ok(Self { members, http })
    }

    /// The place of the member that leads, and its term, as one that can tell says.
    pub(crate) async fn leader(&self) -> Option<(usize, u64)> {
        for (place, member) in self.members.iter().enumerate() {
            let url = format!("{}/v3/maintenance/status", member.url);
            let Ok(answer) = self.http.post(url).json(&json!({})).send().await else {
                continue;
            };
            let Ok(status) = answer.json::<Value>().await else {
                continue;
            };
            let leads =
                status["leader"].is_string() && status["leader"] == status["header"]["member_id"];
            let term = status["header"]["raft_term"].as_str()?.parse().ok()?;
            if leads {
                return Some((place, term));
            }
        }
        None
    }
}

impl Members {
    /// Lets all members need space; whether one of them has ended for want of it.
    pub(crate) async fn lacks_space(&self, place: usize) -> bool {
        if !self.members[place].host.process.runs() {
            return true;
        }
        let other = &self.members[(place + 1) % self.members.len()];
        let put = json!({ "key": FILLER_KEY, "value": "A".repeat(FILLER_BASE64) });
        let put = self
            .http
            .post(format!("{}/v3/kv/put", other.url))
            .json(&put);
        // Whether it is answered is no matter.
        let _ = put.send().await;
        false
    }
}

impl Member {
    /// Day and hour on its wall clock, as its answers say.
    pub(crate) async fn hour(&self, http: &reqwest::Client) -> Option<String> {
        let answer = http
            .get(format!("{}/version", self.url))
            .send()
            .await
            .ok()?;
        let date = answer.headers().get("date")?.to_str().ok()?;
        // Sun, 06 Nov 1994 08:49:37 GMT
        date.get(..date.find(':')?).map(str::to_owned)
    }
}
