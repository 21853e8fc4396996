//! What is measured of each store. The label `store` is bounded by the configuration.

use std::time::Duration;

use leasehold_backend_api::Health;
use leasehold_domain::Operation;
use leasehold_domain::StoreName;
use prometheus::GaugeVec;
use prometheus::Histogram;
use prometheus::IntGaugeVec;
use prometheus::Opts;

use super::Lag;
use super::maker::Maker;

/// What the door of one store counts.
#[derive(Debug)]
pub(crate) struct StoreMetrics {
    pub(super) backend_seconds: [Histogram; Operation::ALL.len()],
}

impl StoreMetrics {
    /// The backend carried out a command, or failed to.
    pub(crate) fn executed(&self, operation: Operation, took: Duration) {
        self.backend_seconds[operation as usize].observe(took.as_secs_f64());
    }
}

/// How a store is when Prometheus asks.
#[derive(Debug)]
pub struct Scraped {
    /// What the store says of itself.
    pub health: Health,
    /// How far its ledger is behind.
    pub lag: Lag,
    /// Whether the ledger's last write failed.
    pub ledger_is_failing: bool,
    /// How many events the ledger does not have yet.
    pub unwritten_events: u64,
}

/// Gauges that are set when Prometheus asks.
pub(super) struct StoreGauges {
    locks: IntGaugeVec,
    leases: IntGaugeVec,
    waiters: IntGaugeVec,
    ready: IntGaugeVec,
    lag_events: IntGaugeVec,
    kept_events: IntGaugeVec,
    lag_seconds: GaugeVec,
    failing: IntGaugeVec,
    unwritten: IntGaugeVec,
}

impl StoreGauges {
    pub(super) fn new(make: &Maker) -> Self {
        let gauges = |name, help| make.gauges(name, help, &["store"]);
        let age = Opts::new(
            "leasehold_ledger_lag_seconds",
            "Age of the oldest event that is not in the ledger yet.",
        );
        Self {
            locks: gauges("leasehold_locks", "Locks that have a record."),
            leases: gauges("leasehold_leases", "Leases that are held."),
            waiters: gauges("leasehold_waiters", "Acquires that stand in a queue."),
            ready: gauges("leasehold_backend_ready", "Whether the backend can write."),
            lag_events: gauges(
                "leasehold_ledger_lag_events",
                "Events not in the ledger yet.",
            ),
            kept_events: gauges(
                "leasehold_store_events",
                "Events that the store still has; older ones are in the ledger only.",
            ),
            lag_seconds: make.put(GaugeVec::new(age, &["store"])),
            failing: gauges(
                "leasehold_ledger_failing",
                "Whether attempts to bring events into the ledger fail.",
            ),
            unwritten: gauges(
                "leasehold_ledger_unwritten_events",
                "Events that the store keeps because the ledger does not have them.",
            ),
        }
    }

    pub(super) fn set(&self, open: &[(&StoreName, Scraped)], closed: &[&StoreName]) {
        for (name, scraped) in open {
            let Scraped { health, lag, .. } = scraped;
            let labels = [name.as_str()];
            let set = |gauges: &IntGaugeVec, value: u64| {
                let value = i64::try_from(value).unwrap_or(i64::MAX);
                gauges.with_label_values(&labels).set(value);
            };
            set(&self.locks, health.counts.locks);
            set(&self.leases, health.counts.leases);
            set(&self.waiters, health.counts.waiters);
            set(&self.ready, u64::from(health.ready));
            set(&self.lag_events, lag.events);
            let kept = health.newest.0.saturating_sub(health.trimmed.0);
            set(&self.kept_events, kept);
            set(&self.failing, u64::from(scraped.ledger_is_failing));
            set(&self.unwritten, scraped.unwritten_events);
            self.lag_seconds.with_label_values(&labels).set(lag.seconds);
        }
        for name in closed {
            self.ready.with_label_values(&[name.as_str()]).set(0);
        }
    }
}
