#![doc = include_str!("README.md")]

mod caller;
pub mod check;
mod client;
mod command;
mod disk;
mod etcd;
mod history;
mod host;
mod ledgers;
mod nemesis;
mod network;
mod options;
pub mod plan;
mod planted;
mod postgres;
mod process;
mod raft;
mod recorder;
mod run;
mod summary;
mod tracer;
mod wall_clock;
mod watcher;
mod world;

pub use history::{Answer, Ask, Call, Done, Fault, History, Ledger, Recovery, Seen};
pub use history::{Shown, Sight, Told, Turn};
pub use options::{Options, Store};
pub use recorder::Recorder;
pub use run::run;
pub use summary::Summary;
pub use tracer::{Syncs, Tracer};

/// Within which a dead holder's lock is granted again, after its ttl and the last fault, in
/// microseconds: an election, the waits of clients who died in the queue, and a busy machine.
pub const FAILOVER_BOUND_US: u64 = 10_000_000;

/// Within which every gateway grants again after a fault is healed, in microseconds.
pub const RECOVERY_US: u64 = 30_000_000;

/// How long the place of a wait is kept after its poll has ended, in microseconds.
pub const WAITER_SLACK_US: u64 = leasehold_domain::limits::WAITER_SLACK_MS * 1_000;

/// Whether several clients want this lock.
#[must_use]
pub fn is_contended(lock: &str) -> bool {
    lock.starts_with("contended-")
}
