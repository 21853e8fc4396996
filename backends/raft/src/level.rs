//! Feature levels: which entries a build knows, and what its members speak.
//!
//! An entry carries the level by whose rules it is applied. A node refuses an entry, a snapshot or a
//! folder of a level that it does not know, before any of it is stored, and stops where its group has
//! raised the level above those that it knows, so that members of different builds never make
//! different states of one log. Each member has its build's highest level written
//! down in the group's state; the level is raised when all members, learners and those that are down
//! included, speak the next one. Models: etcd's cluster version, Kubernetes' version skew policy.

use leasehold_domain::FeatureLevel;
use openraft::EntryPayload;

use crate::entry::Entry;

/// The feature levels of which a build can apply entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Levels {
    /// The lowest: that of the build before.
    pub least: FeatureLevel,
    /// The highest.
    pub most: FeatureLevel,
}

/// The level of an entry, a snapshot or a folder is not among those that the build knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "feature level {found} is not known to this build, which knows {} to {}: start a build that \
     knows it", known.least, known.most
)]
pub struct UnknownLevel {
    found: FeatureLevel,
    known: Levels,
}

impl Levels {
    /// What this source knows.
    const BUILT: Self = Self {
        least: FeatureLevel::FIRST,
        most: FeatureLevel::FIRST,
    };

    /// The environment variable with which a debug build knows one level more, which brings nothing
    /// new: so tests of upgrades have a build and the build after it from one source.
    pub const NEXT_VARIABLE: &str = "LEASEHOLD_TEST_NEXT_LEVEL";

    /// What this build knows.
    #[must_use]
    pub fn of_build() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "no configuration key: what a build knows is not for its users to choose"
        )]
        let next = cfg!(debug_assertions) && std::env::var_os(Self::NEXT_VARIABLE).is_some();
        match next {
            true => Self::BUILT.with_next(),
            false => Self::BUILT,
        }
    }

    /// The same, and one level more.
    #[must_use]
    pub fn with_next(self) -> Self {
        let most = FeatureLevel(self.most.0 + 1);
        Self { most, ..self }
    }

    /// Refuses a level that the build does not know.
    pub(crate) fn admit(self, level: FeatureLevel) -> Result<(), UnknownLevel> {
        match (self.least..=self.most).contains(&level) {
            true => Ok(()),
            false => Err(UnknownLevel {
                found: level,
                known: self,
            }),
        }
    }

    /// Refuses an entry that the build cannot apply. A lower level than the lowest is no reason: old
    /// entries stay in the log after the level was raised.
    pub(crate) fn admit_entry(self, entry: &Entry) -> Result<(), UnknownLevel> {
        let EntryPayload::Normal(payload) = &entry.payload else {
            return Ok(());
        };
        self.admit(payload.0.level.max(self.least))
    }
}
