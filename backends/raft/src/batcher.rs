//! The front batcher: all requests that wait go into one log entry, one entry at a time.
//!
//! While an entry is being synced the next requests gather, so the batch grows with the load and a
//! lone request never waits for company. The exception is an acquire that can only enter a queue:
//! nobody waits for that write, and a release that came while it was being synced would have to
//! wait for it. So it is patient, and goes along with the next request that is not: a hand-off of a
//! contended lock costs one write, and not two.

mod gathered;

use std::sync::Arc;

use leasehold_backend_api::BackendError;
use leasehold_backend_api::ErrorKind;
use leasehold_domain::Clock;
use leasehold_domain::limits;
use openraft::Raft;
use tokio::sync::mpsc;
use tokio::sync::oneshot;

use self::gathered::Gathered;
use crate::clock::Stamper;
use crate::entry::Answer;
use crate::entry::Item;
use crate::entry::Payload;
use crate::entry::Proposal;
use crate::entry::TypeConfig;
use crate::error;
use crate::log::Poison;
use crate::machine::Machine;

/// Bytes of one request: a module, with room to spare.
const REQUEST_BYTES_MAX: usize = 2 * limits::MODULE_BYTES_MAX;

/// Whether a request's write may wait for company.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hurry {
    /// Somebody waits for its outcome.
    Now,
    /// It can only enter a queue: see the module.
    Patient,
}

/// One request, and who waits for it.
#[derive(Debug)]
pub(crate) struct Job {
    item: Item,
    hurry: Hurry,
    /// What it takes in the log.
    bytes: usize,
    reply: Reply,
}

/// Who waits for an answer.
type Reply = oneshot::Sender<Result<Answer, BackendError>>;

/// Where requests queue up.
#[derive(Debug, Clone)]
pub(crate) struct Queue(mpsc::Sender<Job>);

impl Queue {
    pub(crate) fn new(queue_max: usize) -> (Self, mpsc::Receiver<Job>) {
        let (sender, receiver) = mpsc::channel(queue_max);
        (Self(sender), receiver)
    }

    /// Proposes one item, and waits until it is applied.
    pub(crate) async fn propose(&self, item: Item, hurry: Hurry) -> Result<Answer, BackendError> {
        // Measured here and not by the batcher, of which there is one.
        let bytes = postcard::experimental::serialized_size(&item).unwrap_or(usize::MAX);
        if bytes > REQUEST_BYTES_MAX || item.weight() > limits::LEASES_PER_RENEWAL_MAX {
            return Err(BackendError::without_effect(
                ErrorKind::Invalid,
                format!("{} commands in {bytes} bytes are too much", item.weight()),
            ));
        }
        let (reply, answered) = oneshot::channel();
        match self.0.try_send(Job {
            item,
            hurry,
            bytes,
            reply,
        }) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => {
                let detail = "too many requests wait for the log";
                return Err(BackendError::without_effect(ErrorKind::Overloaded, detail));
            }
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(error::closed()),
        }
        answered.await.unwrap_or_else(|_| Err(error::lost()))
    }

    /// Answers when everything that was queued before is answered.
    pub(crate) async fn drain(&self) {
        let (reply, answered) = oneshot::channel();
        let last = Job {
            item: Item::Tick,
            hurry: Hurry::Now,
            bytes: 0,
            reply,
        };
        if self.0.send(last).await.is_ok() {
            // Whether it was applied or refused, all before it was, too.
            let _ = answered.await;
        }
    }
}

/// Makes entries of requests.
#[derive(Debug)]
pub(crate) struct Batcher {
    pub(crate) raft: Raft<TypeConfig, Machine>,
    pub(crate) stamper: Arc<Stamper>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) poison: Poison,
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
            let mut entry = Gathered::new(first, self.commands_max);
            left_over = entry.gather(&mut queue).await;
            self.propose(entry).await;
        }
    }

    async fn propose(&self, entry: Gathered) {
        // Stamped before it is proposed: a lease that is granted by it begins no later than the
        // holder's answer, and was asked for before.
        let proposal = Proposal {
            now: self.stamper.look(&*self.clock),
            wall: self.clock.wall(),
            items: entry.items,
        };
        let written = tokio::select! {
            biased;
            written = self.raft.client_write(Payload(Arc::new(proposal))) => written,
            // openraft may never answer a proposal whose append failed.
            () = self.poison.wait() => {
                for reply in entry.replies {
                    let _ = reply.send(Err(error::lost()));
                }
                return;
            }
        };
        match written {
            Ok(written) => {
                for (reply, answer) in entry.replies.into_iter().zip(written.data) {
                    // A caller that has left does not care.
                    let _ = reply.send(Ok(answer));
                }
            }
            Err(raft_error) => {
                let error = error::write_error(&raft_error);
                for reply in entry.replies {
                    let _ = reply.send(Err(error.clone()));
                }
            }
        }
    }
}
