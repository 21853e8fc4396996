//! Logical time: what this gateway's monotonic clock counts, and nobody else's.
//!
//! No two gateways have a common time. A record keeps the time of whoever wrote it; a gateway that
//! sees it puts it on its own clock, as if it had been written at the moment at which it arrived
//! ([`leasehold_machine::LockRecord::rebased`]). So what was to last for a while lasts for that
//! while from a moment that is not before the write: never shorter. The gateway that wrote the
//! record knows when that was, and counts on from there.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use leasehold_domain::Clock;
use leasehold_domain::Millis;

/// Where a new store begins, so that times before a record's first sight are not below zero: about
/// two years.
pub(crate) const ORIGIN: Millis = Millis(1 << 36);

/// Counts logical time for one gateway. It stands still while nobody looks for long, so that a
/// gateway that was frozen expires nobody on waking.
#[derive(Debug)]
pub(crate) struct Timekeeper {
    clock: Arc<dyn Clock>,
    cap: Duration,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    now: Duration,
    seen: Duration,
}

impl Timekeeper {
    /// `cap` is the most that one look may add.
    pub(crate) fn new(clock: Arc<dyn Clock>, cap: Duration) -> Self {
        let inner = Inner {
            now: Duration::from_millis(ORIGIN.0),
            seen: clock.monotonic(),
        };
        Self {
            clock,
            cap,
            inner: Mutex::new(inner),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the clock, and answers logical time.
    pub(crate) fn look(&self) -> Millis {
        let mut inner = self.lock();
        // Read under the lock: two looks must not be counted in the wrong order.
        let seen = self.clock.monotonic();
        let step = seen.saturating_sub(inner.seen).min(self.cap);
        inner.now += step;
        inner.seen = inner.seen.max(seen);
        Millis(u64::try_from(inner.now.as_millis()).unwrap_or(u64::MAX))
    }

    /// Looks at the clock for what has just arrived from another gateway: rounded up, because the
    /// other's milliseconds do not begin where this one's do.
    pub(crate) fn arrival(&self) -> Millis {
        self.look().over_from()
    }

    /// Goes on from `now`, if that is later. Only before any record is on this clock: what is would
    /// grow older by a leap.
    pub(crate) fn begin_at(&self, now: Millis) {
        let mut inner = self.lock();
        inner.now = inner.now.max(Duration::from_millis(now.0));
    }

    /// The gateway's clock itself.
    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }
}

#[cfg(test)]
mod tests {
    use leasehold_domain::ManualClock;

    use super::*;

    #[test]
    fn a_freeze_counts_for_the_cap() {
        let clock = Arc::new(ManualClock::default());
        let keeper = Timekeeper::new(clock.clone(), Duration::from_millis(200));
        assert_eq!(keeper.look(), ORIGIN);
        keeper.begin_at(ORIGIN.plus(5_000));
        for _ in 0..10 {
            clock.advance(100);
            keeper.look();
        }
        assert_eq!(keeper.look(), ORIGIN.plus(6_000));
        clock.advance(30_000);
        assert_eq!(keeper.look(), ORIGIN.plus(6_200));
        keeper.begin_at(ORIGIN);
        assert_eq!(keeper.look(), ORIGIN.plus(6_200));
    }
}
