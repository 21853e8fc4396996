//! Counters: how many leases may carry a name that a policy gives them.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

use crate::Denial;
use crate::DenialKind;

/// A counter as an allowing verdict names it. Its name belongs to the policy that gave the verdict.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PolicyCounter {
    /// The counter's name: 1 to [`crate::limits::COUNTER_NAME_BYTES_MAX`] bytes of printable text.
    pub name: Box<str>,
    /// How many leases may carry it at once; at least 1.
    pub maximum: u32,
    /// The code of the denial if it refuses; `None` for [`CounterFull::CODE`].
    pub code: Option<Box<str>>,
}

/// Which counter: the policy that names it, and the name. Counters of one namespace have nothing to
/// do with those of another, nor counters of one policy with those of another; all versions of a
/// policy share its counters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CounterKey {
    /// The policy.
    pub policy: Arc<str>,
    /// The name that the policy gave it.
    pub name: Arc<str>,
}

impl fmt::Display for CounterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of policy {}", self.name, self.policy)
    }
}

/// A counter that an acquire carries. Its lease is granted only if, with it, no more than `maximum`
/// leases of the namespace carry the counter.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Counter {
    /// Which.
    pub key: CounterKey,
    /// How many leases may carry it at once.
    pub maximum: u32,
    /// The code of the denial if it refuses; `None` for [`CounterFull::CODE`].
    pub code: Option<Box<str>>,
}

/// A counter that as many leases carry as may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CounterFull {
    /// Which.
    pub key: CounterKey,
    /// How many leases may carry it.
    pub maximum: u32,
    /// How many do.
    pub present: u32,
    /// The code of the denial; `None` for [`CounterFull::CODE`].
    pub code: Option<Box<str>>,
}

impl CounterFull {
    /// The code of the denial if the policy names none.
    pub const CODE: &'static str = "quota-exceeded";

    /// Returns the denial that it is, of the policy whose verdict carried the counter.
    #[must_use]
    pub fn denial(&self) -> Denial {
        let CounterFull {
            key,
            maximum,
            present,
            code,
        } = self;
        let name = &key.name;
        Denial {
            kind: DenialKind::Policy,
            policy: Some(key.policy.clone()),
            code: code.clone().unwrap_or_else(|| Self::CODE.into()),
            message: format!("counter {name:?} has {present} of at most {maximum} leases").into(),
            retry_after_ms: None,
        }
    }
}
