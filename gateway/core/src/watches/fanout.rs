//! One reader of a store's events for all watches.
//!
//! Each event is read and encoded once, and only watches that cover its lock are woken. They are
//! woken a few at a time, with pauses that grow with the time that they take: however many watches
//! there are, a client that waits for a lock does not wait for them. A watch that is woken later
//! finds more events at once.

mod ring;
mod subscription;

use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::sync::Weak;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use leasehold_domain::Cursor;
use leasehold_domain::Event;
use tokio::sync::Notify;
use tokio::sync::watch;

use self::ring::Ring;
use super::WatchScope;
use crate::store_client::StoreClient;

pub(super) use self::ring::Found;
pub(super) use self::subscription::Subscription;

/// How many watches are woken before the next pause.
const WAKES_PER_PAUSE: usize = 8;
/// The shortest pause; a runtime's timer has no shorter one.
const PAUSE_MIN: Duration = Duration::from_millis(1);
/// The longest pause, on a machine that is busy with other things.
const PAUSE_MAX: Duration = Duration::from_millis(50);
/// A pause is this much longer than what went before it took.
const PAUSE_FACTOR: u32 = 8;
/// How soon events are read again after the store failed to give them.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// An event, and its encoding once a watch has asked for it.
#[derive(Debug)]
pub struct Published {
    /// The event.
    pub event: Arc<Event>,
    encoded: OnceLock<Bytes>,
}

impl PartialEq for Published {
    fn eq(&self, other: &Self) -> bool {
        self.event == other.event
    }
}

impl Eq for Published {}

impl Published {
    pub(super) fn new(event: Arc<Event>) -> Arc<Self> {
        let encoded = OnceLock::new();
        Arc::new(Self { event, encoded })
    }

    /// The event as watches send it. All watches of a store must encode alike.
    pub fn encoded(&self, encode: impl FnOnce(&Event) -> Bytes) -> Bytes {
        self.encoded.get_or_init(|| encode(&self.event)).clone()
    }
}

/// The newest events of one store, and the watches that follow them.
pub(super) struct Fanout {
    ring: Mutex<Ring>,
    /// Wakes the task that wakes watches.
    queued: Arc<Notify>,
    /// Says whether the tasks run; dropped with this, which ends them.
    started: OnceLock<watch::Sender<()>>,
}

impl fmt::Debug for Fanout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fanout").finish_non_exhaustive()
    }
}

impl Fanout {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            ring: Mutex::default(),
            queued: Arc::default(),
            started: OnceLock::new(),
        })
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the tasks with the first watch; they end with the last handle of this.
    pub(super) fn start(self: &Arc<Self>, store: &Arc<StoreClient>) {
        self.started.get_or_init(|| {
            let (alive, ended) = watch::channel(());
            let fanout = Arc::downgrade(self);
            tokio::spawn(read(fanout.clone(), store.clone(), ended.clone()));
            tokio::spawn(wake(fanout, self.queued.clone(), store.clone(), ended));
            alive
        });
    }

    /// Follows the events of a scope after a cursor, if those after it are all here.
    pub(super) fn subscribe(
        self: &Arc<Self>,
        scope: &WatchScope,
        after: Cursor,
    ) -> Option<Subscription> {
        let (number, waker) = self.ring().subscribe(scope, after)?;
        Some(Subscription::new(self.clone(), number, waker))
    }

    fn publish(&self, event: Arc<Event>) {
        if self.ring().publish(event) {
            self.queued.notify_one();
        }
    }
}

/// Reads the store's events into the ring until the fan-out is gone.
async fn read(fanout: Weak<Fanout>, store: Arc<StoreClient>, mut ended: watch::Receiver<()>) {
    loop {
        let newest = store.health().await.newest;
        match fanout.upgrade() {
            Some(fanout) => fanout.ring().restart(newest),
            None => return,
        }
        let mut events = store.events(newest);
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                _ = ended.changed() => return,
            };
            let Some(fanout) = fanout.upgrade() else {
                return;
            };
            match event {
                Some(Ok(event)) => fanout.publish(event),
                // The watches ask the store themselves, and are told what is wrong with it.
                Some(Err(_)) | None => break fanout.ring().stop(),
            }
        }
        tokio::time::sleep(RETRY_AFTER).await;
    }
}

/// Wakes the watches that have something to read, a few at a time, until the fan-out is gone.
async fn wake(
    fanout: Weak<Fanout>,
    queued: Arc<Notify>,
    store: Arc<StoreClient>,
    mut ended: watch::Receiver<()>,
) {
    let (mut woken, mut took) = (0, Duration::ZERO);
    loop {
        let Some(next) = fanout.upgrade().map(|fanout| fanout.ring().next_to_wake()) else {
            return;
        };
        let Some(waker) = next else {
            tokio::select! {
                () = queued.notified() => continue,
                _ = ended.changed() => return,
            }
        };
        let began = store.monotonic();
        waker.notify_one();
        // What else is ready to run goes before the next watch.
        tokio::task::yield_now().await;
        took += store.monotonic() - began;
        woken += 1;
        if woken == WAKES_PER_PAUSE {
            let pause = (took * PAUSE_FACTOR).clamp(PAUSE_MIN, PAUSE_MAX);
            (woken, took) = (0, Duration::ZERO);
            tokio::time::sleep(pause).await;
        }
    }
}
