//! Carries out a plan: injects each fault, heals it, and looks whether all gateways grant again.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

use super::Answer;
use super::Ask;
use super::Fault;
use super::RECOVERY_US;
use super::Recorder;
use super::Recovery;
use super::caller::Caller;
use super::caller::Question;
use super::network::Cut;
use super::plan::About;
use super::plan::Kind;
use super::plan::Step;
use super::plan::Target;
use super::process::Syncs;
use super::raft;
use super::world::Servers;
use super::world::World;

/// How much longer a slow disk takes for each sync.
const SLOW_SYNC: Duration = Duration::from_millis(150);
/// Of a hundred packets so many are lost.
const LOSS_PERCENT: u8 = 15;

/// Whoever makes things go wrong.
#[derive(Debug)]
pub(crate) struct Nemesis {
    pub(crate) world: Arc<World>,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) probe: Caller,
}

impl Nemesis {
    /// One fault, from its injection to the recovery after it.
    pub(crate) async fn carry_out(&self, number: usize, step: &Step) -> Result<()> {
        let place = self.place(step).await;
        self.look_for_exits()?;
        let start_us = self.recorder.now_us();
        self.inject(step, place).await?;
        tokio::time::sleep(step.lasts).await;
        self.heal(step.kind, place).await?;
        let end_us = self.recorder.now_us();
        self.recorder.fault(Fault {
            kind: step.kind.to_string(),
            target: format!("{:?} = {place}", step.target),
            start_us,
            end_us,
        });
        self.recovered(number, end_us).await;
        tokio::time::sleep(step.calm).await;
        Ok(())
    }

    /// The host that a step means: of a gateway, or of one of the store's servers.
    async fn place(&self, step: &Step) -> usize {
        let gateways = self.world.gateways.len();
        let anywhere = gateways + self.servers();
        match (step.kind.is_about(), step.target) {
            (About::Gateway, Target::Place(place)) => place % gateways,
            (About::Server, Target::Place(place)) => place % self.servers().max(1),
            (About::Host, Target::Place(place)) => place % anywhere,
            (about, Target::Leader) => match (&self.world.servers, about) {
                (Servers::None, _) => raft::leader(&self.world).await.map_or(0, |leader| leader.0),
                (_, About::Gateway) => 0,
                (_, About::Server) => self.leading_server().await,
                (_, About::Host) => gateways + self.leading_server().await,
            },
        }
    }

    async fn leading_server(&self) -> usize {
        match &self.world.servers {
            Servers::None => 0,
            Servers::Postgres(pair) => pair.primary(),
            Servers::Etcd(etcd) => etcd.leader().await.map_or(0, |leader| leader.0),
        }
    }

    fn servers(&self) -> usize {
        match &self.world.servers {
            Servers::None => 0,
            Servers::Postgres(pair) => pair.servers.len(),
            Servers::Etcd(etcd) => etcd.members.len(),
        }
    }

    async fn inject(&self, step: &Step, place: usize) -> Result<()> {
        let world = &self.world;
        let gateway = &world.gateways[place % world.gateways.len()];
        let network = &world.network;
        match step.kind {
            Kind::Kill => gateway.process.kill().await,
            Kind::Freeze => gateway.process.freeze(),
            Kind::Isolate => network.cut(&Cut::Host(place)),
            Kind::CutOff => network.cut(&Cut::Peers(place)),
            Kind::Split => network.cut(&Cut::Everybody),
            Kind::OneWay => {
                let other = (place + 1) % (world.gateways.len() + self.servers());
                network.cut(&Cut::OneWay(place, other))
            }
            Kind::Loss => network.cut(&Cut::Loss(LOSS_PERCENT)),
            Kind::SlowDisk => gateway.process.hinder(&Syncs::Slow(SLOW_SYNC)),
            Kind::SyncError => gateway.process.hinder(&Syncs::Fail),
            Kind::FullDisk => gateway.disk.fill(),
            Kind::ClockJump => {
                world.set_clock("-2h")?;
                tokio::time::sleep(step.lasts / 2).await;
                world.set_clock("+3h")
            }
            Kind::PowerCut => self.cut_power().await,
            Kind::StoreKill | Kind::StoreFreeze | Kind::StoreSyncError | Kind::Failover => {
                self.hurt_server(step.kind, place).await
            }
        }
    }

