//! When a key was last used, to the day.
//!
//! A day is enough to find keys that nobody uses, and a gateway writes at most one record for each
//! key and day.

use std::fmt;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use leasehold_domain::WallMillis;

const DAY_MS: u64 = 86_400_000;
/// The length of `YYYY-MM-DD`.
const DATE_BYTES: usize = 10;

/// A day in UTC, counted from 1970-01-01, which is day 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UtcDay(u32);

impl UtcDay {
    /// Returns the day in which an instant lies.
    #[must_use]
    pub fn of(wall: WallMillis) -> Self {
        Self(u32::try_from(wall.0 / DAY_MS).unwrap_or(u32::MAX))
    }
}

impl fmt::Display for UtcDay {
    /// Writes `YYYY-MM-DD`; until the year 9999 the order of the texts is that of the days.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = WallMillis(u64::from(self.0).saturating_mul(DAY_MS));
        let text = crate::telemetry::rfc3339(first);
        f.write_str(text.get(..DATE_BYTES).unwrap_or(&text))
    }
}

/// The last use of one key, as far as this gateway knows. Day 0 is never.
#[derive(Debug, Default)]
pub(super) struct KeyUse {
    /// Here.
    last: AtomicU32,
    /// The latest that the store is known to have.
    recorded: AtomicU32,
}

impl KeyUse {
    /// Records a use at `now`. Writes to memory once a day.
    pub(super) fn used(&self, now: WallMillis) {
        let UtcDay(day) = UtcDay::of(now);
        if self.last.load(Relaxed) < day {
            self.last.fetch_max(day, Relaxed);
        }
    }

    /// Returns the day of the last use; `None` if there was none.
    pub(super) fn last(&self) -> Option<UtcDay> {
        let day = self.last.load(Relaxed);
        (day > 0).then_some(UtcDay(day))
    }

    /// Returns the same if the store is not known to have it.
    pub(super) fn unrecorded(&self) -> Option<UtcDay> {
        let recorded = UtcDay(self.recorded.load(Relaxed));
        self.last().filter(|last| *last > recorded)
    }

    /// Records that the store has this day or a later one.
    pub(super) fn recorded(&self, day: UtcDay) {
        self.recorded.fetch_max(day.0, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_written_as_dates_in_utc() {
        let day = |ms| UtcDay::of(WallMillis(ms)).to_string();
        assert_eq!(day(0), "1970-01-01");
        assert_eq!(day(1_763_906_400_007), "2025-11-23");
        assert_eq!(day(1_763_942_399_999), "2025-11-23");
        assert_eq!(day(1_763_942_400_000), "2025-11-24");
    }

    #[test]
    fn a_use_is_to_be_recorded_once_a_day_and_never_goes_back() {
        let one = KeyUse::default();
        assert_eq!((one.last(), one.unrecorded()), (None, None));
        one.used(WallMillis(5 * DAY_MS));
        assert_eq!(one.unrecorded(), Some(UtcDay(5)));
        one.recorded(UtcDay(5));
        one.used(WallMillis(6 * DAY_MS - 1));
        one.used(WallMillis(4 * DAY_MS));
        assert_eq!((one.last(), one.unrecorded()), (Some(UtcDay(5)), None));
        one.used(WallMillis(6 * DAY_MS));
        assert_eq!(one.unrecorded(), Some(UtcDay(6)));
    }
}
