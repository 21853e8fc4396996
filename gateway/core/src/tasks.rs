//! Background tasks that must not end. Each runs under supervision: one that panics, or returns
//! before it is told to, is counted, logged and started again.

use std::any::Any;
use std::fmt;
use std::ops::ControlFlow;
use std::panic::AssertUnwindSafe;
use std::sync::LazyLock;
use std::time::Duration;

use futures_util::FutureExt;
use prometheus::IntCounterVec;
use prometheus::Opts;
use tokio::task::JoinHandle;

const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Counted for the whole process: some tasks start where no metrics are at hand.
static RESTARTS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let options = Opts::new(
        "leasehold_task_restarts_total",
        "Background tasks that panicked or ended, and were started again.",
    );
    let counters = IntCounterVec::new(options, &["task"]);
    counters.unwrap_or_else(|error| unreachable!("a fixed name is valid: {error}"))
});

/// How often tasks were started again, by name.
#[derive(Clone)]
pub struct TaskMetrics(IntCounterVec);

impl fmt::Debug for TaskMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskMetrics").finish_non_exhaustive()
    }
}

impl Default for TaskMetrics {
    fn default() -> Self {
        Self(RESTARTS.clone())
    }
}

impl TaskMetrics {
    /// The counters, to be registered.
    pub(crate) fn counters(&self) -> IntCounterVec {
        self.0.clone()
    }
}

/// A supervised task. Dropping it aborts the task.
#[derive(Debug)]
pub struct Supervised {
    handle: Option<JoinHandle<()>>,
}

impl Supervised {
    /// Lets the task run until it breaks off by itself.
    pub(crate) fn detach(mut self) {
        self.handle = None;
    }

    /// Waits until the task has broken off.
    pub async fn finished(&mut self) {
        if let Some(handle) = self.handle.take() {
            // It cannot panic; if it was aborted, it has finished.
            let _ = handle.await;
        }
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        if let Some(handle) = &self.handle {
            handle.abort();
        }
    }
}

/// Starts a task, and starts it again whenever it panics or returns `Continue`; `Break` is its
/// intended end.
pub fn supervise<F, Fut>(name: &'static str, metrics: &TaskMetrics, mut start: F) -> Supervised
where
    F: FnMut() -> Fut + Send + 'static,
    Fut: Future<Output = ControlFlow<()>> + Send,
{
    let restarts = metrics.0.with_label_values(&[name]);
    let handle = tokio::spawn(async move {
        let mut pause = PAUSE_MIN;
        loop {
            let started = AssertUnwindSafe(async { start().await });
            let problem = match started.catch_unwind().await {
                Ok(ControlFlow::Break(())) => return,
                Ok(ControlFlow::Continue(())) => "it ended".to_owned(),
                Err(panic) => message(&*panic),
            };
            restarts.inc();
            tracing::error!(
                task = name,
                problem,
                "task.failed; started again in {pause:?}"
            );
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    });
    Supervised {
        handle: Some(handle),
    }
}

/// What a panic says.
pub(crate) fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("it panicked: {}", text.unwrap_or("without a message"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering::SeqCst;

    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_or_returns_is_started_again_and_counted() {
        let (metrics, starts) = (TaskMetrics::default(), Arc::new(AtomicUsize::new(0)));
        let counted = starts.clone();
        let mut task = supervise("test-restarts", &metrics, move || {
            let start = counted.fetch_add(1, SeqCst);
            async move {
                match start {
                    0 => panic!("as told"),
                    1 => ControlFlow::Continue(()),
                    _ => ControlFlow::Break(()),
                }
            }
        });
        task.finished().await;
        assert_eq!(starts.load(SeqCst), 3);
        assert_eq!(metrics.0.with_label_values(&["test-restarts"]).get(), 2);
    }

    #[tokio::test]
    async fn a_task_whose_handle_is_dropped_is_aborted() {
        let (alive, mut gone) = tokio::sync::mpsc::channel::<()>(1);
        let task = supervise("test", &TaskMetrics::default(), move || {
            let alive = alive.clone();
            async move {
                let _alive = alive;
                std::future::pending().await
            }
        });
        tokio::task::yield_now().await;
        drop(task);
        let ended = tokio::time::timeout(Duration::from_secs(30), gone.recv()).await;
        assert_eq!(ended.expect("the task is gone"), None);
    }
}
