//! Why a caller was not recognised.

/// Why a caller was not recognised: as much as it may know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum AuthFailure {
    /// There is no key or token.
    #[error("a key or token is needed: authorization: Bearer …")]
    Missing,
    /// The key or token was valid until it expired.
    #[error("the key or token has expired")]
    Expired,
    /// Anything else.
    #[error("the key or token is not valid")]
    Invalid,
    /// The key is not known here, and the store of keys does not say whether it is valid. No 401:
    /// "unknown" is not "no".
    #[error("whether the key is valid cannot be found out now")]
    Unsure,
}

impl AuthFailure {
    /// The label in metrics.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Expired => "expired",
            Self::Invalid => "invalid",
            Self::Unsure => "unsure",
        }
    }
}

/// Why authentication cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum AuthenticationError {
    /// The provider's keys cannot be read.
    #[error("{place}: {problem}")]
    Keys {
        /// File or URL.
        place: String,
        /// What is wrong with it.
        problem: String,
    },
    /// An algorithm that the configuration should have refused.
    #[error("algorithm {0:?} is not supported")]
    Algorithm(String),
}
