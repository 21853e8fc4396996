//! Feature levels: which rules and forms all who share a store agree on.

use std::fmt;

use serde::Deserialize;
use serde::Serialize;

/// A feature level: a number that a store raises when all who write to it know the rules and forms of
/// the next one. What a write does, and which bytes are made of it, depends on its level and never on
/// the build that looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FeatureLevel(pub u16);

impl FeatureLevel {
    /// The level of the first release, and of what names none.
    pub const FIRST: Self = Self(1);
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
