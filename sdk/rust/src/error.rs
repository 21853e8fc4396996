//! What can go wrong for a caller, and the two questions every failure answers.

use leasehold_wire::v1::error::EffectName;
use leasehold_wire::v1::error::ErrorCode;
use leasehold_wire::v1::error::Problem;

/// A call that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The gateway said no, and why.
    #[error("{}: {}", .0.code.as_str(), .0.detail)]
    Problem(Box<Problem>),
    /// The gateway said no for a reason that this client does not know: the gateway is newer.
    #[error("{code}: {detail}")]
    Unknown {
        /// The reason, for programs.
        code: String,
        /// What happened, for people.
        detail: String,
        /// Whether the gateway says that the same call may succeed later.
        retryable: bool,
        /// Whether the command may have taken effect.
        may_have_taken_effect: bool,
        /// When it may be worth asking again, milliseconds.
        retry_after_ms: Option<u64>,
    },
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
            Self::Unknown { retryable, .. } => *retryable,
            Self::Transport { .. } => true,
            Self::Usage(_) => false,
        }
    }

    /// Whether the command may have taken effect.
    #[must_use]
    pub fn may_have_taken_effect(&self) -> bool {
        match self {
            Self::Problem(problem) => problem.effect == EffectName::Unknown,
            Self::Unknown {
                may_have_taken_effect,
                ..
            }
            | Self::Transport {
                may_have_taken_effect,
                ..
            } => *may_have_taken_effect,
            Self::Usage(_) => false,
        }
    }

    /// The problem, if it is that somebody else holds the lock.
    pub(crate) fn held(&self) -> Option<&Problem> {
        self.problem()
            .filter(|problem| problem.code == ErrorCode::Held)
    }

    /// When the gateway thinks that asking again may help.
    pub(crate) fn retry_after_ms(&self) -> Option<u64> {
        match self {
            Self::Problem(problem) => problem.retry_after_ms,
            Self::Unknown { retry_after_ms, .. } => *retry_after_ms,
            Self::Transport { .. } | Self::Usage(_) => None,
        }
    }

    /// No answer came, and the command may have taken effect.
    pub(crate) fn is_lost_answer(&self) -> bool {
        matches!(
            self,
            Self::Transport {
                may_have_taken_effect: true,
                ..
            }
        )
    }

    /// The gateway cannot be reached or cannot serve; another one in front of the same stores may.
    pub(crate) fn is_of_this_gateway(&self) -> bool {
        match self {
            Self::Transport { .. } => true,
            Self::Problem(problem) => {
                matches!(problem.code, ErrorCode::Unavailable | ErrorCode::SafeMode)
                    && problem.effect == EffectName::None
            }
            Self::Unknown { .. } | Self::Usage(_) => false,
        }
    }

    /// The same error for a request that was sent before, too, and whose answer was lost then.
    /// That it had no effect this time does not say that it had none before. Only that somebody
    /// else holds the lock does: the same request would have got its lease again.
    pub(crate) fn after_a_lost_answer(mut self) -> Self {
        match &mut self {
            Self::Problem(problem) if problem.code == ErrorCode::Held => {}
            Self::Problem(problem) => problem.effect = EffectName::Unknown,
            Self::Unknown {
                may_have_taken_effect,
                ..
            }
            | Self::Transport {
                may_have_taken_effect,
                ..
            } => *may_have_taken_effect = true,
            Self::Usage(_) => {}
        }
        self
    }

    /// The gateway's problem, if it answered.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem(problem) => Some(problem),
            Self::Unknown { .. } | Self::Transport { .. } | Self::Usage(_) => None,
        }
    }
}
