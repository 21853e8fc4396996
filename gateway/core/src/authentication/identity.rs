//! Whom a key or a token stands for.

use std::collections::BTreeSet;
use std::sync::Arc;

use leasehold_domain::NamespaceName;
use leasehold_domain::Principal;
use leasehold_domain::TeamName;
use serde::Deserialize;
use serde::Serialize;

/// Who calls, and where its key is of use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Who.
    pub principal: Arc<Principal>,
    /// Where; `None` for everywhere.
    pub scope: Option<Arc<KeyScope>>,
}

/// The namespaces in which a key is of use. Elsewhere it sees nothing, and its roles count nowhere
/// else.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyScope {
    /// These namespaces.
    #[serde(default)]
    pub namespaces: BTreeSet<NamespaceName>,
    /// And those that these teams own.
    #[serde(default)]
    pub teams: BTreeSet<TeamName>,
}

impl KeyScope {
    /// Whether a namespace and its owner are in it.
    #[must_use]
    pub fn covers(&self, namespace: &NamespaceName, owner: Option<&TeamName>) -> bool {
        let is_owned = || owner.is_some_and(|team| self.teams.contains(team));
        self.namespaces.contains(namespace) || is_owned()
    }
}
