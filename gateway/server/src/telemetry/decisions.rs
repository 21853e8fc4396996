//! What is measured of one policy's answers.

use std::fmt;
use std::time::Duration;

use leasehold_domain::PolicyAnswer;
use prometheus::Histogram;
use prometheus::IntCounter;

/// The counters of one version of a policy at one enforcement level.
pub(crate) struct DecisionMetrics {
    /// In the order of [`PolicyAnswer::KINDS`].
    answers: [IntCounter; PolicyAnswer::KINDS.len()],
    seconds: Histogram,
}

impl DecisionMetrics {
    pub(super) fn new(
        answers: [IntCounter; PolicyAnswer::KINDS.len()],
        seconds: Histogram,
    ) -> Self {
        Self { answers, seconds }
    }

    /// The policy answered.
    pub(crate) fn decided(&self, answer: &PolicyAnswer, took: Duration) {
        self.answers[answer.kind()].inc();
        self.seconds.observe(took.as_secs_f64());
    }
}

impl fmt::Debug for DecisionMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecisionMetrics").finish_non_exhaustive()
    }
}
