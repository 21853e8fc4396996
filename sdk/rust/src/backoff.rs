//! How long to wait before asking again.

use std::time::Duration;

use rand::RngExt;

/// The pause after the first failure.
const FIRST: Duration = Duration::from_millis(200);
/// No pause is longer, unless the gateway asks for it.
const LONGEST: Duration = Duration::from_secs(5);
/// However long the gateway asks for, no pause is longer.
const ASKED_LONGEST: Duration = Duration::from_secs(30);

/// Pauses that double with each failure in a row, spread so that clients do not come in step.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// How many failures in a row.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// An answer came.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// The pause after one more failure: at least what the gateway asked for, within reason.
    pub(crate) fn pause(&mut self, asked_ms: Option<u64>) -> Duration {
        let doubled = FIRST.saturating_mul(2_u32.saturating_pow(self.failures));
        self.failures = self.failures.saturating_add(1);
        let full = doubled.min(LONGEST);
        let spread = rand::rng().random_range(0.5..=1.0);
        let asked = asked_ms.map_or(Duration::ZERO, Duration::from_millis);
        full.mul_f64(spread).max(asked.min(ASKED_LONGEST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_bound_and_heed_the_gateway() {
        let mut backoff = Backoff::default();
        let first = backoff.pause(None);
        assert!(first >= FIRST / 2 && first <= FIRST, "{first:?}");
        for _ in 0..100 {
            assert!(backoff.pause(None) <= LONGEST);
        }
        assert!(backoff.pause(None) >= LONGEST / 2);
        assert_eq!(backoff.failures(), 102);
        assert_eq!(backoff.pause(Some(u64::MAX)), ASKED_LONGEST);
        backoff.reset();
        assert!(backoff.pause(Some(300)) >= Duration::from_millis(300));
    }
}
