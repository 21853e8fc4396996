//! One run: a plan of faults drawn from a seed, then healing, then a last look.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use openraft::async_runtime::AsyncRuntime;
use openraft::type_config::TypeConfigExt;
use openraft_rt_sim::SimRuntime;
use rand::RngExt;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::client::Client;
use super::client::LOCKS;
use super::history::Call;
use super::history::History;
use super::network::Net;
use super::node::Node;
use super::oracle;
use super::oracle::Wrongs;
use super::running::NODES;
use super::running::Running;
use super::runtime;
use super::runtime::SimTypes;

/// How long faults are made.
const TROUBLE: Duration = Duration::from_secs(20);
/// How long a healed group may take to grant every lock: longer than any lease.
const LIVENESS_WITHIN: Duration = Duration::from_secs(30);
const CLIENTS: u64 = 5;

/// What happened, and what was wrong with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) calls: Vec<Call>,
    pub(crate) faults: Vec<String>,
    pub(crate) leaders: usize,
    pub(crate) wrongs: Wrongs,
}

/// Runs one seed to its end.
pub(crate) fn run(seed: u64) -> Report {
    let mut runtime = SimRuntime::with_seed(seed);
    runtime.block_on(World::new(seed).live())
}

/// All that is simulated.
struct World {
    seed: u64,
    rng: StdRng,
    net: Net,
    nodes: Arc<Vec<Node>>,
    history: History,
    stop: Arc<AtomicBool>,
    faults: Vec<String>,
    leaders: Arc<Mutex<BTreeSet<(u64, u64)>>>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let net = Net::new(StdRng::from_rng(&mut rng));
        Self {
            seed,
            rng,
            net,
            nodes: Arc::new((1..=NODES).map(Node::new).collect()),
            history: History::default(),
            stop: Arc::default(),
            faults: Vec::new(),
            leaders: Arc::default(),
        }
    }

    async fn live(mut self) -> Report {
        for node in self.nodes.iter() {
            node.start(&self.net, self.seed).await;
        }
        if let Some(first) = self.nodes[0].running() {
            first.found().await;
        }
        let watch = watch_leaders(self.nodes.clone(), self.leaders.clone(), self.stop.clone());
        let _detached = SimTypes::spawn(watch);
        let clients: Vec<_> = (0..CLIENTS).map(|id| self.client(id)).collect();
        let clients: Vec<_> = clients
            .into_iter()
            .map(|client| SimTypes::spawn(client.run()))
            .collect();
        while runtime::now() < TROUBLE {
            let pause = self.rng.random_range(100..1_500);
            SimTypes::sleep(Duration::from_millis(pause)).await;
            self.trouble().await;
        }
        self.heal().await;
        self.stop.store(true, Ordering::SeqCst);
        let mut wrongs = Wrongs::new();
        for client in clients {
            if let Err(error) = client.await {
                wrongs.push(error.to_string());
            }
        }
        wrongs.extend(self.grants_again().await);
        wrongs.extend(self.look().await);
        let leaders = self.leaders.lock().unwrap().len();
        Report {
            calls: self.history.calls(),
            faults: self.faults,
            leaders,
            wrongs,
        }
    }

    fn client(&mut self, id: u64) -> Client {
        Client {
            id,
            nodes: self.nodes.clone(),
            history: self.history.clone(),
            rng: StdRng::from_rng(&mut self.rng),
            requests: 0,
            stop: self.stop.clone(),
        }
    }

    /// One fault, or the end of one.
    async fn trouble(&mut self) {
        let place = self.rng.random_range(0..self.nodes.len());
        let what = match self.rng.random_range(0..10) {
            0 | 1 => {
                self.nodes[place].crash(&self.net);
                format!("crash {place}")
            }
            2 => {
                // A power cut: nobody has synced more than it has.
                self.nodes.iter().for_each(|node| node.crash(&self.net));
                "crash all".to_owned()
            }
            3 | 4 => {
                self.start_all().await;
                "start".to_owned()
            }
            5 | 6 => {
                let ways = self.partition();
                let what = format!("cut {ways:?}");
                self.net.cut(ways);
                what
            }
            7 => {
                let lost = *[0, 20, 200].choose(&mut self.rng).unwrap_or(&0);
                let late = *[2_000, 50_000, 300_000]
                    .choose(&mut self.rng)
                    .unwrap_or(&2_000);
                self.net.trouble(lost, late);
                format!("lose {lost} of 1000, late by {late} us")
            }
            8 => {
                if let Some(node) = self.nodes[place].running() {
                    let _ = node.raft.trigger().snapshot().await;
                }
                format!("snapshot {place}")
            }
            _ => {
                self.net.cut(BTreeSet::new());
                "no cut".to_owned()
            }
        };
        self.faults.push(format!("{:?} {what}", runtime::now()));
    }

    /// Ways that are cut: one node alone, in both directions or only one.
    fn partition(&mut self) -> BTreeSet<(u64, u64)> {
        let alone = self.rng.random_range(1..=NODES);
        let (hears, speaks) = match self.rng.random_range(0..4) {
            0 => (true, false),
            1 => (false, true),
            _ => (false, false),
        };
        let others = (1..=NODES).filter(|other| *other != alone);
        let mut ways = BTreeSet::new();
        for other in others {
            if !speaks {
                ways.insert((alone, other));
            }
            if !hears {
                ways.insert((other, alone));
            }
        }
        ways
    }

    async fn start_all(&mut self) {
        for node in self.nodes.iter() {
            if node.running().is_none() {
                node.start(&self.net, self.seed).await;
            }
        }
    }

    async fn heal(&mut self) {
        self.net.cut(BTreeSet::new());
        self.net.trouble(0, 2_000);
        self.start_all().await;
    }

    /// Every lock is granted to somebody again.
    async fn grants_again(&mut self) -> Wrongs {
        let mut client = self.client(CLIENTS);
        let mut got = BTreeSet::new();
        let grants = async {
            while got.len() < LOCKS {
                for number in 0..LOCKS {
                    if client.cycle(number).await {
                        got.insert(number);
                    }
                }
            }
        };
        let _ = SimTypes::timeout(LIVENESS_WITHIN, grants).await;
        oracle::judge_liveness(&got, LOCKS)
    }

    /// The last look: all nodes tell of the same, and it is what the clients saw.
    async fn look(&self) -> Wrongs {
        let running: Vec<Arc<Running>> = self.nodes.iter().filter_map(Node::running).collect();
        let mut wrongs = Wrongs::new();
        let mut first = None;
        let reached = async {
            // Nothing is due after the longest lease, so the log comes to rest.
            loop {
                let indexes = running.iter().map(|node| node.applied.index());
                let indexes: BTreeSet<u64> = indexes.collect();
                if indexes.len() == 1 {
                    return;
                }
                SimTypes::sleep(Duration::from_millis(20)).await;
            }
        };
        if SimTypes::timeout(LIVENESS_WITHIN, reached).await.is_err() {
            wrongs.push("the nodes do not come to the same entry".to_owned());
        }
        let calls = self.history.calls();
        for node in &running {
            let inner = node.applied.read();
            let seen = (
                node.applied.index(),
                inner.state.digest(),
                inner.events.clone(),
            );
            let events: Vec<_> = inner.events.iter().cloned().collect();
            drop(inner);
            match &first {
                None => {
                    wrongs.extend(oracle::judge_history(&calls));
                    wrongs.extend(oracle::judge_events(&events, &calls));
                    wrongs.extend(oracle::judge_order(&events, &calls));
                    first = Some(seen);
                }
                Some(first) if *first != seen => {
                    wrongs.push(format!("node {} differs from the first", node.id));
                }
                Some(_) => {}
            }
        }
        wrongs
    }
}

/// Notes who has led, in which term.
async fn watch_leaders(
    nodes: Arc<Vec<Node>>,
    leaders: Arc<Mutex<BTreeSet<(u64, u64)>>>,
    stop: Arc<AtomicBool>,
) {
    while !stop.load(Ordering::SeqCst) {
        for node in nodes.iter().filter_map(Node::running) {
            if node.leads() {
                let term = node.term();
                leaders.lock().unwrap().insert((term, node.id));
            }
        }
        SimTypes::sleep(Duration::from_millis(50)).await;
    }
}
