//! What one connection is at, and for how long: a few atomics, so that requests pay nothing for
//! timers.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use tokio::sync::Notify;

use super::registry::Order;

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

/// One connection's state, shared by its stream, its requests and the sweeper.
#[derive(Debug, Default)]
pub(super) struct Vitals {
    phase: AtomicU8,
    /// Whether an answer waits for the client to read.
    blocked: AtomicBool,
    /// Sweeps since the last change.
    quiet: AtomicU32,
    order: AtomicU8,
    ordered: Notify,
}

impl Vitals {
    /// The connection is now at this.
    pub(super) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Relaxed);
        self.quiet.store(0, Relaxed);
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
    pub(super) fn swept(&self, head_sweeps: u32, idle_sweeps: u32) -> bool {
        let quiet = self.quiet.fetch_add(1, Relaxed).saturating_add(1);
        let phase = self.phase.load(Relaxed);
        if phase == Phase::Head as u8 {
            quiet > head_sweeps
        } else if phase == Phase::Idle as u8 || self.blocked.load(Relaxed) {
            quiet > idle_sweeps
        } else {
            // Requests have deadlines of their own.
            false
        }
    }

    /// Tells the connection what to do.
    pub(super) fn order(&self, order: Order) {
        self.order.fetch_max(order as u8, Relaxed);
        self.ordered.notify_one();
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
