//! Feature levels: which rules and forms all who share a store agree on.

use std::fmt;

use serde::Deserialize;
use serde::Serialize;

/// A feature level: a number that a store raises when all who write to it know the rules and forms of
/// the next one. What a write does, and which bytes are made of it, depends on its level and never on
/// the build that looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FeatureLevel(pub u16);

/// What a store must not get before its feature level allows it, because builds of the level before
/// ignore it or cannot read it.
///
/// This is the one list of such features. A new document, form or rule of the lock machine gets a line
/// here, and asks [`Feature::level`] where it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Feature {
    /// Documents of rollouts. A build that does not know them judges by the binding alone.
    Rollouts,
    /// The rule that others approve changes. A build that does not know it writes them without.
    Approvals,
    /// Counters of leases. A build that does not know them counts nothing, and has other records.
    Counters,
    /// Required signatures of policies. A build that does not know them binds unsigned versions.
    Signatures,
    /// Kills of policy versions. A build that does not know them goes on asking the version.
    Kills,
    /// Tickets and times of break-glass in requests. A build that does not know them records the
    /// request without.
    OverrideTerms,
}

impl Feature {
    /// All features.
    pub const ALL: [Self; 6] = [
        Self::Rollouts,
        Self::Approvals,
        Self::Counters,
        Self::Signatures,
        Self::Kills,
        Self::OverrideTerms,
    ];

    /// Returns the first level of a store that may have the feature.
    #[must_use]
    pub const fn level(self) -> FeatureLevel {
        match self {
            Self::Rollouts
            | Self::Approvals
            | Self::Counters
            | Self::Signatures
            | Self::Kills
            | Self::OverrideTerms => FeatureLevel(2),
        }
    }

    /// Returns what messages call the feature.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rollouts => "rollouts",
            Self::Approvals => "approvals",
            Self::Counters => "counters of policies",
            Self::Signatures => "required signatures",
            Self::Kills => "kills of policy versions",
            Self::OverrideTerms => "tickets and times of break-glass",
        }
    }
}

impl FeatureLevel {
    /// The level of the first release, and of what names none.
    pub const FIRST: Self = Self(1);

    /// The oldest level that this source still applies and reads. It may rise with a release, and never
    /// above the newest level of the release before.
    pub const OLDEST: Self = Self::FIRST;

    /// The newest level of this source: the greatest in [`Feature::level`].
    pub const NEWEST: Self = Self(2);

    /// The collection of the document in which a store that several gateways share keeps its level. A
    /// replicated log keeps it in its state instead.
    pub const COLLECTION: &'static str = "feature-level";

    /// The id of that document.
    pub const DOCUMENT: &'static str = "store";

    /// Whether a store of this level may have a feature.
    #[must_use]
    pub fn has(self, feature: Feature) -> bool {
        self >= feature.level()
    }

    /// Reads the bytes of that document. What cannot be read is the highest level, which no build
    /// supports: nothing is granted then.
    #[must_use]
    pub fn read(body: &[u8]) -> Self {
        let text = std::str::from_utf8(body).ok();
        let level = text.and_then(|text| text.parse().ok());
        level.map_or(Self(u16::MAX), Self)
    }
}

impl Default for FeatureLevel {
    fn default() -> Self {
        Self::FIRST
    }
}

impl fmt::Display for FeatureLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_level_is_that_of_the_newest_feature() {
        let newest = Feature::ALL.iter().map(|feature| feature.level()).max();
        assert_eq!(newest, Some(FeatureLevel::NEWEST));
        assert!(!FeatureLevel::FIRST.has(Feature::Rollouts));
        assert!(FeatureLevel::NEWEST.has(Feature::Rollouts));
    }

    #[test]
    fn the_level_of_a_store_is_read_as_it_is_written_and_rubbish_fails_closed() {
        let level = FeatureLevel(7);
        assert_eq!(FeatureLevel::read(level.to_string().as_bytes()), level);
        for rubbish in ["", "two", "70000", "-1"] {
            let read = FeatureLevel::read(rubbish.as_bytes());
            assert_eq!(read, FeatureLevel(u16::MAX), "{rubbish:?}");
        }
    }
}
