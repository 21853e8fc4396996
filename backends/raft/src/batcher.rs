//! The front batcher: all requests that wait go into one log entry, one entry at a time.
//!
//! While an entry is being synced the next requests gather, so the batch grows with the load and a
//! lone request never waits for company. On a node that does not lead, the same batch goes to the
//! leader instead, where it waits among the leader's own.

use std::sync::Arc;

use leasehold_backend_api::BackendError;
use leasehold_backend_api::ErrorKind;
use leasehold_domain::limits;
use openraft::errors::ClientWriteError;
use openraft::impls::ProgressResponder;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::sync::watch;

use crate::entry::Answer;
use crate::entry::Item;
use crate::entry::Payload;
use crate::entry::Proposal;
use crate::entry::Term;
use crate::error;
use crate::log::Poison;
use crate::peer::Answered;
use crate::peer::CallError;
use crate::peer::Peers;
use crate::peer::Request;
use crate::peer::Response;
use crate::reads::Reads;
use crate::seat::Seat;
use crate::seat::Seats;

/// Bytes of one entry, unless a single request is larger.
const ENTRY_BYTES_MAX: usize = 1_024 * 1_024;
/// Bytes of one request: a module, with room to spare.
const REQUEST_BYTES_MAX: usize = 2 * limits::MODULE_BYTES_MAX;

/// One request, and who waits for it.
#[derive(Debug)]
pub(crate) struct Job {
    item: Item,
    /// What it takes in the log.
    bytes: usize,
    reply: Reply,
}

/// Where requests queue up.
#[derive(Debug, Clone)]
pub(crate) struct Queue(mpsc::Sender<Job>);

impl Queue {
    pub(crate) fn new(queue_max: usize) -> (Self, mpsc::Receiver<Job>) {
        let (sender, receiver) = mpsc::channel(queue_max);
        (Self(sender), receiver)
    }

    /// Proposes one item, and waits until it is applied.
    pub(crate) async fn propose(&self, item: Item) -> Result<Answer, BackendError> {
        // Measured here and not by the batcher, of which there is one.
        let bytes = postcard::experimental::serialized_size(&item).unwrap_or(usize::MAX);
        if bytes > REQUEST_BYTES_MAX || item.weight() > limits::LEASES_PER_RENEWAL_MAX {
            return Err(BackendError::without_effect(
                ErrorKind::Invalid,
                format!("{} commands in {bytes} bytes are too much", item.weight()),
            ));
        }
        let (reply, answered) = oneshot::channel();
        let reply = Reply::Here(reply);
        self.push(Job { item, bytes, reply })?;
        answered.await.unwrap_or_else(|_| Err(error::lost()))
    }

    /// Proposes what a follower has sent; none of it goes to another leader from here.
    pub(crate) async fn propose_forwarded(&self, items: Vec<Item>) -> Vec<Answered> {
        let pushed = items.into_iter().map(|item| {
            let bytes = postcard::experimental::serialized_size(&item).unwrap_or(usize::MAX);
            let (reply, answered) = oneshot::channel();
            let reply = Reply::There(reply);
            self.push(Job { item, bytes, reply }).map(|()| answered)
        });
        let pushed: Vec<_> = pushed.collect();
        let mut answers = Vec::with_capacity(pushed.len());
        for pushed in pushed {
            answers.push(match pushed {
                Ok(answered) => answered
                    .await
                    .unwrap_or_else(|_| Answered::Refused(error::lost().into())),
                Err(error) => Answered::Refused(error.into()),
            });
        }
        answers
    }

    fn push(&self, job: Job) -> Result<(), BackendError> {
        self.0.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                let detail = "too many requests wait for the log";
                BackendError::without_effect(ErrorKind::Overloaded, detail)
            }
            mpsc::error::TrySendError::Closed(_) => error::closed(),
        })
    }

    /// Answers when everything that was queued before is answered.
    pub(crate) async fn drain(&self) {
        let (reply, answered) = oneshot::channel();
        let last = Job {
            item: Item::Tick,
            bytes: 0,
            reply: Reply::Drained(reply),
        };
        if self.0.send(last).await.is_ok() {
            // An error means that the batcher has ended, and answers nobody any more.
            let _ = answered.await;
        }
    }
}

/// Makes entries of requests.
#[derive(Debug)]
pub(crate) struct Batcher {
    pub(crate) seats: Arc<Seats>,
    pub(crate) reads: Arc<Reads>,
    pub(crate) peers: Option<Arc<Peers>>,
    pub(crate) poison: Poison,
    pub(crate) closing: watch::Receiver<bool>,
    pub(crate) commands_max: usize,
}

impl Batcher {
    /// Runs until the queue is closed and empty.
    pub(crate) async fn run(self, mut queue: mpsc::Receiver<Job>) {
        let mut left_over = None;
        loop {
            let first = match left_over.take() {
                Some(job) => job,
                None => match queue.recv().await {
                    Some(job) => job,
                    None => return,
                },
            };
            let (mut entry, rest) = self.gather(first, &mut queue);
            left_over = rest;
            let drained = entry.drained.take();
            if !entry.items.is_empty() {
                self.propose(entry).await;
            }
            if let Some(drained) = drained {
                let _ = drained.send(());
            }
        }
    }

