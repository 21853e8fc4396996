//! What one connection is at, and for how long: a few atomics, so that requests pay nothing for
//! timers.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use hyper::body::Incoming;
use tokio::sync::Notify;

/// What a connection is told. A later one outranks an earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Order {
    /// Finish the request under way, then close.
    Drain = 1,
    /// Close now.
    Close = 2,
}

/// What a connection is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// A request's head is expected now, or has arrived in part.
    Head = 0,
    /// A request is under way.
    Busy = 1,
    /// Nothing is asked; the client keeps the connection for later.
    Idle = 2,
}

/// After how many sweeps without a change a connection is overdue.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sweeps {
    /// While a request's head is expected.
    pub(super) head: u32,
    /// While it is idle, or an answer waits for its client to read.
    pub(super) idle: u32,
    /// While a watch waits for its client to read.
    pub(super) watch: u32,
}

/// One connection's state, shared by its stream, its requests and the sweeper.
#[derive(Debug, Default)]
pub(super) struct Vitals {
    phase: AtomicU8,
    /// Whether an answer waits for the client to read.
    blocked: AtomicBool,
    /// Whether the answer under way is a watch.
    watch: AtomicBool,
    /// Sweeps since the last change.
    quiet: AtomicU32,
    order: AtomicU8,
    ordered: Notify,
    bare_line_feed: AtomicBool,
    lingers: AtomicBool,
    /// The body of the request under way, if it was dropped before its end.
    unread: Mutex<Option<Incoming>>,
}

impl Vitals {
    /// The connection is now at this.
    pub(super) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Relaxed);
        self.quiet.store(0, Relaxed);
        if phase == Phase::Busy {
            // A connection may be used for other requests after a watch.
            self.watch.store(false, Relaxed);
        }
    }

    /// The answer under way is a watch.
    pub(super) fn watches(&self) {
        self.watch.store(true, Relaxed);
    }

    /// Whether the answer under way is a watch.
    pub(super) fn is_watch(&self) -> bool {
        self.watch.load(Relaxed)
    }

    /// Bytes arrived.
    pub(super) fn read(&self) {
        if self.phase.load(Relaxed) == Phase::Idle as u8 {
            self.enter(Phase::Head);
        }
    }

    /// Bytes left, or could not.
    pub(super) fn wrote(&self, blocked: bool) {
        if blocked != self.blocked.swap(blocked, Relaxed) || !blocked {
            self.quiet.store(0, Relaxed);
        }
    }

    /// One more sweep without a change. Answers whether the connection is overdue.
    pub(super) fn swept(&self, deadlines: Sweeps) -> bool {
        let quiet = self.quiet.fetch_add(1, Relaxed).saturating_add(1);
        let phase = self.phase.load(Relaxed);
        if phase == Phase::Head as u8 {
            quiet > deadlines.head
        } else if phase == Phase::Idle as u8 {
            quiet > deadlines.idle
        } else if self.blocked.load(Relaxed) {
            let unread = if self.is_watch() {
                deadlines.watch
            } else {
                deadlines.idle
            };
            quiet > unread
        } else {
            // Requests have deadlines of their own.
            false
        }
    }

    /// A line of a request's head ended with LF alone.
    pub(super) fn found_bare_line_feed(&self) {
        self.bare_line_feed.store(true, Relaxed);
    }

    /// Whether a line of a request's head ended with LF alone.
    pub(super) fn has_bare_line_feed(&self) -> bool {
        self.bare_line_feed.load(Relaxed)
    }

    /// Leaves the rest of a request's body here.
    pub(super) fn leave_unread(&self, body: Incoming) {
        *self.unread.lock().unwrap_or_else(PoisonError::into_inner) = Some(body);
    }

    /// Takes the rest of a request's body, if there is one.
    pub(super) fn take_unread(&self) -> Option<Incoming> {
        let mut unread = self.unread.lock().unwrap_or_else(PoisonError::into_inner);
        unread.take()
    }

    /// The connection will be closed while its client may still send.
    pub(super) fn linger(&self) {
        self.lingers.store(true, Relaxed);
    }

    /// Whether the connection closes in two steps.
    pub(super) fn lingers(&self) -> bool {
        self.lingers.load(Relaxed)
    }

    /// What to tell the connection if its place is needed by another: nothing while a request is
    /// under way.
    pub(super) fn evicted_by(&self) -> Option<Order> {
        let phase = self.phase.load(Relaxed);
        if phase == Phase::Busy as u8 {
            return None;
        }
        // A request that arrives on an idle connection meanwhile is still answered.
        Some(if phase == Phase::Idle as u8 {
            Order::Drain
        } else {
            Order::Close
        })
    }

    /// Tells the connection what to do. Returns whether that is news to it.
    pub(super) fn order(&self, order: Order) -> bool {
        let before = self.order.fetch_max(order as u8, Relaxed);
        self.ordered.notify_one();
        before < order as u8
    }

    /// What the connection was told, once it is.
    pub(super) async fn ordered(&self) -> Order {
        self.ordered.notified().await;
        if self.order.load(Relaxed) == Order::Close as u8 {
            Order::Close
        } else {
            Order::Drain
        }
    }
}
