//! API keys.

use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

/// Make a key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateKeyRequest {
    /// Who it stands for.
    pub subject: String,
    /// Of which team.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// `administrator`, `operator`, `policy-author`, `auditor`, `break-glass`; none for a service.
    #[serde(default)]
    pub roles: Vec<String>,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// How long after its creation it expires; it never does if this is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_ms: Option<u64>,
    /// Where it is of use; everywhere if this is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<KeyScope>,
}

/// The namespaces in which a key is of use. Elsewhere it sees nothing; its roles count for what is
/// done in them, and for nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyScope {
    /// These namespaces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// And those that these teams own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub teams: Vec<String>,
}

/// Replace a key by a new one with the same subject, team, roles, scope, description and lifetime.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateKeyRequest {
    /// How long the old key stays valid, unless it expires earlier anyway; one day if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap_ms: Option<u64>,
}

/// A new key. Its text is shown here and never again.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreatedKey {
    /// The key, to be sent as `Authorization: Bearer KEY`.
    pub key: String,
    /// What is stored of it.
    #[serde(flatten)]
    pub view: KeyView,
}

debug_without_secret!(CreatedKey: view);

/// What is stored of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyView {
    /// Its id: the part of the key that may be shown.
    pub id: String,
    /// Who it stands for.
    pub subject: String,
    /// Of which team.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// Its roles.
    pub roles: Vec<String>,
    /// For people.
    pub description: String,
    /// When it was made, RFC 3339.
    pub created_at: String,
    /// When it was revoked, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<String>,
    /// When it expires, or has expired, RFC 3339; absent if it never does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// The subject that created it; `leasehold:…` is the gateway itself. Absent for keys of
    /// gateways that did not record it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// Where it is of use; absent for everywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<KeyScope>,
    /// The last day on which a gateway accepted it, in UTC, `YYYY-MM-DD`; absent if none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_on: Option<String>,
}

/// All keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyList {
    /// By id.
    pub keys: Vec<KeyView>,
}
