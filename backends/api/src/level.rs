//! The feature levels that a build supports.

use std::sync::Arc;

use leasehold_domain::Event;
use leasehold_domain::FeatureLevel;

/// The feature levels that a build supports: it can apply and read what is written by them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Levels {
    /// The lowest: the highest of the build before, or a lower one.
    pub min: FeatureLevel,
    /// The highest.
    pub max: FeatureLevel,
}

/// The build does not support the level of a store, an entry, a snapshot or a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "feature level {found} is not supported by this build, which supports {} to {}: start a build \
     that supports it", supported.min, supported.max
)]
pub struct UnsupportedLevel {
    /// The level that was found.
    pub found: FeatureLevel,
    /// The levels of the build.
    pub supported: Levels,
}

impl Levels {
    /// If this environment variable is set to a number, the newest level of a debug build differs by
    /// it from that of the source: `-1` for the build before, `1` for the next one. Tests of upgrades
    /// get several builds from one source this way. A level that the source does not know changes
    /// nothing but its number, and the synthetic migrations that go with it.
    pub const TEST_VARIABLE: &str = "LEASEHOLD_TEST_NEWEST_LEVEL";

    /// Returns the levels that this build supports.
    #[must_use]
    pub fn of_build() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "no configuration key: users do not choose what a build supports"
        )]
        let offset = match cfg!(debug_assertions) {
            true => std::env::var(Self::TEST_VARIABLE).ok(),
            false => None,
        };
        let offset = offset.and_then(|offset| offset.parse().ok()).unwrap_or(0);
        let newest = FeatureLevel::NEWEST.0.saturating_add_signed(offset);
        Self::up_to(FeatureLevel(newest))
    }

    /// Returns the levels of a build whose newest is `max`.
    #[must_use]
    pub fn up_to(max: FeatureLevel) -> Self {
        Self {
            min: FeatureLevel::OLDEST,
            max: max.max(FeatureLevel::OLDEST),
        }
    }

    /// Returns the levels of the build after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self::up_to(FeatureLevel(self.max.0.saturating_add(1)))
    }

    /// Checks that the build can read what was written by a level while a store had it. Levels below
    /// the lowest pass: what was written by them stays after the level was raised.
    ///
    /// # Errors
    /// The level is above the highest; the error names both.
    pub fn admit_written(self, level: FeatureLevel) -> Result<(), UnsupportedLevel> {
        self.admit(level.max(self.min))
    }

    /// Returns the events that come before the first whose level the build cannot read: others would
    /// have other bytes in the ledger than a newer build gives them.
    ///
    /// # Errors
    /// That is the first of them.
    pub fn admit_events(
        self,
        mut events: Vec<Arc<Event>>,
    ) -> Result<Vec<Arc<Event>>, UnsupportedLevel> {
        let admitted = |event: &Arc<Event>| self.admit_written(event.level);
        let readable = events.iter().map(admitted).take_while(Result::is_ok);
        let readable = readable.count();
        if let (0, Some(first)) = (readable, events.first()) {
            admitted(first)?;
        }
        events.truncate(readable);
        Ok(events)
    }

    /// Checks that the build supports a level.
    ///
    /// # Errors
    /// It does not; the error names both.
    pub fn admit(self, level: FeatureLevel) -> Result<(), UnsupportedLevel> {
        match (self.min..=self.max).contains(&level) {
            true => Ok(()),
            false => Err(UnsupportedLevel {
                found: level,
                supported: self,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_supports_its_own_level_and_those_before_and_names_both_if_not() {
        let build = Levels::up_to(FeatureLevel(2));
        for (level, is_supported) in [(0, false), (1, true), (2, true), (3, false)] {
            let admitted = build.admit(FeatureLevel(level));
            assert_eq!(admitted.is_ok(), is_supported, "{level}");
        }
        let problem = build.next().admit(FeatureLevel(9)).unwrap_err().to_string();
        assert!(
            problem.contains("level 9") && problem.contains("1 to 3"),
            "{problem}"
        );
    }
}
