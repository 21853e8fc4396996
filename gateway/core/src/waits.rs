//! Waiting requests: tells a long poll that its waiter was granted, from the backend's events.

use std::collections::HashMap;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use leasehold_backend_api::Backend;
use leasehold_domain::CounterFull;
use leasehold_domain::Cursor;
use leasehold_domain::Event;
use leasehold_domain::EventKind;
use leasehold_domain::FencingToken;
use leasehold_domain::LeaseHandle;
use leasehold_domain::Transition;
use tokio::sync::oneshot;

use crate::telemetry::Metrics;

/// Pauses before a stream of events that failed or ended is opened again.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// What became of a waiter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Signal {
    /// It has the lock.
    Granted {
        /// Its token.
        token: FencingToken,
        /// How long the lease lasts from the grant.
        ttl_ms: u64,
        /// How long it waited, by the backend's clock.
        waited_ms: u64,
    },
    /// It left the queue without a lease.
    Ended,
    /// Its turn came, and a counter refused it.
    Refused(Box<CounterFull>),
    /// Events were missed, so nobody knows. Its client asks again.
    Missed,
}

/// Who waits on this gateway.
#[derive(Default)]
pub(crate) struct Waits {
    waiting: Mutex<Waiting>,
}

/// Several polls may hang on one waiter: its client has asked again.
type Waiting = HashMap<LeaseHandle, Vec<oneshot::Sender<Signal>>>;

impl fmt::Debug for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waits")
            .field("waiting", &self.lock().len())
            .finish()
    }
}

/// One waiter's ear. Forgets itself when dropped.
#[derive(Debug)]
pub(crate) struct Ear {
    handle: LeaseHandle,
    waits: Arc<Waits>,
    signal: oneshot::Receiver<Signal>,
}

impl Waits {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Listens for a waiter. Must be called before its acquire is executed, so that no grant is
    /// missed.
    pub(crate) fn listen(self: &Arc<Self>, handle: LeaseHandle) -> Ear {
        let (sender, signal) = oneshot::channel();
        self.lock().entry(handle).or_default().push(sender);
        Ear {
            handle,
            waits: self.clone(),
            signal,
        }
    }

    fn tell(&self, handle: LeaseHandle, signal: Signal) {
        let listeners = self.lock().remove(&handle);
        for sender in listeners.into_iter().flatten() {
            // The listener may have left; its guard then gives the grant back.
            let _ = sender.send(signal.clone());
        }
    }

    fn hear(&self, event: &Event) {
        let EventKind::Lock { transitions, .. } = &event.kind else {
            return;
        };
        for transition in transitions {
            match transition {
                Transition::Granted {
                    handle,
                    token,
                    ttl_ms,
                    waited_ms: Some(waited_ms),
                    ..
                } => {
                    let (token, ttl_ms, waited_ms) = (*token, *ttl_ms, *waited_ms);
                    self.tell(
                        *handle,
                        Signal::Granted {
                            token,
                            ttl_ms,
                            waited_ms,
                        },
                    );
                }
                Transition::WaitEnded {
                    handle, refused, ..
                } => {
                    let refused = refused.clone().map(Signal::Refused);
                    self.tell(*handle, refused.unwrap_or(Signal::Ended));
                }
                _ => {}
            }
        }
    }

    /// The task that follows the backend's events, each time that it is started. Started again, it
    /// begins with what happens now: the event at which it ended might end it again.
    pub(crate) fn task(
        self: Arc<Self>,
        backend: Arc<dyn Backend>,
        from: Cursor,
        metrics: Arc<Metrics>,
    ) -> impl FnMut() -> BoxFuture<'static, ControlFlow<()>> + Send {
        let mut first = Some(from);
        move || {
            let (waits, backend, metrics) = (self.clone(), backend.clone(), metrics.clone());
            let first = first.take();
            let run = async move {
                let from = match first {
                    Some(first) => first,
                    None => waits.missed(&*backend).await,
                };
                waits.follow(backend, from, metrics).await;
                ControlFlow::Continue(())
            };
            run.boxed()
        }
    }

    /// Events may have been missed: ends all polls, whose clients ask again in their places. Returns
    /// the position of the newest event as it was before that, so that no later waiter misses one.
    async fn missed(&self, backend: &dyn Backend) -> Cursor {
        let newest = backend.health().await.newest;
        let waiting = std::mem::take(&mut *self.lock());
        for sender in waiting.into_values().flatten() {
            let _ = sender.send(Signal::Missed);
        }
        newest
    }

    /// Follows the backend's events for ever.
    pub(crate) async fn follow(
        self: Arc<Self>,
        backend: Arc<dyn Backend>,
        from: Cursor,
        metrics: Arc<Metrics>,
    ) {
        let (mut after, mut pause) = (from, PAUSE_MIN);
        loop {
            let mut events = backend.events(after);
            while let Some(event) = events.next().await {
                match event {
                    Ok(event) => {
                        (after, pause) = (event.cursor, PAUSE_MIN);
                        self.hear(&event);
                        metrics.observe(&event);
                    }
                    Err(error) => {
                        // An error that stays is not repeated in the log; the ledger's task meets
                        // it, too, and readiness shows it.
                        if pause < PAUSE_MAX {
                            tracing::error!(%error, after = after.0, "waits.events failed; again in {pause:?}");
                        }
                        let newest = self.missed(&*backend).await;
                        // Nobody waits for what is before that, and what cannot be read would
                        // hide what comes after it.
                        after = after.max(newest);
                        break;
                    }
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

impl Ear {
    /// What became of the waiter. Must not be asked again once it has told.
    pub(crate) async fn hear(&mut self) -> Signal {
        (&mut self.signal).await.unwrap_or(Signal::Missed)
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.signal.close();
        let mut waiting = self.waits.lock();
        let Some(listeners) = waiting.get_mut(&self.handle) else {
            return;
        };
        // Of those that hang on the waiter only ours is closed.
        listeners.retain(|sender| !sender.is_closed());
        if listeners.is_empty() {
            waiting.remove(&self.handle);
        }
    }
}

#[cfg(test)]
mod tests;
