//! What can go wrong for a caller, and the two questions every failure answers.

use leasehold_wire::v1::error::EffectName;
use leasehold_wire::v1::error::Problem;

/// A call that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The gateway said no, and why.
    #[error("{}: {}", .0.code.as_str(), .0.detail)]
    Problem(Box<Problem>),
    /// No answer came, or none that can be read.
    #[error("{message}")]
    Transport {
        /// What happened.
        message: String,
        /// Whether the command may have taken effect. If so, ask again with the same `request_id`.
        may_have_taken_effect: bool,
    },
    /// The client was set up wrong.
    #[error("{0}")]
    Usage(String),
}

impl Error {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Problem(problem) => problem.retryable,
            Self::Transport { .. } => true,
            Self::Usage(_) => false,
        }
    }

    /// Whether the command may have taken effect.
    #[must_use]
    pub fn may_have_taken_effect(&self) -> bool {
        match self {
            Self::Problem(problem) => problem.effect == EffectName::Unknown,
            Self::Transport {
                may_have_taken_effect,
                ..
            } => *may_have_taken_effect,
            Self::Usage(_) => false,
        }
    }

    /// The gateway's problem, if it answered.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem(problem) => Some(problem),
            Self::Transport { .. } | Self::Usage(_) => None,
        }
    }
}
