//! The leader's logical time: monotonic, counted on from the last applied time, each step capped.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use leasehold_domain::Clock;
use leasehold_domain::Millis;

/// Counts logical time. It stands still while nobody looks for long: a leader that was frozen wakes
/// at the time at which it fell asleep, plus two ticks, and expires nobody on waking.
#[derive(Debug)]
pub(crate) struct Stamper {
    cap: Duration,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    now: Duration,
    seen: Duration,
}

impl Stamper {
    /// Counts on from `base`. Two ticks are the most that one look may add.
    pub(crate) fn new(base: Millis, tick: Duration, clock: &dyn Clock) -> Self {
        let inner = Inner {
            now: Duration::from_millis(base.0),
            seen: clock.monotonic(),
        };
        Self {
            cap: tick * 2,
            inner: Mutex::new(inner),
        }
    }

    /// Looks at the clock, and answers logical time. Never goes back.
    pub(crate) fn look(&self, clock: &dyn Clock) -> Millis {
        let mut guard = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let inner = &mut *guard;
        // Read under the lock: two looks must not be counted in the wrong order.
        let seen = clock.monotonic();
        inner.now += seen.saturating_sub(inner.seen).min(self.cap);
        inner.seen = inner.seen.max(seen);
        Millis(u64::try_from(inner.now.as_millis()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use leasehold_domain::ManualClock;

    use super::*;

    #[test]
    fn a_freeze_counts_for_two_ticks_and_idle_looks_add_up() {
        let clock = ManualClock::default();
        let stamper = Stamper::new(Millis(1_000), Duration::from_millis(100), &clock);
        for _ in 0..50 {
            clock.advance(100);
            stamper.look(&clock);
        }
        assert_eq!(stamper.look(&clock), Millis(6_000));
        clock.advance(30_000);
        assert_eq!(stamper.look(&clock), Millis(6_200), "frozen for 30 s");
        clock.set_wall(leasehold_domain::WallMillis(0));
        assert_eq!(
            stamper.look(&clock),
            Millis(6_200),
            "wall time does not matter"
        );
    }
}
