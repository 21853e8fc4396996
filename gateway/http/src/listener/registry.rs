//! All open connections of a listener: swept for overdue ones by one task, instead of a timer for
//! each.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use leasehold_core::config::Limits;
use leasehold_core::telemetry::ConnectionMetrics;
use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;

use super::counted::Counted;
use super::vitals::Order;
use super::vitals::Sweeps;
use super::vitals::Vitals;
use crate::limiting::AddressGroup;

/// Sweeps within a deadline: a connection is closed at most a quarter of it late.
const SWEEPS_PER_DEADLINE: u64 = 4;
/// How many addresses, those with the most connections first, are searched for an idle one.
const GROUPS_TRIED_MAX: usize = 8;
/// How often a full listener looks for connections that have become idle.
const ROOM_LOOK_EVERY: Duration = Duration::from_millis(20);

/// The open connections.
pub(super) struct Registry {
    open: Mutex<Open>,
    emptied: Notify,
    /// Wakes the accept loop when a connection has ended.
    freed: Notify,
    counters: ConnectionMetrics,
    connections_max: usize,
    per_address_max: usize,
    sweep_every: Duration,
    deadlines: Sweeps,
}

#[derive(Default)]
struct Open {
    next: u64,
    order: Option<Order>,
    connections: HashMap<u64, Arc<Vitals>>,
    /// Those that count against the limits: all that were not told to go.
    counted: Counted,
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
    group: AddressGroup,
    registry: Arc<Registry>,
    pub(super) vitals: Arc<Vitals>,
}

/// Why a connection gets no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// Its address has as many as it may, and none of them is idle.
    Address,
    /// The listener has as many as it may, and none is idle that could go.
    Listener,
}

impl Registry {
    pub(super) fn new(limits: &Limits, counters: ConnectionMetrics) -> Self {
        let (head, idle) = (limits.header_deadline_ms, limits.idle_deadline_ms);
        let shortest = head.min(idle).min(limits.watch_unread_deadline_ms);
        let sweep_ms = (shortest / SWEEPS_PER_DEADLINE).max(1);
        let sweeps =
            |deadline_ms: u64| u32::try_from(deadline_ms.div_ceil(sweep_ms)).unwrap_or(u32::MAX);
        Self {
            open: Mutex::default(),
            emptied: Notify::new(),
            freed: Notify::new(),
            counters,
            connections_max: limits.connections_max,
            per_address_max: limits.connections_per_address_max,
            sweep_every: Duration::from_millis(sweep_ms),
            deadlines: Sweeps {
                head: sweeps(head),
                idle: sweeps(idle),
                watch: sweeps(limits.watch_unread_deadline_ms),
            },
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many connections are open.
    pub(super) fn len(&self) -> usize {
        self.open().connections.len()
    }

    /// Enters a connection. If there is no room, an idle connection goes: of the same address if
    /// that has as many as it may, else of the address that has the most.
    pub(super) fn enter(
        self: &Arc<Self>,
        group: AddressGroup,
        is_proxy: bool,
    ) -> Result<Place, Full> {
        let mut open = self.open();
        let of_address = open.counted.of(group);
        if !is_proxy && of_address >= self.per_address_max {
            if !self.evict(&mut open, group) {
                return Err(Full::Address);
            }
        } else if open.counted.len() >= self.connections_max && !self.make_room(&mut open, group) {
            return Err(Full::Listener);
        }
        let vitals = Arc::new(Vitals::default());
        if let Some(order) = open.order {
            vitals.order(order);
        }
        open.next += 1;
        let number = open.next;
        open.connections.insert(number, vitals.clone());
        open.counted.add(group, number);
        self.counters.open.inc();
        Ok(Place {
            number,
            group,
            registry: self.clone(),
            vitals,
        })
    }

    /// Lets one connection go of the address that has the most, if it has more than `newcomer`
    /// would have then, or is the same.
    fn make_room(&self, open: &mut Open, newcomer: AddressGroup) -> bool {
        let own = open.counted.of(newcomer);
        let largest = open.counted.largest(GROUPS_TRIED_MAX);
        let fair = |(size, group): &(usize, AddressGroup)| *size > own + 1 || *group == newcomer;
        let candidates = largest.into_iter().filter(fair);
        candidates
            .map(|(_, group)| group)
            .chain([newcomer])
            .any(|group| self.evict(open, group))
    }

    /// Lets the oldest idle connection of an address go.
    fn evict(&self, open: &mut Open, group: AddressGroup) -> bool {
        let Open {
            connections,
            counted,
            ..
        } = open;
        let idle = counted.connections(group).find_map(|number| {
            let vitals = connections.get(&number)?;
            Some((number, vitals.clone(), vitals.evicted_by()?))
        });
        let Some((number, vitals, order)) = idle else {
            return false;
        };
        vitals.order(order);
        counted.remove(group, number);
        self.counters.evicted.inc();
        true
    }

    /// Resolves when there may be room again. Connections that become idle say nothing, so this
    /// looks again in any case after a while.
    pub(super) async fn room(&self) {
        // An error means that the time is over, which is no reason not to look.
        let _ = tokio::time::timeout(ROOM_LOOK_EVERY, self.freed.notified()).await;
    }

    /// Tells every connection, also those to come.
    pub(super) fn order_all(&self, order: Order) {
        let mut open = self.open();
        open.order = Some(order);
        for vitals in open.connections.values() {
            vitals.order(order);
        }
    }

    /// Resolves when no connection is open.
    pub(super) async fn emptied(&self) {
        while self.len() > 0 {
            self.emptied.notified().await;
        }
    }

    fn sweep(&self) {
        let open = self.open();
        for vitals in open.connections.values() {
            if vitals.swept(self.deadlines) && vitals.order(Order::Close) && vitals.is_watch() {
                self.counters.slow_watches.inc();
            }
        }
    }
}

impl Place {
    /// The connection is another client's than its peer's: a proxy has said so.
    ///
    /// # Errors
    /// That client has as many as it may, and none of them is idle.
    pub(super) fn belongs_to(&mut self, group: AddressGroup) -> Result<(), Full> {
        let registry = self.registry.clone();
        let mut open = registry.open();
        if open.counted.of(group) >= registry.per_address_max && !registry.evict(&mut open, group) {
            return Err(Full::Address);
        }
        if open.counted.remove(self.group, self.number) {
            open.counted.add(group, self.number);
        }
        self.group = group;
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.registry.counters.open.dec();
        let mut open = self.registry.open();
        open.connections.remove(&self.number);
        open.counted.remove(self.group, self.number);
        self.registry.freed.notify_one();
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
