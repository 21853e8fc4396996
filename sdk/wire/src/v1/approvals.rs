//! Approvals: changes that other people must approve before they are made.

use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

/// How many people besides the author must approve a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalRuleRequest {
    /// How many; 0 for none.
    pub required: u32,
}

/// The rule, and who could approve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApprovalRule {
    /// How many people besides the author must approve a change; 0 for none.
    pub required: u32,
    /// The subject that set it; absent if nobody has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_by: Option<String>,
    /// When it was set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_at: Option<String>,
    /// The subjects of keys that could approve a stranger's change together. Tokens of a company's
    /// own provider are not known before they are used.
    pub approvers: Vec<String>,
}

/// Approves a change, or withdraws the request.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalChangeRequest {
    /// The reason, recorded in the ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A request for approval of one change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Approval {
    /// SHA-256 over `{"form", "kind", "name", "subject"}` as compact JSON with sorted members: an
    /// approval holds for exactly this change.
    pub id: String,
    /// What is changed: `binding`, `rollout`, `namespace`, `key`, `policy-trust`, `approval-rule` or
    /// `policy-standing`.
    pub kind: String,
    /// The name of what is changed.
    pub name: String,
    /// The change in words.
    pub summary: String,
    /// Everything that is approved; absent in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub subject: Option<serde_json::Value>,
    /// The subject that asked for it.
    pub author: String,
    /// The subjects that uploaded the modules that it takes into use.
    pub uploaders: Vec<String>,
    /// When it was asked for.
    pub requested_at: String,
    /// From when on approvals of it no longer count.
    pub expires_at: String,
    /// `open`, `used`, `withdrawn` or `expired`.
    pub state: String,
    /// How many of the approvals count: of those that descend from one another only one does.
    pub counted: u32,
    /// How many are required now.
    pub required: u32,
    /// The approvals, oldest first.
    pub approvals: Vec<GivenApproval>,
    /// When the change was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_at: Option<String>,
    /// When the request was withdrawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn_at: Option<String>,
}

/// The approval of one subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GivenApproval {
    /// The subject that approved.
    pub by: String,
    /// When.
    pub at: String,
    /// The reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Requests for approval, the newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ApprovalList {
    /// The requests.
    pub approvals: Vec<Approval>,
}
