//! Caps: how much a namespace may have, whoever asks.

use serde::Deserialize;
use serde::Serialize;

/// The caps of a namespace, to which an acquire is held. Only what begins something new is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Caps {
    /// Most locks that are held or waited for; `None` for no cap.
    pub locks: Option<u64>,
    /// Most acquires that wait; `None` for no cap.
    pub waiters: Option<u64>,
    /// A cap on something that the store does not count, and that was found reached.
    pub reached: Option<CapReached>,
}

impl Caps {
    /// Returns whether they refuse nothing.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// What a cap limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Cap {
    /// Locks that are held or waited for.
    Locks,
    /// Acquires that wait.
    Waiters,
    /// Bytes of the namespace's events in the ledger.
    LedgerBytes,
}

impl Cap {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Locks, Self::Waiters, Self::LedgerBytes];

    /// Returns the cap's name in the API, metrics and the ledger.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Locks => "locks",
            Self::Waiters => "waiters",
            Self::LedgerBytes => "ledger_bytes",
        }
    }
}

/// A cap that an acquire would exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapReached {
    /// Which cap.
    pub cap: Cap,
    /// How much the namespace may have.
    pub most: u64,
    /// How much it has.
    pub present: u64,
}
