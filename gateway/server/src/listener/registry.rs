//! All open connections of a listener: swept for overdue ones by one task, instead of a timer for
//! each.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use prometheus::IntGauge;
use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;

use super::vitals::Vitals;
use crate::config::Limits;

/// Sweeps within a deadline: a connection is closed at most a quarter of it late.
const SWEEPS_PER_DEADLINE: u64 = 4;

/// What a connection is told. A later one outranks an earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Order {
    /// Finish the request under way, then close.
    Drain = 1,
    /// Close now.
    Close = 2,
}

/// The open connections.
pub(super) struct Registry {
    open: Mutex<Open>,
    emptied: Notify,
    gauge: IntGauge,
    sweep_every: Duration,
    head_sweeps: u32,
    idle_sweeps: u32,
}

#[derive(Default)]
struct Open {
    next: u64,
    order: Option<Order>,
    connections: HashMap<u64, Arc<Vitals>>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("open", &self.len())
            .finish_non_exhaustive()
    }
}

/// A connection's place; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    number: u64,
    registry: Arc<Registry>,
    pub(super) vitals: Arc<Vitals>,
}

impl Registry {
    pub(super) fn new(limits: &Limits, gauge: IntGauge) -> Self {
        let (head, idle) = (limits.header_deadline_ms, limits.idle_deadline_ms);
        let sweep_ms = (head.min(idle) / SWEEPS_PER_DEADLINE).max(1);
        let sweeps =
            |deadline_ms: u64| u32::try_from(deadline_ms.div_ceil(sweep_ms)).unwrap_or(u32::MAX);
        Self {
            open: Mutex::default(),
            emptied: Notify::new(),
            gauge,
            sweep_every: Duration::from_millis(sweep_ms),
            head_sweeps: sweeps(head),
            idle_sweeps: sweeps(idle),
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many connections are open.
    pub(super) fn len(&self) -> usize {
        self.open().connections.len()
    }

    /// Enters a connection.
    pub(super) fn enter(self: &Arc<Self>) -> Place {
        let vitals = Arc::new(Vitals::default());
        let mut open = self.open();
        if let Some(order) = open.order {
            vitals.order(order);
        }
        open.next += 1;
        let number = open.next;
        open.connections.insert(number, vitals.clone());
        self.gauge.inc();
        Place {
            number,
            registry: self.clone(),
            vitals,
        }
    }

    /// Tells every connection, also those to come.
    pub(super) fn order_all(&self, order: Order) {
        let mut open = self.open();
        open.order = Some(order);
        open.connections
            .values()
            .for_each(|vitals| vitals.order(order));
    }

    /// Resolves when no connection is open.
    pub(super) async fn emptied(&self) {
        while self.len() > 0 {
            self.emptied.notified().await;
        }
    }

    fn sweep(&self) {
        let overdue = |vitals: &&Arc<Vitals>| vitals.swept(self.head_sweeps, self.idle_sweeps);
        let open = self.open();
        open.connections
            .values()
            .filter(overdue)
            .for_each(|vitals| vitals.order(Order::Close));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.registry.gauge.dec();
        let mut open = self.registry.open();
        open.connections.remove(&self.number);
        if open.connections.is_empty() {
            // Kept for the one who waits, if it begins to wait only now.
            self.registry.emptied.notify_one();
        }
    }
}

/// Closes overdue connections, for ever.
pub(super) async fn sweep(registry: Arc<Registry>) {
    let mut ticks = tokio::time::interval(registry.sweep_every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        registry.sweep();
    }
}
