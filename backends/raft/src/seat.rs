//! Who leads, as far as this node knows, and what time it is for the leader.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use leasehold_backend_api::BackendError;
use leasehold_backend_api::ErrorKind;
use leasehold_domain::Clock;
use leasehold_domain::Millis;
use openraft::Raft;
use openraft::alias::SleepOf;
use openraft::alias::WatchReceiverOf;
use openraft::async_runtime::WatchReceiver;
use openraft::metrics::RaftServerMetrics;
use openraft::type_config::TypeConfigExt;

use crate::clock::Stamper;
use crate::entry::Term;
use crate::entry::Types;
use crate::machine::Machine;
use crate::outbox::Applied;

/// How soon to look again for a leader when nothing tells that it has changed.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Where this node sits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seat {
    /// It leads, in this term.
    Leads(Term),
    /// Another leads.
    Follows {
        /// Its number.
        node: u64,
        /// Where it listens to peers.
        address: String,
    },
    /// Nobody is known to lead.
    Empty,
}

/// Finds the leader.
// Hidden, for rustdoc 1.95 ends in a panic when it asks which auto traits this has for any `C`.
#[doc(hidden)]
#[derive(Debug)]
pub(crate) struct Seats<C: Types> {
    pub(crate) raft: Raft<C, Machine>,
    pub(crate) applied: Arc<Applied>,
    pub(crate) stamper: Stamper,
    pub(crate) clock: Arc<dyn Clock>,
    /// How long a request waits for a leader, and for the group to agree.
    pub(crate) window: Duration,
}

impl<C: Types> Seats<C> {
    /// Who leads now.
    pub(crate) fn find(&self) -> Seat {
        match self.raft.as_leader() {
            Ok(leader) if self.raft.is_leader() => Seat::Leads(leader.to_committed_leader_id()),
            // It led before it was restarted: its vote says so, but nobody has elected it again.
            Ok(_) => Seat::Empty,
            Err(to) => match (to.leader_id, to.leader_node) {
                (Some(node), Some(at)) => Seat::Follows {
                    node,
                    address: at.addr,
                },
                _ => Seat::Empty,
            },
        }
    }

    /// Whether the group has one voter, and this node is it: it agrees with itself at once.
    pub(crate) fn is_alone(&self) -> bool {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let mut voters = metrics.membership_config.voter_ids();
        voters.next() == Some(metrics.id) && voters.next().is_none()
    }

    /// The leader's logical time in `term`, if this node leads in it. At the first look in a term
    /// it counts on from what all terms before have left, so it waits until that is applied.
    pub(crate) async fn time(&self, term: Term) -> Option<Millis> {
        if let Some(now) = self.stamper.look(term, &*self.clock) {
            return Some(now);
        }
        let wait = self.raft.wait(Some(self.window));
        let begun = wait.metrics(
            |metrics| {
                let applied = metrics.last_applied.as_ref();
                applied.is_some_and(|id| *id.committed_leader_id() >= term)
            },
            "the leader's first entry",
        );
        begun.await.ok()?;
        let base = {
            let inner = self.applied.read();
            let last = inner.last_applied?;
            // Another leader has been here meanwhile.
            if *last.committed_leader_id() != term {
                return None;
            }
            inner.state.now()
        };
        self.stamper.count_from(term, base, &*self.clock);
        self.stamper.look(term, &*self.clock)
    }

    /// The same, if this node leads.
    pub(crate) async fn leaders_time(&self) -> Option<Millis> {
        match self.find() {
            Seat::Leads(term) => self.time(term).await,
            Seat::Follows { .. } | Seat::Empty => None,
        }
    }

    /// Logical time for a view: the leader's, or that of the last entry applied.
    pub(crate) fn shown_time(&self) -> Millis {
        let counted = match self.find() {
            Seat::Leads(term) => self.stamper.look(term, &*self.clock),
            Seat::Follows { .. } | Seat::Empty => None,
        };
        counted.unwrap_or_else(|| self.applied.read().state.now())
    }

    /// Patience for one request.
    pub(crate) fn patience(&self) -> Patience<C> {
        Patience {
            over: Box::pin(C::sleep(self.window)),
            metrics: self.raft.server_metrics(),
        }
    }

    /// Why a request was not taken by any leader.
    pub(crate) fn nobody_leads(&self) -> BackendError {
        let detail = format!("no leader has taken it within {:?}", self.window);
        BackendError::without_effect(ErrorKind::Unavailable, detail)
    }
}

/// How long a request still waits for a leader.
// Hidden, for rustdoc 1.95 ends in a panic when it asks which auto traits this has for any `C`.
#[doc(hidden)]
pub(crate) struct Patience<C: Types> {
    over: Pin<Box<SleepOf<C>>>,
    /// One receiver for all looks: a new one takes what it has not seen for a change, and would
    /// never wait.
    metrics: WatchReceiverOf<C, RaftServerMetrics<C>>,
}

impl<C: Types> Patience<C> {
    /// Waits until the leader may have changed; false if patience has ended, or there is no use.
    pub(crate) async fn again(&mut self) -> bool {
        let changed = C::timeout(LOOK_AGAIN, self.metrics.changed());
        tokio::select! {
            biased;
            () = &mut self.over => false,
            changed = changed => match changed {
                Ok(Ok(())) | Err(_) => true,
                // The core has stopped, and tells of no leader any more.
                Ok(Err(_)) => false,
            },
        }
    }
}
