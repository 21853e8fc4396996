//! One bound.

use leasehold_policy_sdk::Limits;
use leasehold_policy_sdk::LockPatterns;
use leasehold_policy_sdk::NamePattern;
use leasehold_policy_sdk::Principal;
use leasehold_policy_sdk::Request;
use leasehold_policy_sdk::TextPattern;
use leasehold_policy_sdk::Verdict;
use leasehold_policy_sdk::trace;
use serde::Deserialize;

/// One bound; see `schema.json`.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Rule {
    name: Option<String>,
    locks: Option<LockPatterns>,
    #[serde(default)]
    teams: Vec<TextPattern>,
    #[serde(default)]
    subjects: Vec<NamePattern>,
    #[serde(default)]
    roles: Vec<String>,
    min_ttl_ms: Option<u64>,
    max_ttl_ms: Option<u64>,
    max_hold_ms: Option<u64>,
    max_wait_ms: Option<u64>,
    #[serde(default)]
    too_long: TooLong,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum TooLong {
    #[default]
    Clamp,
    Deny,
}

impl Rule {
    /// Whether it is meant for the lock and the caller.
    pub(crate) fn covers(&self, lock: &str, principal: &Principal) -> bool {
        self.locks
            .as_ref()
            .is_none_or(|patterns| patterns.matches(lock))
            && self.is_for(principal)
    }

    /// Without a name it is for everybody.
    fn is_for(&self, principal: &Principal) -> bool {
        let Self {
            teams,
            subjects,
            roles,
            ..
        } = self;
        let team = principal.team.as_deref();
        (teams.is_empty() && subjects.is_empty() && roles.is_empty())
            || team.is_some_and(|team| teams.iter().any(|own| own.matches(team)))
            || subjects.iter().any(|own| own.matches(&principal.subject))
            || roles.iter().any(|role| principal.has_role(role))
    }

    pub(crate) fn judge(&self, request: &Request) -> Verdict {
        match self.broken(request) {
            Some((code, mut message)) => {
                if let Some(name) = &self.name {
                    message.push_str(&format!(" (rule `{name}`)"));
                }
                Verdict::deny(code, message)
            }
            None => {
                if let Some(name) = &self.name {
                    trace(name);
                }
                Verdict::Allow(Limits {
                    max_ttl_ms: self.max_ttl_ms,
                    max_hold_ms: self.max_hold_ms,
                    ..Limits::default()
                })
            }
        }
    }

    /// The bound that the request breaks.
    fn broken(&self, request: &Request) -> Option<(&'static str, String)> {
        if let Some((ttl, min)) = request.ttl_ms.zip(self.min_ttl_ms)
            && ttl < min
        {
            let message = format!("a ttl of {ttl} ms is below the shortest, {min} ms");
            return Some(("ttl-too-short", message));
        }
        if self.too_long == TooLong::Deny
            && let Some((ttl, max)) = request.ttl_ms.zip(self.max_ttl_ms)
            && ttl > max
        {
            let message = format!("a ttl of {ttl} ms is above the longest, {max} ms");
            return Some(("ttl-too-long", message));
        }
        if let Some((wait, max)) = request.wait_ms.zip(self.max_wait_ms)
            && wait > max
        {
            let message = format!("a wait of {wait} ms is above the longest, {max} ms");
            return Some(("wait-too-long", message));
        }
        None
    }

    /// Whether it can be.
    pub(crate) fn check(&self) -> Result<(), String> {
        let checks = self.check_parts();
        checks.map_err(|problem| match &self.name {
            Some(name) => format!("rule `{name}`: {problem}"),
            None => problem,
        })
    }

    fn check_parts(&self) -> Result<(), String> {
        if let Some(patterns) = &self.locks {
            patterns.check()?;
        }
        self.teams.iter().try_for_each(TextPattern::check)?;
        self.subjects.iter().try_for_each(NamePattern::check)?;
        match (self.min_ttl_ms, self.max_ttl_ms) {
            (Some(min), Some(max)) if min > max => {
                Err(format!("min_ttl_ms {min} is above max_ttl_ms {max}"))
            }
            _ => Ok(()),
        }
    }
}
