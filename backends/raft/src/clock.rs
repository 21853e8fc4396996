//! The leader's logical time: monotonic, counted on from the last applied time, each step capped.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use leasehold_domain::Clock;
use leasehold_domain::Millis;

use crate::entry::Term;

/// Counts logical time. It stands still while nobody looks for long: a leader that was frozen wakes
/// at the time at which it fell asleep, plus two ticks, and expires nobody on waking. It belongs to
/// one term: whoever leads again counts on from what the leaders between have left.
#[derive(Debug)]
pub(crate) struct Stamper {
    cap: Duration,
    inner: Mutex<Option<Inner>>,
}

#[derive(Debug)]
struct Inner {
    term: Term,
    now: Duration,
    seen: Duration,
}

impl Stamper {
    /// Two ticks are the most that one look may add.
    pub(crate) fn new(tick: Duration) -> Self {
        Self {
            cap: tick * 2,
            inner: Mutex::default(),
        }
    }

    /// Counts on from `base`, unless it counts in this term or a later one already.
    pub(crate) fn count_from(&self, term: Term, base: Millis, clock: &dyn Clock) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.as_ref().is_none_or(|inner| inner.term < term) {
            *inner = Some(Inner {
                term,
                now: Duration::from_millis(base.0),
                seen: clock.monotonic(),
            });
        }
    }

    /// Looks at the clock, and answers logical time; none if it does not count in this term. Never
    /// goes back.
    pub(crate) fn look(&self, term: Term, clock: &dyn Clock) -> Option<Millis> {
        let mut guard = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let inner = guard.as_mut().filter(|inner| inner.term == term)?;
        // Read under the lock: two looks must not be counted in the wrong order.
        let seen = clock.monotonic();
        inner.now += seen.saturating_sub(inner.seen).min(self.cap);
        inner.seen = inner.seen.max(seen);
        Some(Millis(
            u64::try_from(inner.now.as_millis()).unwrap_or(u64::MAX),
        ))
    }
}

#[cfg(test)]
mod tests {
    use leasehold_domain::ManualClock;

    use super::*;

    fn term(term: u64) -> Term {
        Term { term, node_id: 1 }
    }

    #[test]
    fn a_freeze_counts_for_two_ticks_and_idle_looks_add_up() {
        let clock = ManualClock::default();
        let stamper = Stamper::new(Duration::from_millis(100));
        stamper.count_from(term(1), Millis(1_000), &clock);
        let look = || stamper.look(term(1), &clock);
        for _ in 0..50 {
            clock.advance(100);
            look();
        }
        assert_eq!(look(), Some(Millis(6_000)));
        clock.advance(30_000);
        assert_eq!(look(), Some(Millis(6_200)), "frozen for 30 s");
        clock.set_wall(leasehold_domain::WallMillis(0));
        assert_eq!(look(), Some(Millis(6_200)), "wall time does not matter");
    }

    #[test]
    fn each_term_counts_from_what_was_applied_and_only_once() {
        let clock = ManualClock::default();
        let stamper = Stamper::new(Duration::from_millis(100));
        assert_eq!(stamper.look(term(1), &clock), None);
        stamper.count_from(term(1), Millis(1_000), &clock);
        clock.advance(100);
        stamper.count_from(term(1), Millis(9_000), &clock);
        assert_eq!(stamper.look(term(1), &clock), Some(Millis(1_100)));
        // Another led in term 2, and its clock came less far than ours would have.
        stamper.count_from(term(3), Millis(1_050), &clock);
        assert_eq!(stamper.look(term(1), &clock), None);
        assert_eq!(stamper.look(term(3), &clock), Some(Millis(1_050)));
    }
}
