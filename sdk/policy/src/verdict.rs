//! A policy's answer.

/// A policy's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The request may pass, within these limits.
    Allow(Limits),
    /// It may not.
    Deny(Denial),
}

/// The limits that an allowing policy sets. Of several policies the tightest counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// The longest time to live, in milliseconds; at least 1,000.
    pub max_ttl_ms: Option<u64>,
    /// The longest hold, renewals included, in milliseconds; at least 1,000.
    pub max_hold_ms: Option<u64>,
    /// Acquire: the counters that the lease will carry; at most 8, each name once. They belong to
    /// the policy.
    pub counters: Vec<Counter>,
}

/// A number of leases that must not become too great: the gateway counts the leases of the namespace
/// that carry the counter, and refuses an acquire with which they would be more than the maximum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counter {
    /// Which: 1 to 384 bytes of printable text.
    pub name: String,
    /// How many leases may carry it; at least 1.
    pub maximum: u32,
    /// The code of the denial if the counter refuses; `quota-exceeded` if none.
    pub code: Option<String>,
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// Stable, for programs: 1 to 64 of `a-z 0-9 - _ .`.
    pub code: String,
    /// For people; at most 1,024 bytes.
    pub message: String,
    /// When it may be worth asking again, in milliseconds.
    pub retry_after_ms: Option<u64>,
}

impl Verdict {
    /// The request may pass.
    #[must_use]
    pub fn allow() -> Self {
        Self::Allow(Limits::default())
    }

    /// The request may pass, and its lease will carry these counters.
    #[must_use]
    pub fn counting(counters: Vec<Counter>) -> Self {
        Self::Allow(Limits {
            counters,
            ..Limits::default()
        })
    }

    /// It may not, for this reason.
    #[must_use]
    pub fn deny(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Deny(Denial {
            code: code.into(),
            message: message.into(),
            retry_after_ms: None,
        })
    }

    /// The same denial with a hint on when to ask again. An allowing verdict stays as it is.
    #[must_use]
    pub fn retry_after_ms(mut self, ms: u64) -> Self {
        if let Self::Deny(denial) = &mut self {
            denial.retry_after_ms = Some(ms);
        }
        self
    }

    /// The code, if this denies. For tests.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Allow(_) => None,
            Self::Deny(denial) => Some(&denial.code),
        }
    }
}
