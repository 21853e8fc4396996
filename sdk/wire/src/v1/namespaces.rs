//! Namespaces.

use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

/// Create or replace a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NamespaceRequest {
    /// 1 to 63 of `a-z 0-9 -`. In a PUT the path says it, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The team that owns it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// Which teams can see it and use its locks, besides the team that owns it; `*` for everybody. If
    /// it names none, the owner's alone; a namespace that nobody owns is everybody's then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub visible_to: Vec<String>,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// What happens where no policy is bound: `deny` (the default) or `allow`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_decision: Option<String>,
    /// Which store has its locks; `home` unless another is named. It cannot be changed by a PUT: a
    /// namespace is moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// PUT: write only if the namespace has this revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
}

/// A namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Namespace {
    /// Its name.
    pub name: String,
    /// The team that owns it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// Which teams can see it, besides the team that owns it; `*` for everybody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub visible_to: Vec<String>,
    /// For people.
    pub description: String,
    /// What happens where no policy is bound.
    pub default_decision: String,
    /// Which store has its locks.
    pub store: String,
    /// The store that it is being moved to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moving_to: Option<String>,
    /// Stores that had its locks before: their ledgers tell of its past.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier_stores: Vec<String>,
    /// The revision of its last write.
    pub revision: u64,
}

/// Move a namespace to another store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveRequest {
    /// Which store.
    pub to: String,
}

/// All namespaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NamespaceList {
    /// By name.
    pub namespaces: Vec<Namespace>,
}
