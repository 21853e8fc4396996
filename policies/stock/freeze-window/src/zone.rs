//! The clocks of time zones: what they show at a moment, and when they show a time.

mod rule;

use std::cell::Cell;

use leasehold_policy_sdk::UtcTime;

use self::rule::Change;
use self::rule::Summer;

pub(crate) const MINUTE_MS: i64 = 60_000;
pub(crate) const HOUR_MS: i64 = 60 * MINUTE_MS;
pub(crate) const DAY_MS: i64 = 24 * HOUR_MS;

/// More than clocks are ever put forward or back at once by the rules of the table.
pub(crate) const PUT_BACK_MAX_MS: i64 = 3 * HOUR_MS;

/// What a clock on the wall shows, in milliseconds since it showed 1970-01-01 00:00.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Wall(pub(crate) i64);

/// Which moment is meant if clocks show a time twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Twice {
    First,
    Second,
}

/// A time zone by its present rule.
#[derive(Debug, Clone)]
pub(crate) struct Zone {
    standard_ms: i64,
    summer: Option<Summer>,
    /// The changes of the year that was asked for last.
    changes: Cell<YearOfChanges>,
}

/// When summer time begins and ends in one year; moments in milliseconds since 1970 in UTC.
#[derive(Debug, Clone, Copy, Default)]
struct YearOfChanges {
    /// The year by the clock of standard time.
    from: Wall,
    until: Wall,
    begins: i64,
    ends: i64,
}

impl Wall {
    /// A day's beginning. The 29th of February is the 1st of March in other years.
    pub(crate) fn at_midnight(year: u64, month: u8, day: u8) -> Self {
        let (month, day) = (u64::from(month), u64::from(day));
        let found = UtcTime::at_midnight(year, month, day);
        let found = found.or_else(|| UtcTime::at_midnight(year, month + 1, 1));
        Self(found.map_or(0, millis))
    }

    /// Year, month and day.
    pub(crate) fn date(self) -> (u64, u64, u64) {
        utc(self.0).date()
    }

    pub(crate) fn plus(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// The date and the time, like `2026-12-24 18:00`.
    pub(crate) fn to_minute(self) -> String {
        let mut text = utc(self.0).to_string().replace('T', " ");
        text.truncate(16);
        text
    }
}

impl Zone {
    /// A clock that is always as much ahead of UTC.
    pub(crate) fn fixed(standard_ms: i64) -> Self {
        Self {
            standard_ms,
            summer: None,
            changes: Cell::default(),
        }
    }

    /// What the clock shows.
    pub(crate) fn wall(&self, at: UtcTime) -> Wall {
        Wall(millis(at) + self.offset(millis(at)))
    }

    /// When the clock shows a time. A time that is left out, because the clock is put forward, is the
    /// moment at which it is.
    pub(crate) fn utc(&self, wall: Wall, twice: Twice) -> UtcTime {
        let Some(summer) = &self.summer else {
            return utc(wall.0 - self.standard_ms);
        };
        let less = self.standard_ms.min(summer.offset_ms);
        let more = self.standard_ms.max(summer.offset_ms);
        let (early, late) = (wall.0 - more, wall.0 - less);
        let is_early = self.offset(early) == more;
        let is_late = self.offset(late) == less;
        utc(match (is_early, is_late, twice) {
            (true, true, Twice::First) | (true, false, _) => early,
            (true, true, Twice::Second) | (false, true, _) => late,
            (false, false, _) => {
                let changes = self.changes(summer, early);
                let change = [changes.begins, changes.ends];
                let change = change
                    .into_iter()
                    .find(|change| (early..=late).contains(change));
                change.unwrap_or(late)
            }
        })
    }

    /// How much the clock is ahead of UTC.
    fn offset(&self, at: i64) -> i64 {
        let Some(summer) = &self.summer else {
            return self.standard_ms;
        };
        let YearOfChanges { begins, ends, .. } = self.changes(summer, at);
        let is_summer = if begins < ends {
            (begins..ends).contains(&at)
        } else {
            !(ends..begins).contains(&at)
        };
        if is_summer {
            summer.offset_ms
        } else {
            self.standard_ms
        }
    }

    fn changes(&self, summer: &Summer, at: i64) -> YearOfChanges {
        let known = self.changes.get();
        let wall = Wall(at + self.standard_ms);
        if (known.from..known.until).contains(&wall) {
            return known;
        }
        let (year, ..) = wall.date();
        let moment = |change: &Change, offset_ms| change.wall(year).0 - offset_ms;
        let changes = YearOfChanges {
            from: Wall::at_midnight(year, 1, 1),
            until: Wall::at_midnight(year + 1, 1, 1),
            begins: moment(&summer.begins, self.standard_ms),
            ends: moment(&summer.ends, summer.offset_ms),
        };
        self.changes.set(changes);
        changes
    }
}

fn millis(at: UtcTime) -> i64 {
    i64::try_from(at.as_millis()).unwrap_or(i64::MAX / 2)
}

/// Times before 1970 are its beginning.
fn utc(ms: i64) -> UtcTime {
    UtcTime::from_millis(u64::try_from(ms).unwrap_or(0))
}
