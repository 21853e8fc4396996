//! What can be asked of a lock.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Deserializer;

/// What is asked of a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Take the lock, now or from the queue.
    Acquire,
    /// Lengthen a lease.
    Renew,
    /// Give a lease back.
    Release,
    /// End somebody else's lease.
    Revoke,
    /// Hand a lease to a named successor.
    Transfer,
    /// Leave the queue.
    CancelWait,
    /// Set a lock's limit, cooldown and description.
    Configure,
}

/// A name that is no operation's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownOperation(pub String);

impl fmt::Display for UnknownOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no operation {:?}", self.0)
    }
}

impl std::error::Error for UnknownOperation {}

impl Operation {
    const ALL: [Self; 7] = [
        Self::Acquire,
        Self::Renew,
        Self::Release,
        Self::Revoke,
        Self::Transfer,
        Self::CancelWait,
        Self::Configure,
    ];

    /// The operation's name in the contract.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Acquire => "acquire",
            Self::Renew => "renew",
            Self::Release => "release",
            Self::Revoke => "revoke",
            Self::Transfer => "transfer",
            Self::CancelWait => "cancel-wait",
            Self::Configure => "configure",
        }
    }
}

impl FromStr for Operation {
    type Err = UnknownOperation;

    fn from_str(name: &str) -> Result<Self, UnknownOperation> {
        let found = Self::ALL
            .into_iter()
            .find(|operation| operation.as_str() == name);
        found.ok_or_else(|| UnknownOperation(name.to_owned()))
    }
}

impl<'de> Deserialize<'de> for Operation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        name.parse().map_err(serde::de::Error::custom)
    }
}
