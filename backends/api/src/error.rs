//! What can go wrong in a backend, and the two questions every error answers.

use crate::UnsupportedLevel;

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The store cannot be reached, or cannot agree, now.
    Unavailable,
    /// Too much at once; the command was not taken.
    Overloaded,
    /// The store did not answer in time.
    Deadline,
    /// Optimistic concurrency failed too often.
    Contended,
    /// The request can never succeed (too large, unknown collection).
    Invalid,
    /// Events before the asked cursor are gone.
    Trimmed,
    /// The store contradicts itself; an operator must look.
    Corrupt,
    /// The backend is closing.
    Closed,
    /// The store that answers is behind what this gateway knows of its history: an old primary, or
    /// a copy restored from a backup. Nothing was written to it.
    Fenced,
    /// This build does not support the feature level of the store. Nothing was written to it.
    Outdated,
}

/// Whether the command may have taken effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Certainly not.
    None,
    /// Nobody knows; ask again with the same `request_id`.
    Unknown,
}

/// A backend's error: what kind, whether it took effect, and the detail for the log.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{kind:?}: {detail}")]
pub struct BackendError {
    /// What went wrong.
    pub kind: ErrorKind,
    /// Whether the command may have taken effect.
    pub effect: Effect,
    /// For the log; never shown to callers.
    pub detail: String,
}

impl BackendError {
    /// An error after which the command certainly had no effect.
    #[must_use]
    pub fn without_effect(kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            effect: Effect::None,
            detail: detail.into(),
        }
    }

    /// An error after which nobody knows.
    #[must_use]
    pub fn unknown(kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            effect: Effect::Unknown,
            detail: detail.into(),
        }
    }

    /// The error of a call to a store whose feature level this build does not support.
    #[must_use]
    pub fn outdated(level: UnsupportedLevel) -> Self {
        Self::without_effect(ErrorKind::Outdated, level.to_string())
    }

    /// The error of a call to a store that has stopped; the store did not take the call.
    #[must_use]
    pub fn stopped(reason: &str) -> Self {
        Self::without_effect(
            ErrorKind::Closed,
            format!("the store has stopped: {reason}"),
        )
    }

    /// The error of a call that the store had taken when it stopped. `writes`: the call could change
    /// the store.
    #[must_use]
    pub fn cut_off(writes: bool) -> Self {
        let detail = "the store has stopped while it carried out the request";
        match writes {
            true => Self::unknown(ErrorKind::Closed, detail),
            false => Self::without_effect(ErrorKind::Closed, detail),
        }
    }

    /// Whether the same call may succeed later. Exhaustive on purpose.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self.kind {
            ErrorKind::Unavailable
            | ErrorKind::Overloaded
            | ErrorKind::Deadline
            | ErrorKind::Contended
            | ErrorKind::Closed
            // The right one may come back.
            | ErrorKind::Fenced
            // Another gateway may have a build that does.
            | ErrorKind::Outdated => true,
            ErrorKind::Invalid | ErrorKind::Trimmed | ErrorKind::Corrupt => false,
        }
    }
}
