//! Metrics of the witnesses of the ledgers.

use prometheus::IntCounterVec;

use super::maker::Maker;

/// What is counted of witnesses.
pub(super) struct WitnessMetrics {
    requests: IntCounterVec,
}

impl WitnessMetrics {
    pub(super) fn new(make: &Maker) -> Self {
        Self {
            requests: make.counters(
                "leasehold_witness_requests_total",
                "Checkpoints that witnesses were asked to cosign, by what came of it (cosigned; refused; behind: another gateway has shown it more; unreachable; failed: the proof could not be made).",
                &["outcome"],
            ),
        }
    }

    pub(super) fn asked(&self, outcome: &str) {
        self.requests.with_label_values(&[outcome]).inc();
    }
}
