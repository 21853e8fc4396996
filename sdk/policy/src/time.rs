//! Wall-clock time in UTC, without a time zone library: a policy pays for each byte.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Deserializer;

const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 24 * 60 * MINUTE_MS;
const FORM: &str = "a time must be written like 2026-12-24T18:00:00Z";

/// A point in time, in milliseconds since 1970-01-01T00:00:00Z. Written as RFC 3339 in UTC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct UtcTime(u64);

impl UtcTime {
    /// So many milliseconds after 1970.
    #[must_use]
    pub fn from_millis(ms: u64) -> Self {
        Self(ms)
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub fn as_millis(self) -> u64 {
        self.0
    }

    /// Milliseconds from `self` until `later`; 0 if that has passed.
    #[must_use]
    pub fn until(self, later: Self) -> u64 {
        later.0.saturating_sub(self.0)
    }

    /// The time `minutes` later (earlier if negative), as a clock with that UTC offset shows it.
    #[must_use]
    pub fn shifted_minutes(self, minutes: i64) -> Self {
        Self(self.0.saturating_add_signed(minutes * MINUTE_MS as i64))
    }

    /// The day of the week: 1 for Monday to 7 for Sunday.
    #[must_use]
    pub fn weekday(self) -> u8 {
        // The first of January 1970 was a Thursday, day 4.
        ((self.0 / DAY_MS + 3) % 7 + 1) as u8
    }

    /// Year, month and day.
    #[must_use]
    pub fn date(self) -> (u64, u64, u64) {
        civil(self.0 / DAY_MS)
    }

    /// The beginning of a day; `None` if there is no such day since 1970.
    #[must_use]
    pub fn at_midnight(year: u64, month: u64, day: u64) -> Option<Self> {
        days_since_1970(year, month, day).map(|days| Self(days * DAY_MS))
    }

    /// How much of the day has passed, in milliseconds.
    #[must_use]
    pub fn ms_of_day(self) -> u64 {
        self.0 % DAY_MS
    }
}

impl fmt::Display for UtcTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.0 / DAY_MS);
        let seconds = self.ms_of_day() / 1_000;
        let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"
        )
    }
}

impl FromStr for UtcTime {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let bytes = text.as_bytes();
        let marks = [
            (4, b'-'),
            (7, b'-'),
            (10, b'T'),
            (13, b':'),
            (16, b':'),
            (19, b'Z'),
        ];
        if bytes.len() != 20 || marks.iter().any(|(at, mark)| bytes[*at] != *mark) {
            return Err(FORM);
        }
        let number = |from: usize, to: usize| {
            bytes[from..to].iter().try_fold(0_u64, |sum, byte| {
                byte.is_ascii_digit()
                    .then(|| sum * 10 + u64::from(byte - b'0'))
                    .ok_or(FORM)
            })
        };
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
        if hour > 23 || minute > 59 || second > 59 {
            return Err("there is no such time of day");
        }
        let days = days_since_1970(year, month, day).ok_or("there is no such day since 1970")?;
        Ok(Self(
            days * DAY_MS + ((hour * 60 + minute) * 60 + second) * 1_000,
        ))
    }
}

impl<'de> Deserialize<'de> for UtcTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Days from 1970-01-01 by the Gregorian calendar, in years that begin in March.
fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1..=12).contains(&month) || day == 0 || day > 31 {
        return None;
    }
    let year_from_march = if month <= 2 {
        year.checked_sub(1)?
    } else {
        year
    };
    let (era, year_of_era) = (year_from_march / 400, year_from_march % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = (era * 146_097 + day_of_era).checked_sub(719_468)?;
    (civil(days) == (year, month, day)).then_some(days)
}

/// Year, month and day, so many days after 1970-01-01.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_written() {
        for (text, ms, weekday) in [
            ("1970-01-01T00:00:00Z", 0, 4),
            ("2000-02-29T12:34:56Z", 951_827_696_000, 2),
            ("2026-11-23T18:00:00Z", 1_795_456_800_000, 1),
            ("2100-03-01T00:00:00Z", 4_107_542_400_000, 1),
        ] {
            let time: UtcTime = text.parse().unwrap();
            assert_eq!((time.as_millis(), time.weekday()), (ms, weekday), "{text}");
            assert_eq!(time.to_string(), text);
        }
    }

    #[test]
    fn every_day_of_four_centuries_comes_back() {
        for days in 0..146_097 {
            let (year, month, day) = civil(days);
            let time = UtcTime::at_midnight(year, month, day);
            assert_eq!(time, Some(UtcTime::from_millis(days * DAY_MS)));
            assert_eq!(time.map(UtcTime::date), Some((year, month, day)));
        }
    }

    #[test]
    fn rubbish_is_refused() {
        for bad in [
            "",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:00+01:00",
            "2026-01-01 00:00:00Z",
            "1969-12-31T23:59:59Z",
            "0000-01-01T00:00:00Z",
            "+026-01-01T00:00:00Z",
        ] {
            assert!(bad.parse::<UtcTime>().is_err(), "{bad:?}");
        }
    }
}
