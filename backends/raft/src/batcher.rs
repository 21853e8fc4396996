//! The front batcher: all requests that wait go into one log entry, one entry at a time.
//!
//! While an entry is being synced the next requests gather, so the batch grows with the load and a
//! lone request never waits for company.

use std::sync::Arc;

use leasehold_backend_api::BackendError;
use leasehold_backend_api::ErrorKind;
use leasehold_domain::Clock;
use openraft::Raft;
use tokio::sync::mpsc;
use tokio::sync::oneshot;

use crate::clock::Stamper;
use crate::entry::Answer;
use crate::entry::Item;
use crate::entry::Payload;
use crate::entry::Proposal;
use crate::entry::TypeConfig;
use crate::error;
use crate::machine::Machine;

/// Approximate bytes of blobs in one entry.
const BLOB_BYTES_MAX: usize = 1_024 * 1_024;

/// One request, and who waits for it.
#[derive(Debug)]
pub(crate) struct Job {
    item: Item,
    reply: oneshot::Sender<Result<Answer, BackendError>>,
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
        let (reply, answered) = oneshot::channel();
        match self.0.try_send(Job { item, reply }) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => {
                let detail = "too many requests wait for the log";
                return Err(BackendError::without_effect(ErrorKind::Overloaded, detail));
            }
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(error::closed()),
        }
        let lost = || BackendError::unknown(ErrorKind::Closed, "the store closed meanwhile");
        answered.await.unwrap_or_else(|_| Err(lost()))
    }
}

/// Makes entries of requests.
#[derive(Debug)]
pub(crate) struct Batcher {
    pub(crate) raft: Raft<TypeConfig, Machine>,
    pub(crate) stamper: Arc<Stamper>,
    pub(crate) clock: Arc<dyn Clock>,
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
            let (items, replies, rest) = self.gather(first, &mut queue);
            left_over = rest;
            self.propose(items, replies).await;
        }
    }

    #[expect(
        clippy::type_complexity,
        reason = "the two halves of the jobs, and the one too many"
    )]
    fn gather(
        &self,
        first: Job,
        queue: &mut mpsc::Receiver<Job>,
    ) -> (
        Vec<Item>,
        Vec<oneshot::Sender<Result<Answer, BackendError>>>,
        Option<Job>,
    ) {
        let mut weight = first.item.weight();
        let mut blob_bytes = blob_bytes(&first.item);
        let (mut items, mut replies) = (vec![first.item], vec![first.reply]);
        while let Ok(job) = queue.try_recv() {
            weight += job.item.weight();
            blob_bytes += self::blob_bytes(&job.item);
            if weight > self.commands_max || blob_bytes > BLOB_BYTES_MAX {
                return (items, replies, Some(job));
            }
            items.push(job.item);
            replies.push(job.reply);
        }
        (items, replies, None)
    }

    async fn propose(
        &self,
        items: Vec<Item>,
        replies: Vec<oneshot::Sender<Result<Answer, BackendError>>>,
    ) {
        // Stamped before it is proposed: a lease that is granted by it begins no later than the
        // holder's answer, and was asked for before.
        let now = self.stamper.look(&*self.clock);
        let proposal = Proposal {
            now,
            wall: self.clock.wall(),
            items,
        };
        match self.raft.client_write(Payload(Arc::new(proposal))).await {
            Ok(written) => {
                for (reply, answer) in replies.into_iter().zip(written.response().iter()) {
                    // A caller that has left does not care.
                    let _ = reply.send(Ok(answer.clone()));
                }
            }
            Err(raft_error) => {
                let error = error::write_error(&raft_error);
                for reply in replies {
                    let _ = reply.send(Err(error.clone()));
                }
            }
        }
    }
}

fn blob_bytes(item: &Item) -> usize {
    match item {
        Item::Blob(bytes) => bytes.len(),
        Item::Batch { .. } | Item::Edits(_) | Item::Tick => 0,
    }
}
