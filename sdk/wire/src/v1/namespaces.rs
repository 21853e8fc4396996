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
    /// How much it may have. A PUT without it keeps the caps, one with an empty object lifts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caps: Option<NamespaceCaps>,
    /// PUT: write only if the namespace has this revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// Why; the revision and the ledger keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How much a namespace may have, each 1 to 9007199254740991; what is absent has no cap, unless the
/// gateways are configured with one. Beyond a cap acquires of something new are refused.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NamespaceCaps {
    /// Locks that are held or waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locks: Option<u64>,
    /// Acquires that wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiters: Option<u64>,
    /// Bytes that the events of its locks take in the ledger, counted before they are compressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger_bytes: Option<u64>,
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
    /// How much it may have; absent if it has no caps of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caps: Option<NamespaceCaps>,
    /// The store that it is being moved to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moving_to: Option<String>,
    /// Stores that had its locks before: their ledgers tell of its past.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier_stores: Vec<String>,
    /// The revision of its last write.
    pub revision: u64,
    /// Answers to writes: the number of the namespace's newest revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
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
