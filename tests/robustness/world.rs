//! All that runs in a run: the network, the gateways, and what the nemesis may do to them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;

use super::Options;
use super::Store;
use super::command::demand;
use super::disk;
use super::disk::Disk;
use super::etcd;
use super::host::Host;
use super::network::Network;
use super::postgres;
use super::process::Process;
use super::process::Spec;
use super::raft;
use crate::ADMIN_KEY;
use crate::Api;

/// The port of a gateway's API on its host.
const API_PORT: u16 = 7878;
/// How long a start may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What runs. The order of fields is the order in which it ends: processes, disks, network.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) gateways: Vec<Gateway>,
    pub(crate) servers: Servers,
    pub(crate) network: Network,
}

/// What the store runs besides the gateways.
#[derive(Debug)]
pub(crate) enum Servers {
    /// Nothing.
    None,
    /// A primary and its standby.
    Postgres(Box<postgres::Pair>),
    /// Members of a cluster.
    Etcd(etcd::Members),
}

impl Servers {
    /// The hosts of all of them.
    pub(crate) fn hosts(&self) -> Vec<&Host> {
        match self {
            Self::None => Vec::new(),
            Self::Postgres(pair) => pair.servers.iter().map(|server| &server.host).collect(),
            Self::Etcd(etcd) => etcd.members.iter().map(|member| &member.host).collect(),
        }
    }

    /// Which of them leads now, if one is known to.
    pub(crate) async fn leader(&self) -> Option<usize> {
        match self {
            Self::None => None,
            Self::Postgres(pair) => Some(pair.primary()),
            Self::Etcd(etcd) => etcd.leader().await.map(|leader| leader.0),
        }
    }

    /// Day and hour that one of them sees on its wall clock.
    pub(crate) async fn hour(&self, place: usize) -> Option<String> {
        match self {
            Self::None => None,
            Self::Postgres(pair) => pair.hour(place),
            Self::Etcd(etcd) => etcd.members[place].hour(&etcd.http).await,
        }
    }
}

/// Whether a gateway needs a store of its own before its first start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FirstStore {
    /// It is the first of a cluster.
    Create,
    /// Its store is elsewhere, or it joins a cluster.
    Leave,
}

/// A gateway on a host of its own.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) host: Host,
    pub(crate) url: String,
}

impl World {
    /// Makes the hosts and starts everything.
    pub(crate) async fn start(options: &Options, folder: &Path) -> Result<Self> {
        demand(&["ip", "nft", "nsenter", "strace", "mkfs.ext4", "mount"])?;
        disk::sweep()?;
        let network = Network::new(options.gateways + options.store.servers())?;
        let mut world = Self {
            gateways: Vec::new(),
            servers: Servers::None,
            network,
        };
        match options.store {
            Store::Raft => raft::start(&mut world, options, folder).await?,
            Store::Etcd => etcd::start(&mut world, options, folder).await?,
            Store::Postgres => postgres::start(&mut world, options, folder).await?,
        }
        if let Some(bug) = &options.plant {
            world.plant(bug).await?;
        }
        Ok(world)
    }

    /// Starts every gateway again with a bug, one after the other. They form their group without
    /// it, which it could prevent.
    async fn plant(&self, bug: &str) -> Result<()> {
        for (place, gateway) in self.gateways.iter().enumerate() {
            gateway.host.process.set("LEASEHOLD_PLANTED_BUG", bug);
            gateway.host.kill().await?;
            gateway.host.process.begin()?;
            self.ready(place).await?;
        }
        Ok(())
    }

    /// Starts a gateway on the next host with this configuration.
    pub(crate) fn gateway(&mut self, folder: &Path, more: &str, store: FirstStore) -> Result<()> {
        let place = self.gateways.len();
        let address = self.network.address(place);
        let disk = Disk::new(folder, &format!("disk-{place}"))?;
        let config = folder.join(format!("gateway-{place}.toml"));
        std::fs::write(
            &config,
            format!("[listen]\ninsecure_without_tls = true\n{more}"),
        )?;
        let path = |path: &Path| path.display().to_string();
        if store == FirstStore::Create {
            let created = std::process::Command::new(crate::binary())
                .args(["cluster", "create", "--config"])
                .arg(&config)
                .arg("--data-dir")
                .arg(disk.path().join("data"))
                .output()?;
            ensure!(created.status.success(), "{created:?}");
        }
        let command = vec![
            path(crate::binary()),
            "serve".to_owned(),
            format!("--listen={address}:{API_PORT}"),
            format!("--data-dir={}", path(&disk.path().join("data"))),
            format!("--config={}", path(&config)),
        ];
        let environment = vec![("LEASEHOLD_ADMIN_KEY".to_owned(), ADMIN_KEY.to_owned())];
        let namespace = self.network.namespace(place);
        let process = Process::start(Spec {
            name: format!("gateway {place}"),
            namespace: namespace.clone(),
            command,
            environment,
            log: folder.join(format!("gateway-{place}.log")),
        })?;
        let trace = folder.join(format!("gateway-{place}.trace"));
        self.gateways.push(Gateway {
            host: Host::new(process, disk, namespace, trace),
            url: format!("http://{address}:{API_PORT}"),
        });
        Ok(())
    }

    /// The addresses of all gateways.
    pub(crate) fn urls(&self) -> Arc<[String]> {
        self.gateways.iter().map(|g| g.url.clone()).collect()
    }

    /// An administrator of one gateway.
    pub(crate) fn admin(&self, place: usize) -> Api {
        Api::new(&self.gateways[place].url, Some(ADMIN_KEY))
    }

    /// Waits until a gateway says that it can serve.
    pub(crate) async fn ready(&self, place: usize) -> Result<()> {
        let admin = self.admin(place);
        let becoming = async {
            while !matches!(admin.get("/readyz").await, Ok(answer) if answer.status == 200) {
                let runs = self.gateways[place].host.process.runs();
                ensure!(runs, "gateway {place} ended; see its log");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Ok(())
        };
        tokio::time::timeout(PATIENCE, becoming)
            .await
            .with_context(|| format!("gateway {place} is not ready"))?
    }
}
