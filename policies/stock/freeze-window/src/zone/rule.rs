//! Rules of time zones as POSIX writes them: `CET-1CEST,M3.5.0,M10.5.0/3` is an hour ahead of UTC,
//! and two from the last Sunday of March at 02:00 to the last one of October at 03:00.

use super::DAY_MS;
use super::HOUR_MS;
use super::MINUTE_MS;
use super::Wall;
use super::Zone;

/// Summer time.
#[derive(Debug, Clone)]
pub(super) struct Summer {
    pub(super) offset_ms: i64,
    pub(super) begins: Change,
    pub(super) ends: Change,
}

/// When clocks are changed each year, by the clock that is changed.
#[derive(Debug, Clone)]
pub(super) struct Change {
    month: u8,
    /// 1 for the first such day of the month, 5 for the last.
    week: u8,
    /// 0 for Sunday.
    weekday: u8,
    /// From the day's midnight. May be before it, or on a later day.
    time_ms: i64,
}

impl Change {
    /// What the clock shows when it is changed in that year.
    pub(super) fn wall(&self, year: u64) -> Wall {
        let first = Wall::at_midnight(year, self.month, 1).0 / DAY_MS;
        let (next_year, next_month) = match self.month {
            12 => (year + 1, 1),
            month => (year, month + 1),
        };
        let next = Wall::at_midnight(next_year, next_month, 1).0 / DAY_MS;
        // The 1st of January 1970 was a Thursday, day 4.
        let ahead = (i64::from(self.weekday) - (first + 4)).rem_euclid(7);
        let day = first + ahead + 7 * (i64::from(self.week) - 1);
        let day = if day < next { day } else { day - 7 };
        Wall(day * DAY_MS + self.time_ms)
    }
}

impl Zone {
    /// Reads a rule; `None` if it is not one, or is written by days of the year.
    pub(crate) fn of_rule(text: &str) -> Option<Self> {
        let (zone, changes) = match text.split_once(',') {
            Some((zone, changes)) => (zone, Some(changes)),
            None => (text, None),
        };
        let (standard, rest) = time(after_name(zone)?)?;
        // POSIX counts to the west.
        let mut zone = Self::fixed(-standard);
        if let Some(changes) = changes {
            let rest = after_name(rest)?;
            let offset = match rest.is_empty() {
                true => -standard + HOUR_MS,
                false => -time(rest)?.0,
            };
            let (begins, ends) = changes.split_once(',')?;
            zone.summer = Some(Summer {
                offset_ms: offset,
                begins: change(begins)?,
                ends: change(ends)?,
            });
        } else if !rest.is_empty() {
            return None;
        }
        Some(zone)
    }
}

/// What follows a name such as `CET` or `<+0330>`.
fn after_name(text: &str) -> Option<&str> {
    match text.strip_prefix('<') {
        Some(quoted) => quoted.split_once('>').map(|(_, rest)| rest),
        None => Some(text.trim_start_matches(|c: char| c.is_ascii_alphabetic())),
    }
}

/// Hours, and perhaps minutes and seconds, and what follows them.
fn time(text: &str) -> Option<(i64, &str)> {
    let length = text.find(|c: char| !(c.is_ascii_digit() || "+-:".contains(c)));
    // A name may follow without a mark between.
    let (time, rest) = text.split_at(length.unwrap_or(text.len()));
    let (sign, time) = match time.strip_prefix('-') {
        Some(time) => (-1, time),
        None => (1, time.strip_prefix('+').unwrap_or(time)),
    };
    let mut units = [HOUR_MS, MINUTE_MS, 1_000].into_iter();
    let ms = time.split(':').try_fold(0, |sum, number| {
        Some(sum + number.parse::<i64>().ok()? * units.next()?)
    });
    Some((sign * ms?, rest))
}

/// A change such as `M10.5.0/3`.
fn change(text: &str) -> Option<Change> {
    let (day, time_ms) = match text.split_once('/') {
        Some((day, at)) => (day, time(at).filter(|(_, rest)| rest.is_empty())?.0),
        None => (text, 2 * HOUR_MS),
    };
    let mut numbers = day.strip_prefix('M')?.split('.').map(str::parse);
    let mut number = || numbers.next()?.ok();
    Some(Change {
        month: number()?,
        week: number()?,
        weekday: number()?,
        time_ms,
    })
}
