//! Times that come back each week.

use leasehold_policy_sdk::UtcTime;
use serde::Deserialize;
use serde::Deserializer;
use serde::de::Error;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 1_440 * MINUTE_MS;
const WEEK_MS: u64 = 7 * DAY_MS;

/// From one time of the week to another; wraps round the week's end.
#[derive(Debug, Deserialize)]
pub(crate) struct Weekly {
    from: WeekTime,
    until: WeekTime,
    #[serde(default)]
    utc_offset: UtcOffset,
}

/// Milliseconds since Monday 00:00. Written `fri 16:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WeekTime(u64);

/// Minutes east of Greenwich. Written `+01:00`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct UtcOffset(i64);

impl Weekly {
    /// When it ends, if it is on.
    pub(crate) fn end(&self, now: UtcTime) -> Option<UtcTime> {
        let local = now.shifted_minutes(self.utc_offset.0);
        let moment = u64::from(local.weekday() - 1) * DAY_MS + local.ms_of_day();
        let since_from = (moment + WEEK_MS - self.from.0) % WEEK_MS;
        let length = (self.until.0 + WEEK_MS - self.from.0) % WEEK_MS;
        let left = length.checked_sub(since_from).filter(|left| *left > 0)?;
        Some(UtcTime::from_millis(now.as_millis() + left))
    }

    /// Whether it can be.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.from == self.until {
            return Err("a weekly window must not end when it begins".to_owned());
        }
        Ok(())
    }
}

fn minutes(text: &str) -> Option<u64> {
    let (hours, minutes) = text.split_once(':')?;
    let (hours, minutes): (u64, u64) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}

impl WeekTime {
    fn parse(text: &str) -> Option<Self> {
        let (day, time) = text.split_once(' ')?;
        let day = DAYS.iter().position(|known| *known == day)? as u64;
        Some(Self(day * DAY_MS + minutes(time)? * MINUTE_MS))
    }
}

impl UtcOffset {
    fn parse(text: &str) -> Option<Self> {
        let sign = match text.as_bytes().first()? {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        Some(Self(sign * minutes(&text[1..])? as i64))
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

#[cfg(test)]
impl Weekly {
    pub(crate) fn of(from: &str, until: &str, utc_offset: &str) -> Self {
        Self {
            from: WeekTime::parse(from).unwrap(),
            until: WeekTime::parse(until).unwrap(),
            utc_offset: UtcOffset::parse(utc_offset).unwrap(),
        }
    }
}
