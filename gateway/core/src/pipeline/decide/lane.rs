//! Where evaluations run that take long.
//!
//! The threads of the runtime also carry the store's heartbeats: policies that kept all of them busy
//! for some milliseconds each, again and again, would cost a Raft group its leader. So what takes
//! long runs on threads beside them, and on fewer than there are cores.

use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use leasehold_domain::limits::SLOW_EVALUATION_WAIT_MS_MAX;
use tokio::sync::Semaphore;

use crate::failure::Failure;
use crate::failure::FailureKind;

const WAIT_MAX: Duration = Duration::from_millis(SLOW_EVALUATION_WAIT_MS_MAX);
/// How soon to ask again is worth while.
const RETRY_AFTER_MS: u64 = 500;

/// Threads beside the runtime's.
#[derive(Debug)]
pub(super) struct SlowLane {
    free: Arc<Semaphore>,
    wait_longest: Duration,
}

impl Default for SlowLane {
    /// One thread less than there are cores, and at least one.
    fn default() -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        Self::new((cores - 1).max(1), WAIT_MAX)
    }
}

impl SlowLane {
    /// So many threads, for which requests wait no longer than this.
    fn new(threads: usize, wait_longest: Duration) -> Self {
        Self {
            free: Arc::new(Semaphore::new(threads)),
            wait_longest,
        }
    }

    /// Runs this when a thread is free. It goes on if nobody waits for it any more, and keeps its
    /// thread until it is done.
    ///
    /// # Errors
    /// `overloaded` if no thread is free within [`SLOW_EVALUATION_WAIT_MS_MAX`].
    pub(super) async fn run<T: Send + 'static>(
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
    pub(super) fn occupy(&self) -> tokio::sync::OwnedSemaphorePermit {
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
    async fn evaluations_run_beside_the_runtime_and_as_many_as_there_are_threads() {
        let lane = SlowLane::new(1, Duration::ZERO);
        let (go_on, waits) = mpsc::channel();
        let mut slow = Box::pin(lane.run(move || waits.recv().unwrap()));
        assert!(futures_util::poll!(&mut slow).is_pending());
        let refused = lane.run(|| ()).await.unwrap_err();
        assert_eq!(refused.kind, FailureKind::Overloaded);
        assert!(refused.is_retryable() && refused.retry_after_ms.is_some());
        go_on.send(7).unwrap();
        assert_eq!(slow.await.unwrap(), 7);
        lane.run(|| ()).await.unwrap();
    }

    #[tokio::test]
    async fn who_leaves_does_not_free_a_thread_that_is_busy() {
        let lane = SlowLane::new(1, Duration::ZERO);
        let (go_on, waits) = mpsc::channel::<()>();
        let mut slow = Box::pin(lane.run(move || waits.recv()));
        assert!(futures_util::poll!(&mut slow).is_pending());
        drop(slow);
        assert!(lane.run(|| ()).await.is_err());
        drop(go_on);
        // Free again when the evaluation has ended.
        let _free = lane.free.acquire().await.unwrap();
    }
}
