//! Waiting requests: tells a long poll that its waiter was granted, from the backend's events.

use std::collections::HashMap;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use futures_util::StreamExt;
use leasehold_backend_api::Backend;
use leasehold_domain::Cursor;
use leasehold_domain::Event;
use leasehold_domain::EventKind;
use leasehold_domain::FencingToken;
use leasehold_domain::LeaseHandle;
use leasehold_domain::Transition;
use tokio::sync::oneshot;

use crate::telemetry::Metrics;

/// What became of a waiter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
}

/// Who waits on this gateway.
#[derive(Default)]
pub(crate) struct Waits {
    waiting: Mutex<HashMap<LeaseHandle, oneshot::Sender<Signal>>>,
    /// Waiters whose long poll has ended, and whose client may ask again in their place.
    abandoned: Mutex<HashSet<LeaseHandle>>,
}

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
    fn lock(&self) -> MutexGuard<'_, HashMap<LeaseHandle, oneshot::Sender<Signal>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Listens for a waiter. Must be called before its acquire is executed, so that no grant is
    /// missed. An earlier ear of the same waiter goes deaf: its client has asked again.
    pub(crate) fn listen(self: &Arc<Self>, handle: LeaseHandle) -> Ear {
        let (sender, signal) = oneshot::channel();
        self.lock().insert(handle, sender);
        Ear {
            handle,
            waits: self.clone(),
            signal,
        }
    }

    fn abandoned(&self) -> MutexGuard<'_, HashSet<LeaseHandle>> {
        self.abandoned
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The waiter's long poll has ended without a grant.
    pub(crate) fn abandon(&self, handle: LeaseHandle) {
        self.abandoned().insert(handle);
    }

    /// The waiter's client is there, or need not be waited for any more; whether it was missing.
    pub(crate) fn claim(&self, handle: LeaseHandle) -> bool {
        self.abandoned().remove(&handle)
    }

    fn tell(&self, handle: LeaseHandle, signal: Signal) {
        if let Some(sender) = self.lock().remove(&handle) {
            // The listener may have left; its guard then gives the grant back.
            let _ = sender.send(signal);
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
                Transition::WaitEnded { handle, .. } => self.tell(*handle, Signal::Ended),
                _ => {}
            }
        }
    }

    /// Follows the backend's events for ever.
    pub(crate) async fn follow(
        self: Arc<Self>,
        backend: Arc<dyn Backend>,
        from: Cursor,
        metrics: Arc<Metrics>,
    ) {
        let mut after = from;
        loop {
            let mut events = backend.events(after);
            while let Some(event) = events.next().await {
                match event {
                    Ok(event) => {
                        after = event.cursor;
                        self.hear(&event);
                        metrics.observe(&event);
                    }
                    Err(error) => {
                        // A grant may have been missed: all polls end now, and their clients ask
                        // again in their places.
                        self.lock().clear();
                        tracing::error!(%error, after = after.0, "waits.events failed");
                        after = after.max(backend.health().await.trimmed);
                        break;
                    }
                }
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }
}

impl Ear {
    /// What became of the waiter; none if its client asked again elsewhere.
    pub(crate) async fn hear(&mut self) -> Option<Signal> {
        (&mut self.signal).await.ok()
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.signal.close();
        let mut waiting = self.waits.lock();
        // Another ear may have taken the place; only ours is closed.
        if waiting
            .get(&self.handle)
            .is_some_and(oneshot::Sender::is_closed)
        {
            waiting.remove(&self.handle);
        }
    }
}
