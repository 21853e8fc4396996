//! The front batcher: all requests that wait go into one log entry, one entry at a time.
//!
//! While an entry is being synced the next requests gather, so the batch grows with the load and a
//! lone request never waits for company. The exception is an acquire that can only enter a queue:
//! nobody waits for that write, and a release that came while it was being synced would have to
//! wait for it. So it is patient, and goes along with the next request that is not: a hand-off of a
//! contended lock costs one write, and not two. On a node that does not lead, the same batch goes
//! to the leader instead, where it waits among the leader's own. Patient requests go there beside
//! the others, for it is there that they find company; who leaves a queue waits for them.

mod gathered;
mod queue;

use std::sync::Arc;

use leasehold_backend_api::BackendError;
use leasehold_backend_api::ErrorKind;
use leasehold_backend_api::Poison;
use openraft::errors::ClientWriteError;
use openraft::type_config::TypeConfigExt;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::sync::watch;

use self::gathered::Gathered;
use self::gathered::Gathering;
pub(crate) use self::queue::Hurry;
pub(crate) use self::queue::Job;
pub(crate) use self::queue::Queue;
use self::queue::Reply;
use crate::entry::Item;
use crate::entry::Payload;
use crate::entry::Proposal;
use crate::entry::Term;
use crate::entry::Types;
use crate::error;
use crate::peer::Answered;
use crate::peer::CallError;
use crate::peer::Calls;
use crate::peer::Request;
use crate::peer::Response;
use crate::reads::Reads;
use crate::seat::Seat;
use crate::seat::Seats;

/// Makes entries of requests.
// Hidden, for rustdoc 1.95 ends in a panic when it asks which auto traits this has for any `C`.
#[doc(hidden)]
#[derive(Debug)]
pub(crate) struct Batcher<C: Types> {
    pub(crate) seats: Arc<Seats<C>>,
    pub(crate) reads: Arc<Reads<C>>,
    pub(crate) peers: Option<Arc<dyn Calls>>,
    pub(crate) poison: Poison,
    pub(crate) closing: watch::Receiver<bool>,
    pub(crate) commands_max: usize,
}

impl<C: Types> Batcher<C> {
    /// Runs until the queue is closed and empty.
    pub(crate) async fn run(self, mut queue: mpsc::Receiver<Job>) {
        let this = Arc::new(self);
        let mut left_over = None;
        // Ends with the one patient batch that is on its way to the leader.
        let mut beside: Option<oneshot::Receiver<()>> = None;
        loop {
            let first = match left_over.take() {
                Some(job) => job,
                None => match queue.recv().await {
                    Some(job) => job,
                    None => return,
                },
            };
            beside = beside.and_then(still_pending);
            let may_go_beside =
                beside.is_none() && matches!(this.seats.find(), Seat::Follows { .. });
            let mut gathering = Gathering::new(first, this.commands_max);
            left_over = gathering.gather::<C>(&mut queue, !may_go_beside).await;
            let goes_beside = may_go_beside && gathering.is_patient();
            let waits_for_it = gathering.cancels() || gathering.drains();
            if let Some(beside) = beside.take_if(|_| waits_for_it) {
                let _ = beside.await;
            }
            let (entry, drained) = gathering.finish();
            match entry.unless_empty() {
                Some(entry) if goes_beside => beside = Some(this.clone().propose_beside(entry)),
                Some(entry) => this.propose(entry).await,
                None => {}
            }
            if let Some(drained) = drained {
                let _ = drained.send(());
            }
        }
    }

    /// Has the leader write the entry while others go on; answers what ends with it.
    fn propose_beside(self: Arc<Self>, entry: Gathered) -> oneshot::Receiver<()> {
        let (done, ends) = oneshot::channel();
        let _detached = C::spawn(async move {
            self.propose(entry).await;
            let _ = done.send(());
        });
        ends
    }

    /// Writes the entry, or has the leader do so.
    async fn propose(&self, entry: Gathered) {
        let Some(mut left) = self.attempt(entry).await else {
            return;
        };
        let mut patience = self.seats.patience();
        while patience.again().await && !self.is_ending() {
            match self.attempt(left).await {
                Some(still) => left = still,
                None => return,
            }
        }
        // A closing or poisoned store has no leader either; the store's state is the cause.
        left.refuse(&match self.is_ending() {
            true => error::closed(),
            false => self.seats.nobody_leads(),
        });
    }

    /// Whether it is no use to wait for a leader.
    fn is_ending(&self) -> bool {
        *self.closing.borrow() || self.poison.reason().is_some()
    }

    /// One attempt; what certainly no leader has taken is left.
    async fn attempt(&self, entry: Gathered) -> Option<Gathered> {
        match self.seats.find() {
            Seat::Leads(term) => self.write(entry, term).await,
            Seat::Follows { node, address } => {
                let own = entry.turn_away()?;
                match &self.peers {
                    Some(peers) => self.forward(own, &**peers, node, &address).await,
                    None => Some(own),
                }
            }
            Seat::Empty => entry.turn_away(),
        }
    }