    /// All jobs that wait, as far as they fit; and the one that did not.
    fn gather(&self, first: Job, queue: &mut mpsc::Receiver<Job>) -> (Gathered, Option<Job>) {
        let mut weight = first.item.weight();
        let mut bytes = first.bytes;
        let mut entry = Gathered::default();
        entry.push(first);
        while let Ok(job) = queue.try_recv() {
            weight += job.item.weight();
            bytes += job.bytes;
            if weight > self.commands_max || bytes > ENTRY_BYTES_MAX {
                return (entry, Some(job));
            }
            entry.push(job);
        }
        (entry, None)
    }

    /// Writes the entry, or has the leader do so.
    async fn propose(&self, entry: Gathered) {
        let Some(mut left) = self.attempt(entry).await else {
            return;
        };
        let mut patience = self.seats.patience();
        while patience.again(&self.seats).await && !self.is_ending() {
            match self.attempt(left).await {
                Some(still) => left = still,
                None => return,
            }
        }
        left.refuse(&self.seats.nobody_leads());
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
                    Some(peers) => self.forward(own, peers, node, &address).await,
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
            now,
            wall: self.seats.clock.wall(),
            items: entry.items,
        });
        let (responder, answered) = ProgressResponder::complete_only();
        let write = self.seats.raft.write(Payload(proposal.clone()));
        if let Err(fatal) = write.with_leader(term).responder(responder).await {
            Gathered::fail(entry.replies, &error::stopped(&fatal));
            return None;
        }
        let written = tokio::select! {
            biased;
            written = answered => written.ok(),
            // openraft may never answer a proposal whose append failed.
            () = self.poison.wait() => None,
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
                drained: None,
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
            Some(_) => tokio::time::sleep(self.seats.window).await,
            None => std::future::pending().await,
        }
    }

    /// Has the leader propose it.
    async fn forward(
        &self,
        entry: Gathered,
        peers: &Peers,
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
                    drained: None,
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

impl Batcher {
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
                Answered::NotLeader => {
                    left.items.push(item);
                    left.replies.push(reply);
                }
            }
        }
        // Beside: the next batch need not wait for it.
        let reads = self.reads.clone();
        tokio::spawn(async move {
            if let Err(error) = reads.reach(index).await {
                // It is durable all the same.
                tracing::warn!(%error, "raft.forward answered before it was applied here");
            }
            for (reply, answer) in answered {
                reply.send(answer);
            }
        });
        (!left.items.is_empty()).then_some(left)
    }
}

/// Who waits for an answer.
#[derive(Debug)]
enum Reply {
    /// A caller of this node.
    Here(oneshot::Sender<Result<Answer, BackendError>>),
    /// A follower, on behalf of a caller of its own.
    There(oneshot::Sender<Answered>),
    /// Whoever wants to know that all before it is answered; nothing is proposed for it.
    Drained(oneshot::Sender<()>),
}

impl Reply {
    /// Answers. A caller that has left does not care.
    fn send(self, answer: Result<Answer, BackendError>) {
        match self {
            Self::Here(caller) => {
                let _ = caller.send(answer);
            }
            Self::There(follower) => {
                let _ = follower.send(match answer {
                    Ok(answer) => Answered::Done(answer),
                    Err(error) => Answered::Refused(error.into()),
                });
            }
            Self::Drained(waits) => {
                let _ = waits.send(());
            }
        }
    }
}

/// One entry on its way: what to do, and who waits for it.
#[derive(Default)]
struct Gathered {
    items: Vec<Item>,
    replies: Vec<Reply>,
    /// Told when the entry is answered.
    drained: Option<oneshot::Sender<()>>,
}

impl Gathered {
    fn push(&mut self, job: Job) {
        match job.reply {
            Reply::Drained(waits) => self.drained = Some(waits),
            reply => {
                self.items.push(job.item);
                self.replies.push(reply);
            }
        }
    }

    /// Sends back what followers have sent: this node does not lead. What its own callers asked
    /// is left.
    fn turn_away(self) -> Option<Self> {
        let mut own = Self::default();
        for (item, reply) in self.items.into_iter().zip(self.replies) {
            match reply {
                Reply::There(follower) => {
                    let _ = follower.send(Answered::NotLeader);
                }
                Reply::Here(_) | Reply::Drained(_) => {
                    own.items.push(item);
                    own.replies.push(reply);
                }
            }
        }
        (!own.items.is_empty()).then_some(own)
    }

    fn refuse(self, error: &BackendError) {
        Self::fail(self.replies, error);
    }

    fn fail(replies: Vec<Reply>, error: &BackendError) {
        for reply in replies {
            reply.send(Err(error.clone()));
        }
    }
}
