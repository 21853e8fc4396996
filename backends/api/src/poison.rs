//! Stops a store for good after a failure from which this process cannot recover.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::BackendError;
use crate::Health;

/// Whether a store has stopped for good in this process, and why: an I/O error after which the
/// contents of the disk are unknown, or a background task that has ended. Clones share the state.
#[derive(Debug, Clone)]
pub struct Poison(watch::Sender<Option<String>>);

impl Default for Poison {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl Poison {
    /// Stops the store. The first reason stays.
    pub fn set(&self, reason: &str) {
        self.0.send_if_modified(|poisoned| {
            let first = poisoned.is_none();
            if first {
                *poisoned = Some(reason.to_owned());
            }
            first
        });
    }

    /// Starts a background task. If it panics, the store stops, because nothing else does the work of
    /// that task.
    pub fn spawn<T: Send>(
        &self,
        task: &'static str,
        run: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<()> {
        let poison = self.clone();
        tokio::spawn(async move {
            if AssertUnwindSafe(run).catch_unwind().await.is_err() {
                poison.set(&format!("the background task {task} panicked"));
            }
        })
    }

    /// Starts a background task that must run until the store closes. If it panics, or returns
    /// sooner, the store stops.
    pub fn spawn_until(
        &self,
        closing: watch::Receiver<bool>,
        task: &'static str,
        run: impl Future<Output = ()> + Send + 'static,
    ) -> JoinHandle<()> {
        let poison = self.clone();
        self.spawn(task, async move {
            run.await;
            // If the handle of the store was dropped, the store has closed, too.
            if closing.has_changed().is_ok() && !*closing.borrow() {
                poison.set(&format!("the background task {task} ended"));
            }
        })
    }

    /// Returns a guard that stops the store if it is dropped by a panic. Take it after a lock: then
    /// the store has stopped before another task can read what the panic left half changed.
    #[must_use]
    pub fn guard(&self, task: &'static str) -> PanicGuard<'_> {
        PanicGuard { poison: self, task }
    }

    /// Returns why the store has stopped, if it has.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        self.0.borrow().clone()
    }

    /// Lets a call pass unless the store has stopped.
    ///
    /// # Errors
    /// The store has stopped; the call has had no effect.
    pub fn check(&self) -> Result<(), BackendError> {
        match &*self.0.borrow() {
            None => Ok(()),
            Some(reason) => Err(BackendError::stopped(reason)),
        }
    }

    /// Returns whether the store has stopped.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// Resolves when the store has stopped, and says why.
    pub async fn stopped(&self) -> String {
        let mut reasons = self.0.subscribe();
        // We hold the sender, so the channel is open.
        let reason = reasons.wait_for(Option::is_some).await;
        reason
            .ok()
            .and_then(|reason| reason.clone())
            .unwrap_or_default()
    }

    /// Returns a store's health, or that it has stopped.
    #[must_use]
    pub fn health(&self, health: Health) -> Health {
        match self.reason() {
            None => health,
            Some(reason) => Health {
                ready: false,
                detail: format!("stopped: {reason}"),
                ..health
            },
        }
    }
}

/// Stops the store if it is dropped by a panic.
#[derive(Debug)]
pub struct PanicGuard<'p> {
    poison: &'p Poison,
    task: &'static str,
}

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let task = self.task;
            self.poison
                .set(&format!("the background task {task} panicked"));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn a_background_task_that_panics_stops_the_store() {
        let poison = Poison::default();
        poison.spawn("good", async {});
        poison.spawn("bad", async { panic!("as told") });
        let stopped = tokio::time::timeout(PATIENCE, poison.stopped());
        let reason = stopped.await.expect("the store is stopped");
        assert!(reason.contains("bad panicked"), "{reason}");
        let refused = poison.check().expect_err("the store is stopped");
        assert!(refused.detail.contains(&reason), "{refused}");
        assert_eq!(poison.reason(), Some(reason));
    }

    #[tokio::test]
    async fn a_background_task_that_returns_before_the_store_closes_stops_it() {
        let poison = Poison::default();
        let (closing, closed) = watch::channel(false);
        poison.spawn_until(closed.clone(), "early", async {});
        let stopped = tokio::time::timeout(PATIENCE, poison.stopped());
        let reason = stopped.await.expect("the store is stopped");
        assert!(reason.contains("early ended"), "{reason}");

        for is_told in [true, false] {
            let poison = Poison::default();
            let (closing, closed) = watch::channel(false);
            let mut heard = closed.clone();
            let task = poison.spawn_until(closed, "told", async move {
                let _ = heard.wait_for(|closing| *closing).await;
            });
            match is_told {
                true => drop(closing.send_replace(true)),
                false => drop(closing),
            }
            task.await.expect("it ends");
            assert_eq!(poison.reason(), None);
        }
        drop(closing);
    }

    #[tokio::test]
    async fn what_a_panic_leaves_behind_a_lock_is_not_seen_before_the_store_has_stopped() {
        let poison = Poison::default();
        let state = std::sync::Arc::new(tokio::sync::RwLock::new(1));
        let (guarded, written) = (poison.clone(), state.clone());
        let task = tokio::spawn(async move {
            let mut state = written.write().await;
            let _guard = guarded.guard("writer");
            *state = 2;
            panic!("as told");
        });
        let half_changed = async {
            loop {
                let seen = state.read().await;
                if *seen == 2 {
                    return poison.reason();
                }
                drop(seen);
                tokio::task::yield_now().await;
            }
        };
        let reason = tokio::time::timeout(PATIENCE, half_changed).await;
        assert!(reason.expect("it was changed").is_some());
        assert!(task.await.is_err());
    }
}
