//! Bugs that are planted on purpose, to show that the tests which should find them do.
//!
//! Only a build with the feature `planted-bugs` can have one. Without it the question below is a
//! constant, and what it guards vanishes.

/// A bug that can be planted. The environment variable `LEASEHOLD_PLANTED_BUG` chooses one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlantedBug {
    /// `skip-fsync`: the log says that it is durable without a sync.
    SkipFsync,
    /// `blind-grant`: an acquire is granted whoever holds the lock.
    BlindGrant,
    /// `token-reset`: a snapshot forgets which tokens were given out.
    TokenReset,
    /// `local-answer`: a node answers reads by itself, without asking the group.
    LocalAnswer,
}

impl PlantedBug {
    /// The variable that chooses one.
    pub const VARIABLE: &str = "LEASEHOLD_PLANTED_BUG";
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::SkipFsync,
        Self::BlindGrant,
        Self::TokenReset,
        Self::LocalAnswer,
    ];

    /// Whether this build can have one.
    pub const CAN_BE: bool = cfg!(feature = "planted-bugs");

    /// Its name in the variable.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SkipFsync => "skip-fsync",
            Self::BlindGrant => "blind-grant",
            Self::TokenReset => "token-reset",
            Self::LocalAnswer => "local-answer",
        }
    }

    /// The bug of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|bug| bug.name() == name)
    }

    /// Whether this process has it.
    #[cfg(not(feature = "planted-bugs"))]
    #[must_use]
    pub const fn is_planted(self) -> bool {
        false
    }

    /// Whether this process has it.
    #[cfg(feature = "planted-bugs")]
    #[must_use]
    pub fn is_planted(self) -> bool {
        Self::chosen() == Some(self)
    }

    /// The one that this process has, read once.
    #[cfg(feature = "planted-bugs")]
    #[must_use]
    pub fn chosen() -> Option<Self> {
        use std::sync::OnceLock;
        static CHOSEN: OnceLock<Option<PlantedBug>> = OnceLock::new();
        *CHOSEN.get_or_init(|| {
            #[expect(
                clippy::disallowed_methods,
                reason = "no configuration key: a gateway that is configured has no bugs to choose"
            )]
            let name = std::env::var(Self::VARIABLE).ok()?;
            Self::from_name(&name)
        })
    }
}
