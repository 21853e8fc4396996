//! Times that come back each year.

use leasehold_policy_sdk::UtcTime;
use serde::Deserialize;
use serde::Deserializer;
use serde::de::Error;

use crate::span::Span;
use crate::text::minutes;
use crate::text::month_and_day;
use crate::zone::MINUTE_MS;
use crate::zone::Wall;
use crate::zone::Zone;

/// From one time of the year to another; wraps round the year's end.
#[derive(Debug, Deserialize)]
pub(crate) struct Yearly {
    from: YearTime,
    until: YearTime,
}

/// A time of the year. Written `12-19 17:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct YearTime {
    month: u8,
    day: u8,
    minutes: i64,
}

impl Yearly {
    /// When it ends by the clock of `zone`, if it is on.
    pub(crate) fn end(&self, zone: &Zone, at: UtcTime) -> Option<UtcTime> {
        let wall = zone.wall(at);
        let (year, ..) = wall.date();
        let wraps = u64::from(self.until < self.from);
        // It may have begun in the year before.
        let mut years = [Some(year), year.checked_sub(1)].into_iter().flatten();
        years.find_map(|year| {
            let span = Span::of(self.from.wall(year), self.until.wall(year + wraps));
            span.end(zone, at, wall)
        })
    }

    /// Whether it can be.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.from == self.until {
            return Err("a yearly window must not end when it begins".to_owned());
        }
        Ok(())
    }
}

impl YearTime {
    fn wall(self, year: u64) -> Wall {
        let is_leap_day = (self.month, self.day) == (2, 29);
        let day = Wall::at_midnight(year, self.month, self.day);
        let is_there = !is_leap_day || day.date() == (year, 2, 29);
        // In other years the 29th of February is the moment between the 28th and the 1st of March.
        day.plus(if is_there {
            self.minutes * MINUTE_MS
        } else {
            0
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let (day, time) = text.split_once(' ')?;
        let (month, day) = month_and_day(day)?;
        let minutes = minutes(time)?;
        Some(Self {
            month,
            day,
            minutes,
        })
    }
}

impl<'de> Deserialize<'de> for YearTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            D::Error::custom("must be a time of the year, written like `12-19 17:00`")
        })
    }
}
