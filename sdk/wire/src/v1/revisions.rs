//! Revisions of bindings and namespaces: what they said before, and who changed it.

use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

/// Make a binding or a namespace say what one of its revisions said.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreRequest {
    /// The number of the revision.
    pub revision: u64,
    /// Why; the new revision and the ledger keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The revisions of a binding or a namespace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RevisionList<B> {
    /// Newest first, without bodies.
    pub revisions: Vec<Revision<B>>,
    /// `before` of the next page; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_before: Option<u64>,
    /// Whether the binding or namespace differs from its newest revision: a build that keeps no
    /// revisions wrote it. Its next change records it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unrecorded: bool,
}

/// A revision of a binding or a namespace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Revision<B> {
    /// Its number; those of one binding or namespace grow by one, also after it was deleted.
    pub number: u64,
    /// When it was written, RFC 3339.
    pub at: String,
    /// The subject that wrote it; absent if a build that keeps no revisions did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// What wrote it: `put`, `delete`, `rollout`, `restore`, or `recorded-later` if a build that keeps
    /// no revisions did.
    pub origin: String,
    /// The rollout that wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<String>,
    /// The number of the revision that was restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<u64>,
    /// The given reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What it says since then, as the body of a PUT; absent in lists, and if it was deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<B>,
    /// The number of the revision that it is compared with; 0 for none.
    pub against: u64,
    /// Lists: JSON pointers to the fields that differ.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<String>,
    /// One revision: what differs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<FieldChange>,
}

/// A field that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FieldChange {
    /// A JSON pointer into the body; empty for the whole body. The policies of a binding are matched by
    /// name; the index is that in the newer binding, or in the older one if the policy was removed.
    pub path: String,
    /// The value before; absent if there was none.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "some"
    )]
    #[schema(value_type = Option<serde_json::Value>)]
    pub before: Option<serde_json::Value>,
    /// The value now; absent if there is none.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "some"
    )]
    #[schema(value_type = Option<serde_json::Value>)]
    pub after: Option<serde_json::Value>,
}

/// Reads a value that is there, also if it is null.
fn some<'de, D>(value: D) -> Result<Option<serde_json::Value>, D::Error>
where
    D: serde::Deserializer<'de>,
{
    serde_json::Value::deserialize(value).map(Some)
}