    async fn write(&self, entry: Gathered, term: Term) -> Option<Gathered> {
        // Stamped before it is proposed: a lease that is granted by it begins no later than the
        // holder's answer, and was asked for before. And proposed in the term in which it was
        // stamped, or not at all: leaders between may have counted otherwise.
        let Some(now) = self.seats.time(term).await else {
            return Some(entry);
        };
        let asked = self.seats.clock.monotonic();
        let proposal = Arc::new(Proposal {
            level: self.seats.applied.read().state.level(),
            now,
            wall: self.seats.clock.wall(),
            items: entry.items,
        });
        let (responder, answered) = C::responder();
        let write = self.seats.raft.write(Payload(proposal.clone()));
        if let Err(fatal) = write.with_leader(term).responder(responder).await {
            Gathered::fail(entry.replies, &error::stopped(&fatal));
            return None;
        }
        let written = tokio::select! {
            biased;
            written = answered => written.ok(),
            // openraft may never answer a proposal whose append failed.
            _ = self.poison.stopped() => None,
            () = self.overdue() => {
                Gathered::fail(entry.replies, &error::undecided(self.seats.window));
                return None;
            }
        };
        match written {
            Some(Ok(written)) => {
                if self.peers.is_some() {
                    self.reads.prove(asked, written.log_id.index);
                }
                for (reply, answer) in entry.replies.into_iter().zip(written.data) {
                    reply.send(Ok(answer));
                }
                None
            }
            Some(Err(ClientWriteError::ForwardToLeader(_))) => Some(Gathered {
                items: Arc::unwrap_or_clone(proposal).items,
                replies: entry.replies,
            }),
            Some(Err(refused)) => {
                Gathered::fail(entry.replies, &error::write_error(&refused));
                None
            }
            None => {
                Gathered::fail(entry.replies, &error::lost());
                None
            }
        }
    }

    /// Resolves when a group should have agreed. A node alone needs no one's agreement.
    async fn overdue(&self) {
        match self.peers {
            Some(_) => C::sleep(self.seats.window).await,
            None => std::future::pending().await,
        }
    }

    /// Has the leader propose it.
    async fn forward(
        &self,
        entry: Gathered,
        peers: &dyn Calls,
        node: u64,
        address: &str,
    ) -> Option<Gathered> {
        let asked = self.seats.clock.monotonic();
        let request = Request::Forward(entry.items);
        let answer = peers.call(Some(node), address, &request, self.seats.window);
        let answer = answer.await;
        let Request::Forward(items) = request else {
            return None;
        };
        let unknown = match answer {
            Ok(Response::Forwarded { answers, index }) if answers.len() == items.len() => {
                self.reads.prove(asked, index);
                return self.settle(items, entry.replies, answers, index);
            }
            Ok(Response::NotLeader) | Err(CallError::Unsent(_)) => {
                return Some(Gathered {
                    items,
                    replies: entry.replies,
                });
            }
            Ok(Response::Failed(detail)) => detail,
            Ok(_) => "an answer to something else".to_owned(),
            Err(CallError::Lost(detail)) => detail,
        };
        let detail = format!("sent to the leader, node {node}: {unknown}");
        let error = BackendError::unknown(ErrorKind::Unavailable, detail);
        Gathered::fail(entry.replies, &error);
        None
    }
}

/// What has not ended yet.
fn still_pending(mut ends: oneshot::Receiver<()>) -> Option<oneshot::Receiver<()>> {
    let pending = matches!(ends.try_recv(), Err(oneshot::error::TryRecvError::Empty));
    pending.then_some(ends)
}

impl<C: Types> Batcher<C> {
    /// Passes the leader's answers on, once this node has applied what they tell: whoever asked it
    /// finds it here. What the leader did not take is left.
    fn settle(
        &self,
        items: Vec<Item>,
        replies: Vec<Reply>,
        answers: Vec<Answered>,
        index: u64,
    ) -> Option<Gathered> {
        let mut left = Gathered::default();
        let mut answered = Vec::with_capacity(answers.len());
        for ((item, reply), answer) in items.into_iter().zip(replies).zip(answers) {
            match answer {
                Answered::Done(answer) => answered.push((reply, Ok(answer))),
                Answered::Refused(refusal) => answered.push((reply, Err(refusal.into()))),
                Answered::NotLeader => left.push(item, reply),
            }
        }
        // Beside: the next batch need not wait for it.
        let reads = self.reads.clone();
        let _detached = C::spawn(async move {
            if let Err(error) = reads.reach(index).await {
                // It is durable all the same.
                tracing::warn!(%error, "raft.forward answered before it was applied here");
            }
            for (reply, answer) in answered {
                reply.send(answer);
            }
        });
        left.unless_empty()
    }
}
