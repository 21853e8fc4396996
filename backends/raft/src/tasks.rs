//! What a node does by itself: watching its clock, ending what is due, taking snapshots.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use leasehold_domain::Clock;
use openraft::Raft;
use tokio::sync::watch;

use crate::batcher::Queue;
use crate::clock::Stamper;
use crate::entry::Item;
use crate::entry::TypeConfig;
use crate::machine::Machine;
use crate::outbox::Applied;

/// How often the reaper looks for what is due.
const REAP_EVERY: Duration = Duration::from_millis(20);
/// How often the snapshot policy looks.
const SNAPSHOT_LOOK_EVERY: Duration = Duration::from_millis(500);
/// A snapshot waits for the ledger while more events than this are not trimmed, so that it stays
/// small.
const EVENTS_IN_SNAPSHOT_MAX: usize = 100_000;

/// Looks at the clock and proposes a tick when a deadline is due.
pub(crate) async fn reap(
    applied: Arc<Applied>,
    stamper: Arc<Stamper>,
    clock: Arc<dyn Clock>,
    queue: Queue,
    mut closing: watch::Receiver<bool>,
) {
    let mut every = tokio::time::interval(REAP_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = every.tick() => {}
            _ = closing.wait_for(|closing| *closing) => return,
        }
        // Also counts idle time: the cap is for freezes.
        let now = stamper.look(&*clock);
        let due = applied
            .read()
            .state
            .next_deadline()
            .is_some_and(|deadline| deadline <= now);
        if due && let Err(error) = queue.propose(Item::Tick).await {
            tracing::debug!(%error, "tick refused; tried again");
        }
    }
}

/// When to take a snapshot.
#[derive(Debug)]
pub(crate) struct SnapshotPolicy {
    pub(crate) appended: Arc<AtomicU64>,
    pub(crate) bytes: u64,
    pub(crate) commands: u64,
}

/// Takes a snapshot when enough was logged since the last.
pub(crate) async fn take_snapshots(
    raft: Raft<TypeConfig, Machine>,
    applied: Arc<Applied>,
    policy: SnapshotPolicy,
    mut closing: watch::Receiver<bool>,
) {
    let mut every = tokio::time::interval(SNAPSHOT_LOOK_EVERY);
    let (mut bytes_then, mut commands_then) = (0, 0);
    loop {
        tokio::select! {
            _ = every.tick() => {}
            _ = closing.wait_for(|closing| *closing) => return,
        }
        let bytes = policy.appended.load(Ordering::Relaxed);
        let (commands, waiting) = {
            let inner = applied.read();
            (inner.commands, inner.events.len())
        };
        let enough =
            bytes - bytes_then >= policy.bytes || commands - commands_then >= policy.commands;
        if !enough || waiting > EVENTS_IN_SNAPSHOT_MAX {
            continue;
        }
        (bytes_then, commands_then) = (bytes, commands);
        if let Err(error) = raft.trigger().snapshot().await {
            tracing::error!(%error, "snapshot.trigger failed");
        }
    }
}
