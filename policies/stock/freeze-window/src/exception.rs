//! Who passes a freeze all the same.

use std::collections::BTreeMap;

use leasehold_policy_sdk::Principal;
use leasehold_policy_sdk::Request;
use leasehold_policy_sdk::TextPattern;
use serde::Deserialize;

/// Who passes all the same. All that is named must be met.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Exception {
    role: Option<String>,
    team: Option<String>,
    subject: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, TextPattern>,
}

impl Exception {
    pub(crate) fn met(&self, request: &Request, principal: &Principal) -> bool {
        let Self {
            role,
            team,
            subject,
            labels,
        } = self;
        let named = role.is_some() || team.is_some() || subject.is_some() || !labels.is_empty();
        let label = |(key, pattern): (&String, &TextPattern)| {
            let value = request.labels.get(key);
            value.is_some_and(|value| pattern.matches(value))
        };
        named
            && (team.is_none() || *team == principal.team)
            && subject.as_ref().is_none_or(|own| *own == principal.subject)
            && role.as_ref().is_none_or(|role| principal.has_role(role))
            && labels.iter().all(label)
    }

    /// Whether its patterns can be.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.labels.values().try_for_each(TextPattern::check)
    }
}
