//! The front batcher: all requests that wait go into one transaction, one transaction at a time.
//!
//! While one is being committed the next requests gather, so the batch grows with the load and a
//! lone request never waits for company.

use leasehold_backend_api::BackendError;
use leasehold_backend_api::Effect;
use leasehold_backend_api::ErrorKind;
use leasehold_domain::limits;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::sync::watch;

use crate::error;
use crate::item::Answer;
use crate::item::Item;
use crate::writer::Writer;

/// One request, and who waits for it.
#[derive(Debug)]
pub(crate) struct Job {
    item: Item,
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

    /// Has one item carried out, and waits until it is durable.
    pub(crate) async fn propose(&self, item: Item) -> Result<Answer, BackendError> {
        let weight = item.weight();
        if weight > limits::LEASES_PER_RENEWAL_MAX {
            // More could make more tokens for one lock than a write has.
            let detail = format!("{weight} commands are too many");
            return Err(BackendError::without_effect(ErrorKind::Invalid, detail));
        }
        let (reply, answered) = oneshot::channel();
        match self.0.try_send(Job { item, reply }) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => {
                let detail = "too many requests wait for the database";
                return Err(BackendError::without_effect(ErrorKind::Overloaded, detail));
            }
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(error::closed()),
        }
        // The batcher answers everything that it took; it drops only what it was not given.
        answered.await.unwrap_or_else(|_| Err(error::closed()))
    }
}

/// Makes transactions of requests.
#[derive(Debug)]
pub(crate) struct Batcher {
    pub(crate) writer: Writer,
    pub(crate) commands_max: usize,
}

impl Batcher {
    /// Runs until the store closes, and answers all that was queued before.
    pub(crate) async fn run(
        mut self,
        mut queue: mpsc::Receiver<Job>,
        mut closing: watch::Receiver<bool>,
    ) {
        let mut left_over = None;
        let mut open = true;
        loop {
            let first = match left_over.take() {
                Some(job) => Some(job),
                None if open => tokio::select! {
                    biased;
                    job = queue.recv() => job,
                    _ = closing.wait_for(|closing| *closing) => {
                        open = false;
                        queue.close();
                        continue;
                    }
                },
                None => queue.recv().await,
            };
            let Some(first) = first else {
                return;
            };
            let (items, replies, rest) = self.gather(first, &mut queue);
            left_over = rest;
            self.carry_out(items, replies).await;
        }
    }

    /// All jobs that wait, as far as they fit; and the one that did not.
    fn gather(
        &self,
        first: Job,
        queue: &mut mpsc::Receiver<Job>,
    ) -> (Vec<Item>, Vec<Reply>, Option<Job>) {
        let mut weight = first.item.weight();
        let mut items = vec![first.item];
        let mut replies = vec![first.reply];
        while let Ok(job) = queue.try_recv() {
            weight += job.item.weight();
            if weight > self.commands_max {
                return (items, replies, Some(job));
            }
            items.push(job.item);
            replies.push(job.reply);
        }
        (items, replies, None)
    }

    async fn carry_out(&mut self, items: Vec<Item>, replies: Vec<Reply>) {
        match self.writer.carry_out(&items).await {
            Ok(answers) => {
                for (reply, answer) in replies.into_iter().zip(answers) {
                    // A caller that has left does not care.
                    let _ = reply.send(Ok(answer));
                }
            }
            Err(failure) => {
                for (item, reply) in items.iter().zip(replies) {
                    let mut failure = failure.clone();
                    if !item.writes() {
                        failure.effect = Effect::None;
                    }
                    let _ = reply.send(Err(failure));
                }
            }
        }
    }
}
