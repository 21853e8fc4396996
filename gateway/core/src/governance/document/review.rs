//! The documents of reviews: what somebody did alone, and somebody else looks at afterwards.

use serde::Deserialize;
use serde::Serialize;

/// Collection of [`ReviewDocument`]s, by id.
pub const REVIEWS: &str = "review";

/// Something that was done alone, and that somebody else must look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewDocument {
    /// Its id: 32 hex digits.
    pub id: String,
    /// `break-glass` or `key-recovery`.
    pub kind: String,
    /// Who did it.
    pub subject: String,
    /// What was done, in words.
    pub summary: String,
    /// The lock, with its namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<String>,
    /// The given reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The given ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// When the use of break-glass ends at the latest, in milliseconds since 1970. `None` if it allowed
    /// no lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<u64>,
    /// The id of the first decision, to be found in the ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<String>,
    /// When it was opened, RFC 3339.
    pub opened_at: String,
    /// When it falls due, in milliseconds since 1970.
    pub due_ms: u64,
    /// Who closed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<ClosedReview>,
}

/// The end of a review.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosedReview {
    /// Who closed it.
    pub by: String,
    /// When, RFC 3339.
    pub at: String,
    /// What there is to say of it.
    pub note: String,
}

impl ReviewDocument {
    /// Returns whether it is open and was to be closed before `now_ms`, in milliseconds since 1970.
    #[must_use]
    pub fn is_overdue(&self, now_ms: u64) -> bool {
        self.closed.is_none() && now_ms >= self.due_ms
    }
}
