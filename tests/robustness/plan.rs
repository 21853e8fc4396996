//! What will go wrong, and when: made from a seed, before anything runs.

use std::fmt;
use std::time::Duration;

use anyhow::Result;
use anyhow::ensure;
use rand::RngExt;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde::Serialize;

use super::Store;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A gateway is killed, and started again.
    Kill,
    /// A gateway is frozen (SIGSTOP), and goes on.
    Freeze,
    /// A host is cut off from everybody, clients included.
    Isolate,
    /// A host is cut off from the other hosts; clients reach it.
    CutOff,
    /// All hosts are cut off from each other.
    Split,
    /// One host does not reach another, but the other way it works.
    OneWay,
    /// Packets are lost.
    Loss,
    /// Every sync of a gateway's disk is slow.
    SlowDisk,
    /// Every sync of a gateway's disk fails.
    SyncError,
    /// A gateway's disk is full.
    FullDisk,
    /// A gateway's wall clock jumps forth and back.
    ClockJump,
    /// All power fails at once: what was not synced is gone.
    PowerCut,
    /// A process of the store is killed, and started again.
    StoreKill,
    /// A process of the store is frozen, and goes on.
    StoreFreeze,
    /// Every sync of a server of the store is slow.
    StoreSlowDisk,
    /// Every sync of a server of the store fails.
    StoreSyncError,
    /// The disk of a server of the store is full.
    StoreFullDisk,
    /// The wall clock of a server of the store jumps back and forth.
    StoreClockJump,
    /// All servers of the store lose their power at once: what was not synced is gone.
    StorePowerCut,
    /// The store's primary is lost for good, and its standby takes over.
    Failover,
}

impl Kind {
    /// All that a store can be put through.
    #[must_use]
    pub fn all(store: Store) -> &'static [Self] {
        match store {
            Store::Raft => &[
                Self::Kill,
                Self::Freeze,
                Self::Isolate,
                Self::CutOff,
                Self::Split,
                Self::OneWay,
                Self::Loss,
                Self::SlowDisk,
                Self::SyncError,
                Self::FullDisk,
                Self::ClockJump,
                Self::PowerCut,
            ],
            // The gateways' own disks have their ledgers.
            Store::Postgres => &[
                Self::Kill,
                Self::Freeze,
                Self::Isolate,
                Self::CutOff,
                Self::Split,
                Self::OneWay,
                Self::Loss,
                Self::SlowDisk,
                Self::ClockJump,
                Self::StoreKill,
                Self::StoreFreeze,
                Self::StoreSlowDisk,
                Self::StoreSyncError,
                Self::StoreFullDisk,
                Self::StoreClockJump,
                Self::StorePowerCut,
                Self::Failover,
            ],
            Store::Etcd => &[
                Self::Kill,
                Self::Freeze,
                Self::Isolate,
                Self::CutOff,
                Self::Split,
                Self::OneWay,
                Self::Loss,
                Self::SlowDisk,
                Self::ClockJump,
                Self::StoreKill,
                Self::StoreFreeze,
                Self::StoreSlowDisk,
                Self::StoreSyncError,
                Self::StoreFullDisk,
                Self::StoreClockJump,
                Self::StorePowerCut,
            ],
        }
    }
}

/// What kind of place a fault is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum About {
    /// A gateway's process or disk.
    Gateway,
    /// A server of the store.
    Server,
    /// A host of either.
    Host,
}

impl Kind {
    pub(crate) fn is_about(self) -> About {
        match self {
            Self::Kill
            | Self::Freeze
            | Self::SlowDisk
            | Self::SyncError
            | Self::FullDisk
            | Self::ClockJump
            | Self::PowerCut => About::Gateway,
            Self::StoreKill
            | Self::StoreFreeze
            | Self::StoreSlowDisk
            | Self::StoreSyncError
            | Self::StoreFullDisk
            | Self::StoreClockJump
            | Self::StorePowerCut
            | Self::Failover => About::Server,
            Self::Isolate | Self::CutOff | Self::Split | Self::OneWay | Self::Loss => About::Host,
        }
    }
}

impl Kind {
    /// Whether a run, however short, has it at the leader.
    fn begins_with_leader(self) -> bool {
        matches!(
            self,
            Self::StoreSyncError | Self::StoreFullDisk | Self::StoreClockJump
        )
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = clap::ValueEnum::to_possible_value(self);
        f.write_str(value.as_ref().map_or("", |value| value.get_name()))
    }
}

/// On whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Target {
    /// Whoever leads when the time has come.
    Leader,
    /// This one, counted around.
    Place(usize),
}

/// One fault of a plan.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    /// What goes wrong.
    pub kind: Kind,
    /// On whom.
    pub target: Target,
    /// For how long.
    pub lasts: Duration,
    /// How long nothing else goes wrong after the recovery.
    pub calm: Duration,
}

/// A plan of faults.
///
/// Each kind comes at least once; then again, in another order, for as long as a run lasts.
///
/// # Errors
/// There is nothing to plan.
pub fn plan(seed: u64, kinds: &[Kind], rounds: usize, hurry: bool) -> Result<Vec<Step>> {
    ensure!(!kinds.is_empty(), "no faults are planned");
    let mut random = StdRng::seed_from_u64(seed);
    let mut steps = Vec::new();
    let most = if hurry { (2_000, 500) } else { (8_000, 6_000) };
    for round in 0..rounds {
        let mut order = kinds.to_vec();
        order.shuffle(&mut random);
        for kind in order {
            let leader = random.random_bool(0.5);
            let target = match leader || kind.begins_with_leader() && round == 0 {
                true => Target::Leader,
                false => Target::Place(random.random_range(0..60)),
            };
            steps.push(Step {
                kind,
                target,
                lasts: Duration::from_millis(random.random_range(1_200..=most.0)),
                calm: Duration::from_millis(random.random_range(200..=most.1)),
            });
        }
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_makes_one_plan_with_every_kind_in_it() {
        let kinds = Kind::all(Store::Raft);
        let make = |seed| {
            let steps = plan(seed, kinds, 2, true).expect("a plan");
            format!("{steps:?}")
        };
        assert_eq!(make(7), make(7));
        assert_ne!(make(7), make(8));
        let steps = plan(7, kinds, 1, true).expect("a plan");
        for kind in kinds {
            assert!(steps.iter().any(|step| step.kind == *kind), "{kind}");
        }
        assert!(plan(7, &[], 1, true).is_err());
    }

    #[test]
    fn a_short_run_has_the_leader_lose_its_disk_and_clock() {
        for seed in 0..20 {
            let steps = plan(seed, Kind::all(Store::Etcd), 1, true).expect("a plan");
            let begins = steps.iter().filter(|step| step.kind.begins_with_leader());
            let targets: Vec<Target> = begins.map(|step| step.target).collect();
            assert_eq!(targets, [Target::Leader; 3]);
        }
    }
}
