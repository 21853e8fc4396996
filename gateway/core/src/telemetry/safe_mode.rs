//! What is counted of safe mode. The label `store` is bounded by the configuration.

use leasehold_domain::StoreName;
use prometheus::IntCounter;
use prometheus::IntCounterVec;
use prometheus::IntGauge;
use prometheus::IntGaugeVec;

use super::maker::Maker;

/// What is counted of one store's safe mode; there, as 0, from the store's opening on.
#[derive(Debug)]
pub(crate) struct SafeModeMetrics {
    on: IntGauge,
    refusals: IntCounter,
    incidents: IntCounter,
}

impl SafeModeMetrics {
    /// It is on, or off.
    pub(crate) fn on(&self, on: bool) {
        self.on.set(i64::from(on));
    }

    /// A request was refused because of it.
    pub(crate) fn refused(&self) {
        self.refusals.inc();
    }

    /// An incident was opened.
    pub(crate) fn opened(&self) {
        self.incidents.inc();
    }
}

/// The same of all stores.
pub(super) struct SafeModeFamilies {
    on: IntGaugeVec,
    refusals: IntCounterVec,
    incidents: IntCounterVec,
}

impl SafeModeFamilies {
    pub(super) fn new(make: &Maker) -> Self {
        Self {
            on: make.gauges(
                "leasehold_safe_mode",
                "Whether a store has not agreed for its window, and grants nothing.",
                &["store"],
            ),
            refusals: make.counters(
                "leasehold_safe_mode_refusals_total",
                "Requests refused because their store is in safe mode.",
                &["store"],
            ),
            incidents: make.counters(
                "leasehold_incidents_total",
                "Times that a store went into safe mode.",
                &["store"],
            ),
        }
    }

    pub(super) fn of(&self, store: &StoreName) -> SafeModeMetrics {
        let labels = [store.as_str()];
        SafeModeMetrics {
            on: self.on.with_label_values(&labels),
            refusals: self.refusals.with_label_values(&labels),
            incidents: self.incidents.with_label_values(&labels),
        }
    }
}
