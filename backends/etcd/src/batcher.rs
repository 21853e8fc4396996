//! The front batcher: all requests that wait go into one transaction, one transaction at a time.
//!
//! While one is under way the next requests gather, so the batch grows with the load and a lone
//! request never waits for company. The exception is an acquire that can only enter a queue: nobody
//! waits for that write, and a release that came meanwhile would have to wait for it. So it is
//! patient, and goes along with the next request that is not: a hand-over of a contended lock costs
//! one transaction, and not two. What lost against another gateway goes into the next one, too.

use leasehold_machine::PATIENCE;
use tokio::sync::mpsc;
use tokio::sync::watch;

use crate::queue::Job;
use crate::writer::Writer;

/// Requests in one batch at most, however light.
const JOBS_MAX: usize = 1_024;

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
