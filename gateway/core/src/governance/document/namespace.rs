//! Namespaces as they are stored.

use std::collections::BTreeSet;

use leasehold_domain::NamespaceName;
use leasehold_domain::StoreName;
use leasehold_domain::TeamName;
use serde::Deserialize;
use serde::Serialize;

use crate::config::Limits;

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamespaceDocument {
    /// Its name.
    pub name: NamespaceName,
    /// Who owns it.
    pub team: Option<TeamName>,
    /// Who can see it.
    #[serde(default, skip_serializing_if = "Visibility::is_default")]
    pub visibility: Visibility,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// What happens to operations that no policy decides: none is bound, or only advisory ones.
    #[serde(default)]
    pub default_decision: DefaultDecision,
    /// Which store has its locks.
    #[serde(default = "StoreName::home")]
    pub store: StoreName,
    /// How much it may have. Administrators set this, not the owner.
    #[serde(default, skip_serializing_if = "NamespaceCaps::is_none")]
    pub caps: NamespaceCaps,
    /// Where else it was, or is on its way.
    #[serde(default, skip_serializing_if = "Travels::is_none")]
    pub travels: Travels,
}

/// Who can see a namespace and use its locks, besides those whose role lets them see all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Visibility {
    /// The team that owns it; everybody if nobody owns it.
    #[default]
    Team,
    /// Everybody.
    Everyone,
    /// These teams, and the team that owns it.
    Teams(BTreeSet<TeamName>),
}

impl Visibility {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// How much a namespace may have; `None` for no cap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamespaceCaps {
    /// Locks that are held or waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locks: Option<u64>,
    /// Acquires that wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiters: Option<u64>,
    /// Bytes of its events in the ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger_bytes: Option<u64>,
}

impl NamespaceCaps {
    /// Returns the caps of namespaces that have none of their own, as the configuration says.
    #[must_use]
    pub fn default_of(limits: &Limits) -> Self {
        let cap = |most: u64| (most > 0).then_some(most);
        Self {
            locks: cap(limits.namespace_locks_max),
            waiters: cap(limits.namespace_waiters_max),
            ledger_bytes: cap(limits.namespace_ledger_bytes_max),
        }
    }

    /// Returns whether there is no cap.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Returns these caps, and where one is missing that of `others`.
    #[must_use]
    pub fn or(&self, others: &Self) -> Self {
        Self {
            locks: self.locks.or(others.locks),
            waiters: self.waiters.or(others.waiters),
            ledger_bytes: self.ledger_bytes.or(others.ledger_bytes),
        }
    }
}

/// The moves of a namespace between stores.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Travels {
    /// How many moves were begun.
    #[serde(default)]
    pub era: u64,
    /// Stores that it has left, whose ledgers tell of its past.
    #[serde(default)]
    pub earlier: BTreeSet<StoreName>,
    /// Where it is being moved, by the move of this era.
    #[serde(default)]
    pub to: Option<StoreName>,
    /// Which store has records to forget, of the move of this era.
    #[serde(default)]
    pub leaving: Option<StoreName>,
}

impl Travels {
    /// Whether it was never moved.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl NamespaceDocument {
    /// Returns what people set of it.
    #[must_use]
    pub fn settings(&self) -> NamespaceSettings {
        NamespaceSettings {
            name: self.name.clone(),
            team: self.team.clone(),
            visibility: self.visibility.clone(),
            description: self.description.clone(),
            default_decision: self.default_decision,
            caps: self.caps,
        }
    }

    /// Where its locks are, and were.
    #[must_use]
    pub fn place(&self) -> PlaceDocument {
        PlaceDocument {
            store: self.store.clone(),
            travels: self.travels.clone(),
        }
    }

    /// Every store whose ledger tells of it.
    pub fn stores(&self) -> impl Iterator<Item = &StoreName> {
        let others = self.travels.earlier.iter().chain(&self.travels.to);
        let others = others.filter(|store| **store != self.store);
        std::iter::once(&self.store).chain(others)
    }
}

/// Where a deleted namespace was: its locks and the numbers of its tokens are still there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaceDocument {
    /// Which store has them.
    pub store: StoreName,
    /// Where it was before.
    #[serde(default)]
    pub travels: Travels,
}

/// What people set of a namespace, as its revisions keep it. Where its locks are is not a setting:
/// they are moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamespaceSettings {
    /// Its name.
    pub name: NamespaceName,
    /// Who owns it.
    pub team: Option<TeamName>,
    /// Who can see it.
    #[serde(default, skip_serializing_if = "Visibility::is_default")]
    pub visibility: Visibility,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// What happens to operations that no policy decides.
    #[serde(default)]
    pub default_decision: DefaultDecision,
    /// How much it may have.
    #[serde(default, skip_serializing_if = "NamespaceCaps::is_none")]
    pub caps: NamespaceCaps,
}

impl NamespaceSettings {
    /// Returns the draft that makes a namespace have these settings and leaves its locks where they are.
    #[must_use]
    pub fn draft(&self) -> NamespaceDraft {
        NamespaceDraft {
            name: self.name.clone(),
            team: self.team.clone(),
            visibility: self.visibility.clone(),
            description: self.description.clone(),
            default_decision: self.default_decision,
            store: None,
            caps: Some(self.caps),
        }
    }
}

/// What an administrator says of a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceDraft {
    /// Its name.
    pub name: NamespaceName,
    /// Who owns it.
    pub team: Option<TeamName>,
    /// Who can see it.
    pub visibility: Visibility,
    /// For people.
    pub description: String,
    /// What happens to operations that no policy decides: none is bound, or only advisory ones.
    pub default_decision: DefaultDecision,
    /// Which store has its locks; none for the one that has them, or home.
    pub store: Option<StoreName>,
    /// How much it may have; `None` for the caps that it has.
    pub caps: Option<NamespaceCaps>,
}

/// What happens to operations that no policy decides: none is bound, or only advisory ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DefaultDecision {
    /// The request is denied with `no_policy_bound`.
    #[default]
    Deny,
    /// It passes.
    Allow,
}
