//! The front batcher: all requests that wait go into one transaction, one transaction at a time.
//!
//! While one is under way the next requests gather, so the batch grows with the load and a lone
//! request never waits for company. The exception is an acquire that can only enter a queue: nobody
//! waits for that write, and a release that came meanwhile would have to wait for it. So it is
//! patient, and goes along with the next request that is not: a hand-over of a contended lock costs
//! one transaction, and not two. What lost against another gateway goes into the next one, too.

use leasehold_backend_api::BackendError;
use leasehold_backend_api::Effect;
use leasehold_backend_api::ErrorKind;
use leasehold_domain::limits;
use leasehold_machine::PATIENCE;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::sync::watch;

use crate::error;
use crate::item::Answer;
use crate::item::Item;
use crate::writer::Writer;

/// Requests in one batch at most, however light.
const JOBS_MAX: usize = 1_024;

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
        let mut waiting = Vec::new();
        let mut open = true;
        loop {
            if waiting.is_empty() {
                tokio::select! {
                    biased;
                    job = queue.recv() => match job {
                        Some(job) => waiting.push(job),
                        None => return,
                    },
                    () = closed(&mut closing), if open => {
                        open = false;
                        queue.close();
                        continue;
                    }
                    news = self.writer.news() => {
                        self.writer.hear(news).await;
                        continue;
                    }
                }
            }
            let (mut batch, mut rest) = self.gather(waiting, &mut queue);
            if rest.is_empty() && self.is_patient(&batch) {
                let linger = self.linger(batch, &mut queue);
                (batch, rest) = linger.await;
            }
            waiting = self.writer.carry_out(batch).await;
            waiting.extend(rest);
        }
    }

    /// Whether all of these can only enter a queue.
    fn is_patient(&self, batch: &[Job]) -> bool {
        batch.iter().all(|job| self.writer.is_patient(&job.item))
    }

    /// Waits a little for a request that is in a hurry.
    async fn linger(
        &self,
        mut batch: Vec<Job>,
        queue: &mut mpsc::Receiver<Job>,
    ) -> (Vec<Job>, Vec<Job>) {
        let mut over = Box::pin(tokio::time::sleep(PATIENCE));
        loop {
            let job = tokio::select! {
                biased;
                job = queue.recv() => job,
                () = &mut over => None,
            };
            let Some(job) = job else {
                return (batch, Vec::new());
            };
            batch.push(job);
            let (gathered, rest) = self.gather(batch, queue);
            if !rest.is_empty() || !self.is_patient(&gathered) {
                return (gathered, rest);
            }
            batch = gathered;
        }
    }

    /// All jobs that wait, as far as they fit; and those that did not.
    fn gather(&self, waiting: Vec<Job>, queue: &mut mpsc::Receiver<Job>) -> (Vec<Job>, Vec<Job>) {
        let (mut batch, mut rest) = (Vec::new(), Vec::new());
        let mut weight = 0;
        let mut take = |job: Job, rest: &mut Vec<Job>| {
            weight += job.item.weight();
            // One request that is too much for all is carried out by itself.
            let fits = batch.is_empty() || weight <= self.commands_max && batch.len() < JOBS_MAX;
            match fits && rest.is_empty() {
                true => batch.push(job),
                false => rest.push(job),
            }
        };
        for job in waiting {
            take(job, &mut rest);
        }
        while rest.is_empty()
            && let Ok(job) = queue.try_recv()
        {
            take(job, &mut rest);
        }
        (batch, rest)
    }
}

/// Waits until the store closes.
async fn closed(closing: &mut watch::Receiver<bool>) {
    // Who closes it may be gone, too.
    let _ = closing.wait_for(|closing| *closing).await;
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
