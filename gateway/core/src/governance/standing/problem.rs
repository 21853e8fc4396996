//! Why a policy version may not be put to new use.

use std::fmt;

use leasehold_domain::WallMillis;

use crate::governance::document::MarkDocument;
use crate::telemetry::rfc3339;

/// Why a version may not be put to new use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StandingProblem {
    /// Somebody killed it: it fails wherever it is bound, too.
    Killed(MarkDocument),
    /// Somebody withdrew it.
    Withdrawn(MarkDocument),
    /// Enough keys signed it, and the time of their statements is over.
    Expired {
        /// The last moment at which they sufficed.
        at: WallMillis,
    },
    /// Enough keys signed it, and the time of their statements has not come.
    NotYetValid {
        /// The first moment at which they suffice.
        from: WallMillis,
    },
    /// Too few trusted keys signed it.
    Signatures {
        /// How many must.
        required: usize,
        /// The keys that count.
        counted: Vec<String>,
        /// The keys whose signatures do not count, each with the reason.
        others: Vec<String>,
    },
}

impl StandingProblem {
    /// All names of kinds.
    pub const KINDS: [&'static str; 5] = [
        "killed",
        "withdrawn",
        "expired",
        "not-yet-valid",
        "signatures",
    ];

    /// Returns the kind's name in the API and in metrics.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Killed(_) => "killed",
            Self::Withdrawn(_) => "withdrawn",
            Self::Expired { .. } => "expired",
            Self::NotYetValid { .. } => "not-yet-valid",
            Self::Signatures { .. } => "signatures",
        }
    }
}

impl fmt::Display for StandingProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Killed(MarkDocument { by, at, reason }) => {
                write!(f, "it was killed by {by} at {at}: {reason}")
            }
            Self::Withdrawn(MarkDocument { by, at, reason }) => {
                write!(f, "it was withdrawn by {by} at {at}: {reason}")
            }
            Self::Expired { at } => {
                write!(
                    f,
                    "its signatures expired at {}; sign it again",
                    rfc3339(*at)
                )
            }
            Self::NotYetValid { from } => {
                write!(f, "its signatures are valid from {} on", rfc3339(*from))
            }
            Self::Signatures {
                required,
                counted,
                others,
            } => {
                let keys = match required {
                    1 => "1 trusted key".to_owned(),
                    many => format!("{many} distinct trusted keys"),
                };
                write!(f, "it needs signatures by {keys} and has ")?;
                match counted.is_empty() {
                    true => f.write_str("none that counts")?,
                    false => write!(f, "{}, by {}", counted.len(), counted.join(", "))?,
                }
                match others.is_empty() {
                    true => Ok(()),
                    false => write!(f, "; not counted: {}", others.join(", ")),
                }
            }
        }
    }
}
