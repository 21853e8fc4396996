//! The documents of approvals by further people.

use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;

/// Collection of the one [`ApprovalRuleDocument`].
pub(crate) const APPROVAL_RULES: &str = "approval-rule";
/// The id of the rule.
pub(crate) const APPROVAL_RULE: &str = "rule";
/// Collection of [`ApprovalDocument`]s, by the digests of what they approve.
pub(crate) const APPROVALS: &str = "approval";

/// How many people besides the author must approve a change of what may lock what.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ApprovalRuleDocument {
    /// How many; 0 if changes need none.
    pub required: u32,
    /// Who set it.
    #[serde(default)]
    pub set_by: String,
    /// When, RFC 3339.
    #[serde(default)]
    pub set_at: String,
}

/// A change that somebody asked for, and who has approved it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalDocument {
    /// SHA-256 of [`Self::subject`] as compact JSON with sorted members, 64 hex digits. An approval
    /// names it, so it holds for exactly this change.
    pub id: String,
    /// What is changed: `binding`, `rollout`, `namespace`, `key`, `policy-trust`, `approval-rule` or
    /// `policy-standing`.
    pub kind: String,
    /// The name of the changed document.
    pub name: String,
    /// The change in words.
    pub summary: String,
    /// Everything that an approval is for.
    pub subject: Value,
    /// Who asked for it.
    pub author: String,
    /// Who uploaded the modules that it takes into use.
    #[serde(default)]
    pub uploaders: Vec<String>,
    /// When it was asked for, RFC 3339.
    pub requested_at: String,
    /// From when on approvals of it no longer count, in milliseconds since 1970.
    pub expires_ms: u64,
    /// Who approved it, oldest first.
    #[serde(default)]
    pub approvals: Vec<Approval>,
    /// When the change was made, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_at: Option<String>,
    /// When it was withdrawn, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn_at: Option<String>,
}

/// The approval of one subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Whose.
    pub by: String,
    /// When, RFC 3339.
    pub at: String,
    /// The given reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Whether a change can still be approved or made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApprovalState {
    /// It can.
    Open,
    /// It was made.
    Used,
    /// It was withdrawn.
    Withdrawn,
    /// It was asked for too long ago.
    Expired,
}

impl ApprovalState {
    /// Returns the state's name in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Used => "used",
            Self::Withdrawn => "withdrawn",
            Self::Expired => "expired",
        }
    }
}

impl ApprovalDocument {
    /// Returns the state at `now_ms`, in milliseconds since 1970.
    #[must_use]
    pub fn state(&self, now_ms: u64) -> ApprovalState {
        if self.withdrawn_at.is_some() {
            ApprovalState::Withdrawn
        } else if self.used_at.is_some() {
            ApprovalState::Used
        } else if now_ms >= self.expires_ms {
            ApprovalState::Expired
        } else {
            ApprovalState::Open
        }
    }
}
