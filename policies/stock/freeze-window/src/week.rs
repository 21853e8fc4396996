//! Times that come back each week.

use leasehold_policy_sdk::UtcTime;
use serde::Deserialize;
use serde::Deserializer;
use serde::de::Error;

use crate::span::Span;
use crate::text::minutes;
use crate::zone::DAY_MS;
use crate::zone::MINUTE_MS;
use crate::zone::PUT_BACK_MAX_MS;
use crate::zone::Wall;
use crate::zone::Zone;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const WEEK_MS: i64 = 7 * DAY_MS;

/// From one time of the week to another; wraps round the week's end.
#[derive(Debug, Deserialize)]
pub(crate) struct Weekly {
    from: WeekTime,
    until: WeekTime,
    pub(crate) utc_offset: Option<UtcOffset>,
}

/// Milliseconds since Monday 00:00. Written `fri 16:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WeekTime(i64);

/// Milliseconds east of Greenwich. Written `+01:00`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct UtcOffset(pub(crate) i64);

impl Weekly {
    /// When it ends by the clock of `zone`, if it is on.
    pub(crate) fn end(&self, zone: &Zone, at: UtcTime) -> Option<UtcTime> {
        let wall = zone.wall(at);
        let length = (self.until.0 - self.from.0).rem_euclid(WEEK_MS);
        // Clocks that are put back show a time before the beginning once more. So the latest week
        // whose beginning may have been is looked at, and the one before.
        let ahead = wall.plus(PUT_BACK_MAX_MS);
        let latest = ahead.plus(-(since_monday(ahead) - self.from.0).rem_euclid(WEEK_MS));
        let mut weeks = [latest, latest.plus(-WEEK_MS)].into_iter();
        weeks.find_map(|from| {
            let span = Span::of(from, from.plus(length));
            span.end(zone, at, wall)
        })
    }

    /// Whether it can be.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.from == self.until {
            return Err("a weekly window must not end when it begins".to_owned());
        }
        Ok(())
    }
}

/// How much of the week has passed.
fn since_monday(wall: Wall) -> i64 {
    // The first of January 1970 was a Thursday.
    (wall.0 + 3 * DAY_MS).rem_euclid(WEEK_MS)
}

impl WeekTime {
    fn parse(text: &str) -> Option<Self> {
        let (day, time) = text.split_once(' ')?;
        let day = DAYS.iter().position(|known| *known == day)?;
        Some(Self(day as i64 * DAY_MS + minutes(time)? * MINUTE_MS))
    }
}

impl UtcOffset {
    fn parse(text: &str) -> Option<Self> {
        let sign = match text.as_bytes().first()? {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        Some(Self(sign * minutes(&text[1..])? * MINUTE_MS))
    }
}

impl<'de> Deserialize<'de> for WeekTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("must be written like `fri 16:00`"))
    }
}

impl<'de> Deserialize<'de> for UtcOffset {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("must be written like `+01:00`"))
    }
}
