//! Feature levels: which entries a build can apply, and which levels the members support.
//!
//! An entry carries the level by whose rules it is applied. A node refuses entries, snapshots and
//! directories of a level that its build does not support, before it stores any of it. It stops at
//! the entry that raises the level of its group above those that it supports. So members of different
//! builds never compute different states from one log.
//!
//! The replicated state has the highest level that each member supports. The level is raised only if
//! all members support the new one; learners and members that are down count. Models: etcd's cluster
//! version, Kubernetes' version skew policy.

use leasehold_domain::FeatureLevel;
use openraft::EntryPayload;

use crate::entry::Entry;

/// The feature levels that a build supports: it can apply their entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Levels {
    /// The lowest: the highest of the build before.
    pub min: FeatureLevel,
    /// The highest.
    pub max: FeatureLevel,
}

/// The build does not support the level of an entry, a snapshot or a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "feature level {found} is not supported by this build, which supports {} to {}: start a build \
     that supports it", supported.min, supported.max
)]
pub struct UnsupportedLevel {
    found: FeatureLevel,
    supported: Levels,
}

impl Levels {
    /// The levels of this source.
    const BUILT: Self = Self {
        min: FeatureLevel::FIRST,
        max: FeatureLevel::FIRST,
    };

    /// If this environment variable is set, a debug build supports one more level, which changes
    /// nothing but its number. Tests of upgrades get two builds from one source this way.
    pub const NEXT_VARIABLE: &str = "LEASEHOLD_TEST_NEXT_LEVEL";

    /// Returns the levels that this build supports.
    #[must_use]
    pub fn of_build() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "no configuration key: users do not choose what a build supports"
        )]
        let next = cfg!(debug_assertions) && std::env::var_os(Self::NEXT_VARIABLE).is_some();
        match next {
            true => Self::BUILT.with_next(),
            false => Self::BUILT,
        }
    }

    /// Returns these levels and the next one.
    #[must_use]
    pub fn with_next(self) -> Self {
        let max = FeatureLevel(self.max.0 + 1);
        Self { max, ..self }
    }

    /// Checks that the build supports a level.
    pub(crate) fn admit(self, level: FeatureLevel) -> Result<(), UnsupportedLevel> {
        match (self.min..=self.max).contains(&level) {
            true => Ok(()),
            false => Err(UnsupportedLevel {
                found: level,
                supported: self,
            }),
        }
    }

    /// Checks that the build can apply an entry. Entries below the lowest level pass: they stay in the
    /// log after the level was raised.
    pub(crate) fn admit_entry(self, entry: &Entry) -> Result<(), UnsupportedLevel> {
        let EntryPayload::Normal(payload) = &entry.payload else {
            return Ok(());
        };
        self.admit(payload.0.level.max(self.min))
    }
}
