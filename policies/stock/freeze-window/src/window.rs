//! One freeze.

use std::collections::BTreeMap;

use leasehold_policy_sdk::LockPattern;
use leasehold_policy_sdk::Principal;
use leasehold_policy_sdk::Request;
use leasehold_policy_sdk::TextPattern;
use leasehold_policy_sdk::UtcTime;
use serde::Deserialize;

use crate::week::Weekly;

/// One freeze; see `schema.json`.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Window {
    pub(crate) name: String,
    pub(crate) locks: Option<Vec<LockPattern>>,
    pub(crate) from: Option<UtcTime>,
    pub(crate) until: Option<UtcTime>,
    pub(crate) weekly: Option<Weekly>,
    pub(crate) message: Option<String>,
    #[serde(default)]
    pub(crate) exceptions: Vec<Exception>,
}

/// Who passes all the same. All that is named must be met.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Exception {
    pub(crate) team: Option<String>,
    pub(crate) subject: Option<String>,
    #[serde(default)]
    pub(crate) labels: BTreeMap<String, TextPattern>,
}

impl Window {
    /// Whether it is meant for this request, whatever the time.
    pub(crate) fn freezes(&self, request: &Request, principal: &Principal) -> bool {
        let covered = match &self.locks {
            Some(patterns) => patterns
                .iter()
                .any(|pattern| pattern.matches(&request.lock)),
            None => true,
        };
        covered
            && !self
                .exceptions
                .iter()
                .any(|exception| exception.met(request, principal))
    }

    /// When it ends, if it is on.
    pub(crate) fn end(&self, now: UtcTime) -> Option<UtcTime> {
        match (&self.weekly, self.from, self.until) {
            (Some(weekly), _, _) => weekly.end(now),
            (None, Some(from), Some(until)) => (from <= now && now < until).then_some(until),
            _ => None,
        }
    }

    /// Whether it can be.
    pub(crate) fn check(&self) -> Result<(), String> {
        let told = |problem| format!("window `{}`: {problem}", self.name);
        for pattern in self.locks.iter().flatten() {
            pattern.check().map_err(told)?;
        }
        match (&self.weekly, self.from, self.until) {
            (Some(weekly), None, None) => weekly.check().map_err(told),
            (None, Some(from), Some(until)) if from < until => Ok(()),
            (None, Some(_), Some(_)) => Err(told("it ends before it begins".to_owned())),
            _ => Err(told(
                "it needs either `weekly`, or `from` and `until`".to_owned(),
            )),
        }
    }
}

impl Exception {
    fn met(&self, request: &Request, principal: &Principal) -> bool {
        let team = self.team.is_none() || self.team == principal.team;
        let subject = self
            .subject
            .as_ref()
            .is_none_or(|subject| *subject == principal.subject);
        let label = |(key, pattern): (&String, &TextPattern)| {
            request
                .labels
                .get(key)
                .is_some_and(|value| pattern.matches(value))
        };
        let named = self.team.is_some() || self.subject.is_some() || !self.labels.is_empty();
        named && team && subject && self.labels.iter().all(label)
    }
}
