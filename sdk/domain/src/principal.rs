//! Who calls, after authentication.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde::Deserialize;
use serde::Serialize;

use crate::RoleName;
use crate::Subject;
use crate::TeamName;

/// What a principal may do beyond using locks, which every principal may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Namespaces, keys, bindings: everything but passing a policy's denial.
    Administrator,
    /// Revoke, transfer for others, incidents.
    Operator,
    /// Upload policy versions, explain decisions.
    PolicyAuthor,
    /// Read the ledger.
    Auditor,
    /// Pass an `overridable` denial, with a written reason.
    BreakGlass,
    /// Approve changes of others.
    Approver,
}

impl Role {
    /// All roles, in the order of their bits.
    pub const ALL: [Self; 6] = [
        Self::Administrator,
        Self::Operator,
        Self::PolicyAuthor,
        Self::Auditor,
        Self::BreakGlass,
        Self::Approver,
    ];

    /// The role's name in the API, in policies and in the ledger.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::Operator => "operator",
            Self::PolicyAuthor => "policy-author",
            Self::Auditor => "auditor",
            Self::BreakGlass => "break-glass",
            Self::Approver => "approver",
        }
    }

    /// Whether sets keep the role by its name, like a custom one. So an older build, which does not
    /// know the role, reads and writes the same bytes.
    fn is_kept_by_name(self) -> bool {
        self == Self::Approver
    }

    /// The role of that name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }
}

/// A set of roles: those that the gateway knows, and custom ones of a company, whose names the gateway
/// hands to policies without giving them a meaning.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
pub struct RoleSet {
    /// A bit for each of [`Role::ALL`] that is not kept by name.
    known: u8,
    /// The company's, and the gateway's that are kept by name.
    custom: BTreeSet<RoleName>,
}

impl RoleSet {
    /// Whether the set has `role`.
    #[must_use]
    pub fn has(&self, role: Role) -> bool {
        if role.is_kept_by_name() {
            return self
                .custom
                .iter()
                .any(|name| name.as_str() == role.as_str());
        }
        self.known & (1 << role as u8) != 0
    }

    /// The set with `role` in it.
    #[must_use]
    pub fn with(mut self, role: Role) -> Self {
        if role.is_kept_by_name() {
            let name = role.as_str().parse();
            self.custom
                .insert(name.unwrap_or_else(|_| unreachable!("it is a name of a role")));
            return self;
        }
        self.known |= 1 << role as u8;
        self
    }

    /// The set with the role of that name in it, the gateway's or a custom one.
    #[must_use]
    pub fn with_named(mut self, name: RoleName) -> Self {
        match Role::from_name(name.as_str()) {
            Some(role) => self.with(role),
            None => {
                self.custom.insert(name);
                self
            }
        }
    }

    /// The roles in the set that the gateway knows.
    pub fn iter(&self) -> impl Iterator<Item = Role> {
        Role::ALL.into_iter().filter(move |role| self.has(*role))
    }

    /// The custom roles in the set and the gateway's that are kept by name, in order.
    pub fn custom(&self) -> impl Iterator<Item = &RoleName> {
        self.custom.iter()
    }

    /// The names of all roles in the set: the gateway's oldest first, then the others by name.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let bits = Role::ALL.iter().filter(|role| !role.is_kept_by_name());
        let known = bits.filter(|role| self.has(**role));
        let known = known.map(|role| -> &str { role.as_str() });
        known.chain(self.custom.iter().map(RoleName::as_str))
    }
}

impl FromIterator<RoleName> for RoleSet {
    fn from_iter<I: IntoIterator<Item = RoleName>>(names: I) -> Self {
        names.into_iter().fold(Self::default(), Self::with_named)
    }
}

impl FromIterator<Role> for RoleSet {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        roles.into_iter().fold(Self::default(), Self::with)
    }
}

/// Who calls. Shared by `Arc` between the request's stages, its event and its lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    /// The identity that owns leases.
    pub subject: Subject,
    /// The team that it belongs to.
    pub team: Option<TeamName>,
    /// What it may do beyond using locks.
    pub roles: RoleSet,
    /// Further facts about it (claims of its JWT), as policies see them.
    pub claims: BTreeMap<String, String>,
}
