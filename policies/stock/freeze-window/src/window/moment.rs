//! A single moment.

use leasehold_policy_sdk::UtcTime;
use serde::Deserialize;
use serde::Deserializer;
use serde::de::Error;

use crate::zone::Twice;
use crate::zone::Wall;
use crate::zone::Zone;

/// A moment in UTC, `2026-12-19T17:00:00Z`, or what the clock of a window's zone shows then,
/// `2026-12-19 17:00`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Moment {
    Utc(UtcTime),
    Local(Wall),
}

impl Moment {
    pub(crate) fn is_local(self) -> bool {
        matches!(self, Self::Local(_))
    }

    /// Of a time that clocks show twice the first.
    pub(crate) fn begins(self, zone: &Zone) -> UtcTime {
        match self {
            Self::Utc(time) => time,
            Self::Local(wall) => zone.utc(wall, Twice::First),
        }
    }

    /// Of a time that clocks show twice the second.
    pub(crate) fn ends(self, zone: &Zone) -> UtcTime {
        match self {
            Self::Utc(time) => time,
            Self::Local(wall) => zone.utc(wall, Twice::Second),
        }
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        match text.split_once(' ') {
            None => text.parse().map(Self::Utc),
            Some((day, time)) => {
                let time: UtcTime = format!("{day}T{time}:00Z").parse()?;
                Ok(Self::Local(Zone::fixed(0).wall(time)))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(D::Error::custom)
    }
}
