//! The queue of requests that wait for the batcher.

use leasehold_backend_api::BackendError;
use leasehold_backend_api::Effect;
use leasehold_backend_api::ErrorKind;
use leasehold_domain::limits;
use tokio::sync::mpsc;
use tokio::sync::oneshot;

use crate::error;
use crate::item::Answer;
use crate::item::Item;

/// One request, and who waits for it.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) item: Item,
    /// How often it has lost against another gateway.
    pub(crate) losses: usize,
    reply: oneshot::Sender<Result<Answer, BackendError>>,
}

impl Job {
    /// A caller that has left does not care.
    pub(crate) fn answer(self, answer: Answer) {
        let _ = self.reply.send(Ok(answer));
    }

    pub(crate) fn fail(self, mut failure: BackendError) {
        if !self.item.writes() {
            failure.effect = Effect::None;
        }
        let _ = self.reply.send(Err(failure));
    }
}

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
        let (weight, writes) = (item.weight(), item.writes());
        if weight > limits::LEASES_PER_RENEWAL_MAX {
            // More could make more tokens for one lock than a write has.
            let detail = format!("{weight} commands are too many");
            return Err(BackendError::without_effect(ErrorKind::Invalid, detail));
        }
        let (reply, answered) = oneshot::channel();
        let job = Job {
            item,
            losses: 0,
            reply,
        };
        match self.0.try_send(job) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => {
                let detail = "too many requests wait for etcd";
                return Err(BackendError::without_effect(ErrorKind::Overloaded, detail));
            }
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(error::closed()),
        }
        // The batcher answers everything that it took, unless it panics.
        answered
            .await
            .unwrap_or_else(|_| Err(BackendError::cut_off(writes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes a request from the queue and drops it, as a batcher that panics does.
    async fn lose(item: Item) -> BackendError {
        let (queue, mut waiting) = Queue::new(1);
        let gone = async { drop(waiting.recv().await) };
        let (answer, ()) = tokio::join!(queue.propose(item), gone);
        answer.expect_err("the request is dropped without an answer")
    }

    #[tokio::test]
    async fn a_write_that_was_taken_and_not_answered_may_have_taken_effect() {
        assert_eq!(lose(Item::Tick).await.effect, Effect::Unknown);
        assert_eq!(lose(Item::Look).await.effect, Effect::None);
    }
}