    async fn hurt_server(&self, kind: Kind, place: usize) -> Result<()> {
        match (&self.world.servers, kind) {
            (Servers::Postgres(pair), Kind::StoreKill) => pair.servers[place].kill().await,
            (Servers::Postgres(pair), Kind::StoreFreeze) => pair.servers[place].signal("-STOP"),
            (Servers::Postgres(pair), Kind::Failover) => pair.fail_over().await,
            (Servers::Etcd(etcd), Kind::StoreKill) => etcd.members[place].process.kill().await,
            (Servers::Etcd(etcd), Kind::StoreFreeze) => etcd.members[place].process.freeze(),
            (Servers::Etcd(etcd), Kind::StoreSyncError) => {
                etcd.members[place].process.hinder(&Syncs::Fail)
            }
            _ => anyhow::bail!("{kind} is nothing that this store can be put through"),
        }
    }

    async fn heal_server(&self, kind: Kind, place: usize) -> Result<()> {
        match &self.world.servers {
            Servers::None => {}
            Servers::Postgres(pair) => {
                pair.servers[place].signal("-CONT")?;
                pair.servers[place].process.begin()?;
            }
            Servers::Etcd(etcd) => {
                let process = &etcd.members[place].process;
                match kind {
                    Kind::StoreFreeze => process.thaw()?,
                    _ => process.kill().await?,
                }
                process.begin()?;
            }
        }
        Ok(())
    }

    /// All hosts lose their power in one moment, and what was not synced.
    async fn cut_power(&self) -> Result<()> {
        let gateways = &self.world.gateways;
        for gateway in gateways {
            gateway.process.freeze()?;
        }
        for gateway in gateways {
            gateway.disk.cut_power()?;
        }
        for gateway in gateways {
            gateway.process.kill().await?;
            gateway.disk.restore_power()?;
            gateway.process.begin()?;
        }
        Ok(())
    }

    async fn heal(&self, kind: Kind, place: usize) -> Result<()> {
        let gateway = &self.world.gateways[place % self.world.gateways.len()];
        match kind {
            Kind::Kill | Kind::PowerCut | Kind::Failover => {}
            Kind::StoreKill | Kind::StoreFreeze | Kind::StoreSyncError => {
                self.heal_server(kind, place).await?;
            }
            Kind::Freeze => gateway.process.thaw()?,
            Kind::Isolate | Kind::CutOff | Kind::Split | Kind::OneWay | Kind::Loss => {
                self.world.network.heal()?;
            }
            Kind::SlowDisk => gateway.process.unhinder(),
            // Whoever could not write what it had promised must not go on as if it had: it has
            // ended by itself, or says no until it is started again.
            Kind::SyncError => gateway.process.kill().await?,
            Kind::FullDisk => {
                gateway.disk.empty()?;
                gateway.process.kill().await?;
            }
            Kind::ClockJump => self.world.set_clock("+0")?,
        }
        let killed = [Kind::Kill, Kind::SyncError, Kind::FullDisk, Kind::PowerCut];
        if killed.contains(&kind) {
            gateway.process.begin()?;
        }
        self.look_for_exits()
    }

    /// Records who has ended and was not asked to, and starts it again.
    fn look_for_exits(&self) -> Result<()> {
        for gateway in &self.world.gateways {
            if !gateway.process.runs() {
                let at = self.recorder.now_us();
                let who = format!("{} has ended, seen at {at} us", gateway.process.name());
                self.recorder.exit(who);
                gateway.process.begin()?;
            }
        }
        Ok(())
    }

    /// Waits until every gateway has granted again, or should have.
    async fn recovered(&self, number: usize, healed_us: u64) {
        let gateways = 0..self.probe.gateways();
        let probes = gateways.map(|gateway| {
            let probe = self.probe.clone();
            tokio::spawn(async move { granted(&probe, gateway, number, healed_us).await })
        });
        for (gateway, probe) in probes.collect::<Vec<_>>().into_iter().enumerate() {
            self.recorder.recovery(Recovery {
                gateway: u32::try_from(gateway).unwrap_or(u32::MAX),
                healed_us,
                granted_us: probe.await.ok().flatten(),
            });
        }
    }
}

/// When a gateway first grants; none if that takes too long.
async fn granted(probe: &Caller, gateway: usize, number: usize, healed_us: u64) -> Option<u64> {
    let lock = format!("probe-{gateway}-{number}");
    for round in 0.. {
        let key = format!("p{gateway}-{number}-{round}");
        let question = |lease_id, ask| Question {
            gateway,
            lock: &lock,
            key: &key,
            lease_id,
            ask,
        };
        let acquire = Ask::Acquire {
            ttl_ms: 1_000,
            wait_ms: 0,
        };
        let heard = probe.ask(question("", acquire)).await;
        let at_us = probe.recorder().now_us();
        if let (Answer::Ok(_), Some(lease_id)) = (&heard.answer, &heard.lease_id) {
            probe.ask(question(lease_id, Ask::Release)).await;
            return Some(at_us);
        }
        if at_us > healed_us + RECOVERY_US {
            return None;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    None
}
