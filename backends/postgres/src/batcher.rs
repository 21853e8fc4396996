//! The front batcher: all requests that wait go into one transaction, one transaction at a time.
//!
//! While one is being committed the next requests gather, so the batch grows with the load and a
//! lone request never waits for company. The exception is an acquire that can only enter a queue:
//! nobody waits for that write, and a release that came meanwhile would have to wait for it. So it
//! is patient, and goes along with the next request that is not: a hand-over of a contended lock
//! costs one transaction, and not two.

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
        let (weight, writes) = (item.weight(), item.writes());
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
        // The batcher answers everything that it took, unless it panics.
        answered
            .await
            .unwrap_or_else(|_| Err(BackendError::cut_off(writes)))
    }
}

/// Requests that are becoming one transaction.
struct Batch {
    weight: usize,
    items: Vec<Item>,
    replies: Vec<Reply>,
}

impl Batch {
    fn new(first: Job) -> Self {
        Self {
            weight: first.item.weight(),
            items: vec![first.item],
            replies: vec![first.reply],
        }
    }

    /// Adds all jobs that wait, as far as they fit, and waits a little for one in a hurry if none
    /// is. Answers the one that did not fit.
    async fn gather(
        &mut self,
        queue: &mut mpsc::Receiver<Job>,
        weight_max: usize,
        is_patient: impl Fn(&Item) -> bool,
    ) -> Option<Job> {
        let mut over = None;
        let mut seen = 0;
        loop {
            while let Ok(job) = queue.try_recv() {
                if let Some(job) = self.add(job, weight_max) {
                    return Some(job);
                }
            }
            let fresh = self.items.get(seen..).unwrap_or_default();
            if !fresh.iter().all(&is_patient) {
                return None;
            }
            seen = self.items.len();
            // Made only for those who linger: most never do.
            let over = over.get_or_insert_with(|| Box::pin(tokio::time::sleep(PATIENCE)));
            let job = tokio::select! {
                biased;
                job = queue.recv() => job?,
                () = over => return None,
            };
            if let Some(job) = self.add(job, weight_max) {
                return Some(job);
            }
        }
    }

    /// Adds a job, or gives it back if it does not fit.
    fn add(&mut self, job: Job, weight_max: usize) -> Option<Job> {
        let weight = self.weight + job.item.weight();
        if weight > weight_max {
            return Some(job);
        }
        self.weight = weight;
        self.items.push(job.item);
        self.replies.push(job.reply);
        None
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
            let mut batch = Batch::new(first);
            let is_patient = |item: &Item| self.writer.is_patient(item);
            left_over = batch
                .gather(&mut queue, self.commands_max, is_patient)
                .await;
            self.carry_out(batch.items, batch.replies).await;
        }
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

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const WEIGHT_MAX: usize = 3;

    /// A tick stands for a request in a hurry, a look for a patient one.
    fn job(item: Item) -> Job {
        let reply = oneshot::channel().0;
        Job { item, reply }
    }

    fn is_patient(item: &Item) -> bool {
        matches!(item, Item::Look)
    }

    #[tokio::test]
    async fn a_request_in_a_hurry_does_not_wait_for_company() {
        let (sender, mut queue) = mpsc::channel(8);
        sender.try_send(job(Item::Look)).unwrap();
        let mut batch = Batch::new(job(Item::Tick));
        let gathering = batch.gather(&mut queue, WEIGHT_MAX, is_patient);
        assert!(gathering.now_or_never().is_some_and(|rest| rest.is_none()));
        assert_eq!(batch.items.len(), 2);
    }

    #[tokio::test]
    async fn a_patient_one_goes_along_with_the_next_in_a_hurry() {
        let (sender, mut queue) = mpsc::channel(8);
        let mut batch = Batch::new(job(Item::Look));
        {
            let mut gathering = std::pin::pin!(batch.gather(&mut queue, WEIGHT_MAX, is_patient));
            assert!(gathering.as_mut().now_or_never().is_none());
            sender.try_send(job(Item::Look)).unwrap();
            assert!(gathering.as_mut().now_or_never().is_none());
            sender.try_send(job(Item::Tick)).unwrap();
            assert!(gathering.now_or_never().is_some_and(|rest| rest.is_none()));
        }
        assert_eq!(batch.items.len(), 3);
    }

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

    #[tokio::test]
    async fn patience_ends() {
        let (_sender, mut queue) = mpsc::channel(8);
        let mut batch = Batch::new(job(Item::Look));
        let rest = batch.gather(&mut queue, WEIGHT_MAX, is_patient).await;
        assert!(rest.is_none());
        assert_eq!(batch.items.len(), 1);
    }

    #[tokio::test]
    async fn what_does_not_fit_is_given_back() {
        let (sender, mut queue) = mpsc::channel(8);
        for _ in 0..WEIGHT_MAX {
            sender.try_send(job(Item::Tick)).unwrap();
        }
        let mut batch = Batch::new(job(Item::Look));
        let gathering = batch.gather(&mut queue, WEIGHT_MAX, is_patient);
        assert!(gathering.now_or_never().is_some_and(|rest| rest.is_some()));
        assert_eq!(batch.items.len(), WEIGHT_MAX);
    }
}
