//! What can go wrong with the servers of the store.

use std::convert::Infallible;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;

use super::Nemesis;
use super::SLOW_SYNC;
use super::jump;
use crate::robustness::host;
use crate::robustness::host::Host;
use crate::robustness::plan::Kind;
use crate::robustness::plan::Step;
use crate::robustness::tracer::Syncs;
use crate::robustness::world::Servers;

/// How long a fault may take to be felt on a busy machine.
const FELT_WITHIN: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(100);

impl Nemesis {
    fn server(&self, place: usize) -> Result<&Host> {
        let hosts = self.world.servers.hosts();
        let host = hosts.get(place).copied();
        host.context("the store has no servers of its own")
    }

    pub(super) async fn hurt_server(&self, step: &Step, place: usize) -> Result<()> {
        let server = self.server(place)?;
        match (step.kind, &self.world.servers) {
            (Kind::StoreKill, _) => server.kill().await,
            (Kind::StoreFreeze, _) => server.freeze(),
            (Kind::StoreSlowDisk, _) => server.hinder(&Syncs::Slow(SLOW_SYNC)),
            (Kind::StoreSyncError, _) => server.hinder(&Syncs::Fail),
            (Kind::StoreFullDisk, _) => server.disk.fill(),
            (Kind::StoreClockJump, _) => jump(server, step).await,
            (Kind::StorePowerCut, servers) => host::cut_power(&servers.hosts()).await,
            (Kind::Failover, Servers::Postgres(pair)) => pair.fail_over().await,
            (kind, _) => bail!("{kind} is nothing that this store can be put through"),
        }
    }

    /// Waits until a server of the store has met what is wrong with it.
    pub(super) async fn until_felt(&self, kind: Kind, place: usize) -> Result<()> {
        let feeling = async {
            while !self.is_felt(kind, place).await? {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            Ok(())
        };
        tokio::time::timeout(FELT_WITHIN, feeling)
            .await
            .with_context(|| format!("server {place} does not feel it"))?
    }

    async fn is_felt(&self, kind: Kind, place: usize) -> Result<bool> {
        let servers = &self.world.servers;
        Ok(match kind {
            Kind::StoreSlowDisk | Kind::StoreSyncError => self.server(place)?.was_hindered(),
            Kind::StoreFullDisk => match servers {
                Servers::None => false,
                Servers::Postgres(pair) => pair.lacks_space(place),
                Servers::Etcd(etcd) => etcd.lacks_space(place).await,
            },
            Kind::StoreClockJump => {
                let other = (place + 1) % servers.hosts().len();
                match (servers.hour(place).await, servers.hour(other).await) {
                    (Some(hour), Some(true_hour)) => hour != true_hour,
                    _ => false,
                }
            }
            // These are certain when they are injected.
            _ => true,
        })
    }

    pub(super) async fn heal_server(&self, kind: Kind, place: usize) -> Result<()> {
        let server = self.server(place)?;
        match kind {
            Kind::StoreFreeze => server.thaw()?,
            Kind::StoreSlowDisk => server.unhinder(),
            // It has ended by itself, or must not go on as if all were written.
            Kind::StoreSyncError => server.kill().await?,
            Kind::StoreFullDisk => server.disk.empty()?,
            Kind::StoreClockJump => server.set_clock(0).await?,
            _ => {}
        }
        server.process.begin()
    }

    /// Starts servers of the store again that have ended, as whoever operates them would: some end
    /// by themselves, a while after what was wrong is healed.
    pub(super) async fn run_servers(&self) -> Result<Infallible> {
        loop {
            for server in self.world.servers.hosts() {
                server.process.begin()?;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}
