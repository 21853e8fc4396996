//! Carries out a plan: injects each fault, heals it, and looks whether all gateways grant again.

mod servers;

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
use super::host;
use super::host::Host;
use super::network::Cut;
use super::plan::About;
use super::plan::Kind;
use super::plan::Step;
use super::plan::Target;
use super::raft;
use super::tracer::Syncs;
use super::world::Servers;
use super::world::World;

/// How much longer a slow disk takes for each sync.
const SLOW_SYNC: Duration = Duration::from_millis(150);
/// How far a wall clock goes back, and is ahead then, in seconds.
const CLOCK_BACK_S: i64 = -2 * 3_600;
const CLOCK_AHEAD_S: i64 = 3 * 3_600;
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
        if step.kind.is_about() == About::Server {
            self.until_felt(step.kind, place).await?;
        }
        self.heal(step.kind, place).await?;
        let end_us = self.recorder.now_us();
        self.recorder.fault(Fault {
            kind: step.kind.to_string(),
            target: format!("{:?} = {place}", step.target),
            start_us,
            end_us,
        });
        tokio::select! {
            () = self.recovered(number, end_us) => {}
            ended = self.run_servers() => match ended? {},
        }
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
        self.world.servers.leader().await.unwrap_or(0)
    }

    fn servers(&self) -> usize {
        self.world.servers.hosts().len()
    }

    async fn inject(&self, step: &Step, place: usize) -> Result<()> {
        let world = &self.world;
        let gateway = &world.gateways[place % world.gateways.len()].host;
        let network = &world.network;
        match step.kind {
            Kind::Kill => gateway.kill().await,
            Kind::Freeze => gateway.freeze(),
            Kind::Isolate => network.cut(&Cut::Host(place)),
            Kind::CutOff => network.cut(&Cut::Peers(place)),
            Kind::Split => network.cut(&Cut::Everybody),
            Kind::OneWay => {
                let other = (place + 1) % (world.gateways.len() + self.servers());
                network.cut(&Cut::OneWay(place, other))
            }
            Kind::Loss => network.cut(&Cut::Loss(LOSS_PERCENT)),
            Kind::SlowDisk => gateway.hinder(&Syncs::Slow(SLOW_SYNC)),
            Kind::SyncError => gateway.hinder(&Syncs::Fail),
            Kind::FullDisk => gateway.disk.fill(),
            Kind::ClockJump => jump(gateway, step).await,
            Kind::PowerCut => {
                let hosts: Vec<&Host> = world.gateways.iter().map(|g| &g.host).collect();
                host::cut_power(&hosts).await
            }
            _ => self.hurt_server(step, place).await,
        }
    }

    async fn heal(&self, kind: Kind, place: usize) -> Result<()> {
        let gateway = &self.world.gateways[place % self.world.gateways.len()].host;
        match kind {
            Kind::Kill | Kind::PowerCut => {}
            Kind::Freeze => gateway.thaw()?,
            Kind::Isolate | Kind::CutOff | Kind::Split | Kind::OneWay | Kind::Loss => {
                self.world.network.heal()?;
            }
            Kind::SlowDisk => gateway.unhinder(),
            // Whoever could not write what it had promised must not go on as if it had: it has
            // ended by itself, or says no until it is started again.
            Kind::SyncError => gateway.kill().await?,
            Kind::FullDisk => {
                gateway.disk.empty()?;
                gateway.kill().await?;
            }
            Kind::ClockJump => gateway.set_clock(0).await?,
            _ => self.heal_server(kind, place).await?,
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
            let process = &gateway.host.process;
            if !process.runs() {
                let at = self.recorder.now_us();
                let who = format!("{} has ended, seen at {at} us", process.name());
                self.recorder.exit(who);
                process.begin()?;
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

/// A wall clock goes back, and then is ahead.
async fn jump(host: &Host, step: &Step) -> Result<()> {
    host.set_clock(CLOCK_BACK_S).await?;
    tokio::time::sleep(step.lasts / 2).await;
    host.set_clock(CLOCK_AHEAD_S).await
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
