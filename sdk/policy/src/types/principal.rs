//! Who asks.

use crate::Pairs;

/// Who asks, after authentication.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Principal {
    /// The identity that owns leases.
    pub subject: String,
    /// The team that it belongs to.
    pub team: Option<String>,
    /// The names of its roles.
    pub roles: Vec<String>,
    /// Further facts about it (claims of its token).
    pub claims: Pairs,
}

impl Principal {
    /// A principal of a team, with no roles and no claims.
    #[must_use]
    pub fn new(subject: &str, team: Option<&str>) -> Self {
        Self {
            subject: subject.to_owned(),
            team: team.map(str::to_owned),
            ..Self::default()
        }
    }

    /// Whether it has a role of that name.
    #[must_use]
    pub fn has_role(&self, name: &str) -> bool {
        self.roles.iter().any(|role| role == name)
    }
}
