//! What to run.

use std::fmt;
use std::path::PathBuf;

use super::plan::Kind;

/// Which store the gateways keep their locks in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Store {
    /// The embedded one: the gateways form a group.
    Raft,
    /// A primary and its synchronous standby.
    Postgres,
    /// Three members.
    Etcd,
}

impl Store {
    /// Hosts besides the gateways'.
    pub(crate) fn servers(self) -> usize {
        match self {
            Self::Raft => 0,
            Self::Postgres => 2,
            Self::Etcd => 3,
        }
    }

    /// Whether all gateways have the same ledger. On etcd each has one of its own.
    pub(crate) fn has_one_ledger(self) -> bool {
        matches!(self, Self::Raft | Self::Postgres)
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Raft => "raft",
            Self::Postgres => "postgres",
            Self::Etcd => "etcd",
        })
    }
}

/// What to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The store.
    pub store: Store,
    /// How many gateways.
    pub gateways: usize,
    /// How long, in seconds; longer if each fault has not come once by then.
    pub seconds: u64,
    /// What the plan and the clients' choices are made from.
    pub seed: u64,
    /// Which faults.
    pub faults: Vec<Kind>,
    /// A bug that the gateways were built with, to see that the checks find it.
    pub plant: Option<String>,
    /// Keeps history, logs and data even if all holds.
    pub keep: bool,
    /// Where that is kept; the system's folder for temporary files if none.
    pub folder: Option<PathBuf>,
}

/// A run that is shorter than this has no time for long faults.
const HURRY_BELOW_S: u64 = 300;

/// Gateways of a run, if nothing else is asked for.
const GATEWAYS: usize = 3;

impl Options {
    /// All faults on a store.
    #[must_use]
    pub fn new(store: Store, seconds: u64, seed: u64) -> Self {
        Self {
            store,
            gateways: GATEWAYS,
            seconds,
            seed,
            faults: Kind::all(store).to_vec(),
            plant: None,
            keep: false,
            folder: None,
        }
    }

    pub(crate) fn hurry(&self) -> bool {
        self.seconds < HURRY_BELOW_S
    }

    /// The command that repeats this run.
    #[must_use]
    pub fn command(&self) -> String {
        let mut command = format!(
            "cargo robustness --store {} --seconds {} --seed {}",
            self.store, self.seconds, self.seed
        );
        if self.gateways != GATEWAYS {
            command.push_str(&format!(" --gateways {}", self.gateways));
        }
        if self.faults != Kind::all(self.store) {
            let faults: Vec<String> = self.faults.iter().map(ToString::to_string).collect();
            command.push_str(&format!(" --faults {}", faults.join(",")));
        }
        if let Some(bug) = &self.plant {
            command.push_str(&format!(" --plant {bug}"));
        }
        command
    }
}
