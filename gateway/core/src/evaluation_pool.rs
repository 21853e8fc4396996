//! The threads on which long evaluations run.
//!
//! The runtime's threads also send the store's heartbeats. Policies that keep all of them busy for
//! milliseconds at a time can make a Raft group elect a new leader. So long evaluations run on
//! separate threads, of which there are fewer than cores.

use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use leasehold_domain::limits::SLOW_EVALUATION_WAIT_MS_MAX;
use tokio::sync::Semaphore;

use crate::failure::Failure;
use crate::failure::FailureKind;

/// How long a request waits for a thread unless it is said otherwise.
pub(crate) const WAIT_MAX: Duration = Duration::from_millis(SLOW_EVALUATION_WAIT_MS_MAX);
/// After how long a refused request should be sent again.
const RETRY_AFTER_MS: u64 = 500;

/// The threads, and how long a request waits for one.
#[derive(Debug)]
pub(crate) struct EvaluationPool {
    free: Arc<Semaphore>,
    wait_longest: Duration,
}

impl Default for EvaluationPool {
    /// One thread less than there are cores, and at least one.
    fn default() -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        Self::new((cores - 1).max(1), WAIT_MAX)
    }
}

impl EvaluationPool {
    /// Makes a pool of this many threads, for which requests wait no longer than `wait_longest`.
    pub(crate) fn new(threads: usize, wait_longest: Duration) -> Self {
        Self {
            free: Arc::new(Semaphore::new(threads)),
            wait_longest,
        }
    }

    /// Runs this when a thread is free. It is not cancelled with the request: it keeps its thread
    /// until it is done.
    ///
    /// # Errors
    /// `overloaded` if no thread is free within [`SLOW_EVALUATION_WAIT_MS_MAX`].
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        evaluate: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let turn = tokio::time::timeout(self.wait_longest, self.free.clone().acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            return Err(Failure {
                retry_after_ms: Some(RETRY_AFTER_MS),
                ..Failure::new(
                    FailureKind::Overloaded,
                    "too many requests wait for policies that take long",
                )
            });
        };
        let run = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            evaluate()
        });
        run.await
            .map_err(|error| Failure::internal(error.to_string()))
    }

    /// Takes all threads that are free.
    #[cfg(test)]
    pub(crate) fn occupy(&self) -> tokio::sync::OwnedSemaphorePermit {
        let all = u32::try_from(self.free.available_permits()).unwrap();
        self.free.clone().try_acquire_many_owned(all).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// The runtime of this test has one thread: the evaluation can only end if it does not run there.
    #[tokio::test]
    async fn evaluations_run_off_the_runtime_and_no_more_at_once_than_there_are_threads() {
        let pool = EvaluationPool::new(1, Duration::ZERO);
        let (go_on, waits) = mpsc::channel();
        let mut slow = Box::pin(pool.run(move || waits.recv().unwrap()));
        assert!(futures_util::poll!(&mut slow).is_pending());
        let refused = pool.run(|| ()).await.unwrap_err();
        assert_eq!(refused.kind, FailureKind::Overloaded);
        assert!(refused.is_retryable() && refused.retry_after_ms.is_some());
        go_on.send(7).unwrap();
        assert_eq!(slow.await.unwrap(), 7);
        pool.run(|| ()).await.unwrap();
    }

    #[tokio::test]
    async fn a_cancelled_request_does_not_free_a_busy_thread() {
        let pool = EvaluationPool::new(1, Duration::ZERO);
        let (go_on, waits) = mpsc::channel::<()>();
        let mut slow = Box::pin(pool.run(move || waits.recv()));
        assert!(futures_util::poll!(&mut slow).is_pending());
        drop(slow);
        assert!(pool.run(|| ()).await.is_err());
        drop(go_on);
        // Free again when the evaluation has ended.
        let _free = pool.free.acquire().await.unwrap();
    }
}
