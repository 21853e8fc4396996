//! Reads: linearizable ones by the leader's read index, stale ones that say how stale.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use leasehold_backend_api::BackendError;
use leasehold_backend_api::ErrorKind;
use leasehold_domain::Millis;
use leasehold_machine::PlantedBug;
use openraft::raft::ReadPolicy;
use openraft::type_config::TypeConfigExt;

use crate::entry::Types;
use crate::error;
use crate::peer::Calls;
use crate::peer::Request;
use crate::peer::Response;
use crate::seat::Seat;
use crate::seat::Seats;

/// Makes sure that what this node shows is new enough.
// Hidden, for rustdoc 1.95 ends in a panic when it asks which auto traits this has for any `C`.
#[doc(hidden)]
#[derive(Debug)]
pub(crate) struct Reads<C: Types> {
    pub(crate) seats: Arc<Seats<C>>,
    pub(crate) peers: Option<Arc<dyn Calls>>,
    pub(crate) proof: Mutex<Option<Proof>>,
}

/// Whoever has applied `index` shows all that was answered anywhere before `asked`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Proof {
    /// By this node's monotonic clock.
    asked: Duration,
    index: u64,
}

impl<C: Types> Reads<C> {
    /// The leader's answer to a follower: the entry to have applied, and the leader's time. None
    /// if this node cannot say that it leads.
    pub(crate) async fn lead(&self) -> Option<(u64, Millis)> {
        let Seat::Leads(term) = self.seats.find() else {
            return None;
        };
        let linearizer = self.seats.raft.get_read_linearizer(ReadPolicy::ReadIndex);
        let index = linearizer.await.ok()?.read_log_id().index();
        let now = self.seats.time(term).await?;
        Some((index, now))
    }

    /// Answers when this node has applied all that was answered before the call; with the leader's
    /// time, which is the one to show.
    pub(crate) async fn linearize(&self) -> Result<Millis, BackendError> {
        if PlantedBug::LocalAnswer.is_planted() && self.has_caught_up() {
            return Ok(self.seats.shown_time());
        }
        let mut patience = None;
        loop {
            let failed = match self.seats.find() {
                Seat::Leads(_) => match self.as_leader().await {
                    Ok(now) => return Ok(now),
                    Err(error) if error.kind == ErrorKind::Closed => return Err(error),
                    Err(error) => error,
                },
                Seat::Follows { node, address } => match self.as_follower(node, &address).await {
                    Ok(now) => return Ok(now),
                    Err(error) => error,
                },
                Seat::Empty => self.seats.nobody_leads(),
            };
            let patience = patience.get_or_insert_with(|| self.seats.patience());
            if !patience.again().await {
                return Err(failed);
            }
        }
    }

    async fn as_leader(&self) -> Result<Millis, BackendError> {
        let raft = &self.seats.raft;
        let asked = self.seats.clock.monotonic();
        match raft.ensure_linearizable(ReadPolicy::ReadIndex).await {
            Ok(read) => {
                if self.peers.is_some() {
                    self.prove(asked, read.index());
                }
                Ok(self.seats.shown_time())
            }
            Err(raft_error) => Err(error::read_error(&raft_error)),
        }
    }

    async fn as_follower(&self, node: u64, address: &str) -> Result<Millis, BackendError> {
        let unavailable =
            |detail: String| BackendError::without_effect(ErrorKind::Unavailable, detail);
        let Some(peers) = &self.peers else {
            return Err(self.seats.nobody_leads());
        };
        let asked = self.seats.clock.monotonic();
        let answer = peers.call(Some(node), address, &Request::ReadIndex, self.seats.window);
        match answer.await {
            Ok(Response::ReadIndex { index, now }) => {
                self.prove(asked, index);
                self.reach(index).await?;
                Ok(now)
            }
            Ok(_) => Err(unavailable(format!("node {node} does not lead"))),
            Err(error) => Err(unavailable(error.to_string())),
        }
    }

    /// Whether this node has applied what its newest proof demands.
    fn has_caught_up(&self) -> bool {
        let proof = *self.proof.lock().unwrap_or_else(PoisonError::into_inner);
        proof.is_some_and(|proof| self.seats.applied.index() >= proof.index)
    }

    /// Waits until this node has applied the entry.
    pub(crate) async fn reach(&self, index: u64) -> Result<(), BackendError> {
        let applied = &self.seats.applied;
        if applied.index() >= index {
            return Ok(());
        }
        let reached = C::timeout(self.seats.window, applied.reach(index)).await;
        reached.map_err(|_| {
            let detail = format!("entry {index} has not come here in time");
            BackendError::without_effect(ErrorKind::Unavailable, detail)
        })
    }

    /// Remembers the newest proof.
    pub(crate) fn prove(&self, asked: Duration, index: u64) {
        let mut proof = self.proof.lock().unwrap_or_else(PoisonError::into_inner);
        if proof.is_none_or(|old| old.asked <= asked) {
            *proof = Some(Proof { asked, index });
        }
    }

    /// Time to show, and how old what is shown may be, in milliseconds; at most `max_age_ms`.
    pub(crate) async fn stale(&self, max_age_ms: u64) -> Result<(Millis, u64), BackendError> {
        // A group of one applies its own log at once: what it has applied is not stale.
        if self.seats.is_alone() {
            return Ok((self.seats.shown_time(), 0));
        }
        let proof = *self.proof.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(proof) = proof {
            let age = self.seats.clock.monotonic().saturating_sub(proof.asked);
            let age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
            if age_ms <= max_age_ms && self.reach(proof.index).await.is_ok() {
                return Ok((self.seats.shown_time(), age_ms));
            }
        }
        self.linearize().await.map(|now| (now, 0))
    }

    /// Keeps what a follower shows new enough, also while nobody asks it.
    pub(crate) async fn refresh(&self) {
        if let Seat::Follows { node, address } = self.seats.find()
            && let Err(error) = self.as_follower(node, &address).await
        {
            tracing::debug!(%error, "reads.refresh failed");
        }
    }
}
