//! Lists of days.

use std::fmt;

use leasehold_policy_sdk::UtcTime;
use serde::Deserialize;
use serde::Deserializer;
use serde::de::Error;
use serde::de::Visitor;

use crate::span::Span;
use crate::text::month_and_day;
use crate::zone::DAY_MS;
use crate::zone::Wall;
use crate::zone::Zone;

/// Days, from a first to a last. Written `2026-12-25`, `2026-12-24/2027-01-01`, or without the years
/// for every year.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Days {
    /// From one midnight to another, which is the end.
    Dated(Wall, Wall),
    /// The first and the last, as months and days.
    EachYear((u8, u8), (u8, u8)),
}

impl Days {
    /// When they end by the clock of `zone`, which shows `wall`, if `at` is within them.
    pub(crate) fn end(&self, zone: &Zone, at: UtcTime, wall: Wall) -> Option<UtcTime> {
        let (first, last) = match *self {
            Self::Dated(from, until) => return Span::of(from, until).end(zone, at, wall),
            Self::EachYear(first, last) => (first, last),
        };
        let (year, ..) = wall.date();
        let wraps = u64::from(last < first);
        let mut years = [Some(year), year.checked_sub(1)].into_iter().flatten();
        years.find_map(|year| {
            let from = Wall::at_midnight(year, first.0, first.1);
            Span::of(from, after(year + wraps, last)).end(zone, at, wall)
        })
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        const FORM: &str =
            "must be a day, or the first and the last, like 2026-12-25, 12-25 or 12-24/12-26";
        let (first, last) = text.split_once('/').unwrap_or((text, text));
        match (first.len(), last.len()) {
            (10, 10) => {
                let (from, last) = (dated(first)?, dated(last)?);
                if last < from {
                    return Err("the last day is before the first");
                }
                Ok(Self::Dated(from, last.plus(DAY_MS)))
            }
            (5, 5) => {
                let days = month_and_day(first).zip(month_and_day(last));
                let (first, last) = days.ok_or("there is no such day in any year")?;
                Ok(Self::EachYear(first, last))
            }
            _ => Err(FORM),
        }
    }
}

/// The end of a day. The 29th of February ends with the 28th in other years.
fn after(year: u64, (month, day): (u8, u8)) -> Wall {
    let midnight = Wall::at_midnight(year, month, day);
    let is_there = midnight.date() == (year, u64::from(month), u64::from(day));
    midnight.plus(if is_there { DAY_MS } else { 0 })
}

/// The beginning of a day with its year.
fn dated(text: &str) -> Result<Wall, &'static str> {
    const NONE: &str = "there is no such day since 1970";
    let (year, day) = text.split_at_checked(4).ok_or(NONE)?;
    let is_year = year.bytes().all(|byte| byte.is_ascii_digit());
    let year: u64 = year.parse().ok().filter(|_| is_year).ok_or(NONE)?;
    let (month, day) = day.strip_prefix('-').and_then(month_and_day).ok_or(NONE)?;
    let midnight = UtcTime::at_midnight(year, month.into(), day.into()).ok_or(NONE)?;
    Ok(Zone::fixed(0).wall(midnight))
}

impl<'de> Deserialize<'de> for Days {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text)
    }
}

/// Reads days without a copy of their text: there may be many.
struct Text;

impl Visitor<'_> for Text {
    type Value = Days;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("days like 2026-12-25 or 12-24/12-26")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Days, E> {
        Days::parse(text).map_err(|problem| E::custom(format_args!("{text:?}: {problem}")))
    }
}
