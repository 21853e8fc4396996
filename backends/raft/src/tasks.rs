//! What a node does by itself: watching its clock, ending what is due, taking snapshots,
//! reporting its feature level.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use leasehold_backend_api::BackendError;
use leasehold_backend_api::Poison;
use leasehold_domain::FeatureLevel;
use openraft::Raft;
use openraft::async_runtime::WatchReceiver;
use openraft::type_config::TypeConfigExt;
use tokio::sync::watch;

use crate::batcher::Hurry;
use crate::batcher::Queue;
use crate::entry::Item;
use crate::entry::TypeConfig;
use crate::entry::Types;
use crate::machine::Machine;
use crate::outbox::Applied;
use crate::peer::Peers;
use crate::reads::Reads;
use crate::seat::Seats;

/// How often the reaper looks at the clock, and for what is due.
const REAP_EVERY: Duration = Duration::from_millis(50);
/// How often a follower asks the leader how far it is.
const REFRESH_EVERY: Duration = Duration::from_millis(500);
/// How often the keeper looks.
const KEEP_EVERY: Duration = Duration::from_millis(500);
/// How often what peers have acknowledged is kept.
const REMEMBER_EVERY: Duration = Duration::from_secs(5);
/// A snapshot waits for the ledger while more events than this are not trimmed, so that it stays
/// small; but not for ever.
const EVENTS_IN_SNAPSHOT_MAX: usize = 50_000;
/// How often a node tries to report its feature level.
const REPORT_EVERY: Duration = Duration::from_millis(500);
/// So many times more log than usual, and the snapshot is taken with whatever events there are.
const PATIENCE: u64 = 4;

/// Looks at the clock, and proposes a tick when a deadline is due.
// Hidden, for rustdoc 1.95 ends in a panic when it asks which auto traits this has for any `C`.
#[doc(hidden)]
#[derive(Debug)]
pub(crate) struct Reaper<C: Types> {
    pub(crate) seats: Arc<Seats<C>>,
    pub(crate) queue: Queue,
}

impl<C: Types> Reaper<C> {
    /// Runs until the node closes.
    pub(crate) async fn run(self, mut closing: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                biased;
                _ = closing.wait_for(|closing| *closing) => return,
                () = C::sleep(REAP_EVERY) => {}
            }
            // One tick ends a bounded number of leases; go on at once while there are more.
            while self.is_due().await {
                if let Err(error) = self.queue.propose(Item::Tick, Hurry::Now).await {
                    tracing::debug!(%error, "reaper.tick refused; tried again");
                    break;
                }
            }
        }
    }

    /// Only the leader ends anything.
    async fn is_due(&self) -> bool {
        // The look also counts idle time: the cap is for freezes.
        let Some(now) = self.seats.leaders_time().await else {
            return false;
        };
        let deadline = self.seats.applied.read().state.next_deadline();
        deadline.is_some_and(|deadline| deadline <= now)
    }
}

/// Keeps a follower's view new enough for stale reads, until the node closes.
pub(crate) async fn refresh(reads: Arc<Reads<TypeConfig>>, mut closing: watch::Receiver<bool>) {
    let mut every = tokio::time::interval(REFRESH_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = every.tick() => {}
            _ = closing.wait_for(|closing| *closing) => return,
        }
        reads.refresh().await;
    }
}

/// Takes a snapshot when enough was logged since the last, and notices when openraft has stopped.
#[derive(Debug)]
pub(crate) struct Keeper {
    pub(crate) raft: Raft<TypeConfig, Machine>,
    pub(crate) applied: Arc<Applied>,
    pub(crate) poison: Poison,
    /// Bytes appended since the start.
    pub(crate) appended: Arc<AtomicU64>,
    pub(crate) snapshot_bytes: u64,
    pub(crate) snapshot_commands: u64,
}

