//! Reviews: what somebody did alone, and somebody else looks at afterwards.

use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

/// Closes a review.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CloseReviewRequest {
    /// What was found; recorded in the ledger.
    pub note: String,
}

/// A review.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Review {
    /// Its id.
    pub id: String,
    /// `break-glass`: an overridable denial was passed. `key-recovery`: a key was made on a stopped
    /// gateway.
    pub kind: String,
    /// The subject that did it.
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
    /// When the use of break-glass ends at the latest; absent if it allowed no lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// The id of the first decision, to be found in the ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision_id: Option<String>,
    /// When it was opened.
    pub opened_at: String,
    /// When it falls due.
    pub due_at: String,
    /// `open`, `overdue` or `closed`.
    pub state: String,
    /// The subject that closed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_by: Option<String>,
    /// When it was closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<String>,
    /// What was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Reviews, those that fell due first before the others, closed ones last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReviewList {
    /// The reviews.
    pub reviews: Vec<Review>,
}