impl Keeper {
    /// Runs until the node closes.
    pub(crate) async fn run(self, mut closing: watch::Receiver<bool>) {
        let mut every = tokio::time::interval(KEEP_EVERY);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut bytes_then, mut commands_then) = (0, 0);
        loop {
            tokio::select! {
                _ = every.tick() => {}
                _ = closing.wait_for(|closing| *closing) => return,
            }
            if let Err(fatal) = &self.raft.metrics().borrow_watched().running_state {
                // Nothing can be written any more, so the process has to end.
                return self.poison.set(&fatal.to_string());
            }
            let bytes = self.appended.load(Ordering::Relaxed);
            let (commands, waiting) = {
                let inner = self.applied.read();
                (inner.writes.commands(), inner.events.len())
            };
            let enough = |times: u64| {
                bytes - bytes_then >= self.snapshot_bytes.saturating_mul(times)
                    || commands - commands_then >= self.snapshot_commands.saturating_mul(times)
            };
            if enough(PATIENCE) || (enough(1) && waiting <= EVENTS_IN_SNAPSHOT_MAX) {
                (bytes_then, commands_then) = (bytes, commands);
                if let Err(error) = self.raft.trigger().snapshot().await {
                    tracing::error!(%error, "snapshot.trigger failed");
                }
            }
        }
    }
}

/// Keeps what the peers have acknowledged, now and then, and when the node closes.
pub(crate) async fn remember(peers: Arc<Peers>, mut closing: watch::Receiver<bool>) {
    let mut every = tokio::time::interval(REMEMBER_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let closes = tokio::select! {
            _ = every.tick() => false,
            _ = closing.wait_for(|closing| *closing) => true,
        };
        let of = peers.clone();
        let kept = tokio::task::spawn_blocking(move || of.memory().keep()).await;
        if let Err(error) = kept.map_err(io::Error::other).flatten() {
            tracing::warn!(%error, "peers.json cannot be written");
        }
        if closes {
            return;
        }
    }
}

/// Reports to the group which feature level a node supports.
#[derive(Debug)]
pub(crate) struct LevelReporter {
    pub(crate) node: u64,
    pub(crate) supported_level: FeatureLevel,
    /// Whether the node has just founded its group, which then starts with the highest level.
    pub(crate) founds: bool,
    pub(crate) applied: Arc<Applied>,
    pub(crate) queue: Queue,
}

/// The next step of a report.
enum Report {
    /// The node is no member of a group yet.
    NotYet,
    Propose(Item),
    Done,
}

impl LevelReporter {
    /// Runs until the level is in the group's state, or the node closes. Retries while nobody leads.
    pub(crate) async fn run(self, mut closing: watch::Receiver<bool>) {
        let mut every = tokio::time::interval(REPORT_EVERY);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = every.tick() => {}
                _ = closing.wait_for(|closing| *closing) => return,
            }
            match self.next() {
                Report::NotYet => {}
                Report::Propose(item) => {
                    if let Err(error) = self.queue.propose(item, Hurry::Now).await {
                        tracing::debug!(%error, "level.report failed; it is retried");
                    }
                }
                Report::Done => return,
            }
        }
    }

    /// Takes all steps of a founder at once: it leads alone, so what was proposed is applied here. A
    /// failure is left to [`Self::run`].
    pub(crate) async fn found(&self) -> Result<(), BackendError> {
        while let Report::Propose(item) = self.next() {
            self.queue.propose(item, Hurry::Now).await?;
        }
        Ok(())
    }

    fn next(&self) -> Report {
        let inner = self.applied.read();
        let members = inner.membership.membership();
        if members.get_node(&self.node).is_none() {
            return Report::NotYet;
        }
        let (node, level) = (self.node, self.supported_level);
        if inner.supported_level(node) != level {
            return Report::Propose(Item::SupportedLevel { node, level });
        }
        match self.founds && inner.state.level() < level {
            true => Report::Propose(Item::RaiseLevel { to: level }),
            false => Report::Done,
        }
    }
}
