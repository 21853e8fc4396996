//! The newest answers of a flag service, as one immutable value.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use super::limit::FlagLimit;
use super::parse::Evaluation;
use super::parse::Evaluations;

/// The flags that rollouts name, with what is known of each. The default knows none, and is that of a
/// gateway without a flag service.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FlagSnapshot {
    /// The age from which on an answer is stale; `None` if this gateway asks no flag service.
    stale_after: Option<Duration>,
    /// Why the newest poll failed.
    problem: Option<String>,
    flags: BTreeMap<String, KnownFlag>,
}

#[derive(Debug, Clone, PartialEq, Default)]
struct KnownFlag {
    /// The last usable answer. It holds until there is another one, however old it is.
    answer: Option<Evaluation>,
    /// When the service last gave or confirmed it.
    confirmed: Duration,
    /// Why the newest answer of the service has no usable value for the flag.
    problem: Option<String>,
}

/// What is known of one flag at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct FlagStatus {
    /// Its key.
    pub key: String,
    /// What it allows.
    pub limit: FlagLimit,
    /// Its value, as JSON; `None` before the first answer.
    pub value: Option<String>,
    /// The name of the value in the service.
    pub variant: Option<String>,
    /// Why the service chose it.
    pub reason: Option<String>,
    /// The age of the answer.
    pub age: Option<Duration>,
    /// Whether the answer is too old for a rollout to advance, or there is none.
    pub stale: bool,
    /// Why there is no newer answer.
    pub problem: Option<String>,
}

impl FlagSnapshot {
    /// Returns the snapshot before the first answer.
    pub(super) fn empty(stale_after: Duration) -> Self {
        Self {
            stale_after: Some(stale_after),
            ..Self::default()
        }
    }

    /// Whether this gateway asks a flag service.
    #[must_use]
    pub fn has_service(&self) -> bool {
        self.stale_after.is_some()
    }

    /// Returns why the newest poll failed; `None` if it did not.
    pub(super) fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// Returns what a flag allows. Without an answer the candidate judges nothing; a rollout that names
    /// no flag has no limit.
    #[must_use]
    pub fn limit(&self, flag: Option<&str>) -> FlagLimit {
        let Some(flag) = flag else {
            return FlagLimit::NONE;
        };
        let known = self.flags.get(flag);
        let answer = known.and_then(|known| known.answer.as_ref());
        answer.map_or(FlagLimit::STOP, |answer| answer.limit)
    }

    /// Returns what is known of a flag.
    #[must_use]
    pub fn status(&self, flag: &str, now: Duration) -> FlagStatus {
        let known = self.flags.get(flag);
        let answer = known.and_then(|known| known.answer.clone());
        let age = answer.as_ref().and(known);
        let age = age.map(|known| now.saturating_sub(known.confirmed));
        let problem = known.and_then(|known| known.problem.clone());
        let problem = self.problem.clone().or(problem);
        let (value, variant, reason) = match answer {
            Some(answer) => (Some(answer.value), answer.variant, answer.reason),
            None => (None, None, None),
        };
        FlagStatus {
            key: flag.to_owned(),
            limit: self.limit(Some(flag)),
            value,
            variant,
            reason,
            age,
            stale: match (age, self.stale_after) {
                (Some(age), Some(most)) => age > most,
                _ => true,
            },
            problem: match self.has_service() {
                true => problem,
                false => Some("this gateway has no rollouts.flag_service".to_owned()),
            },
        }
    }

    /// Returns the snapshot that knows these flags only.
    pub(super) fn with_flags(mut self, wanted: &BTreeSet<String>) -> Self {
        self.flags.retain(|key, _| wanted.contains(key));
        for key in wanted {
            self.flags.entry(key.clone()).or_default();
        }
        self
    }

    /// Returns the snapshot after an answer to a poll that began at `asked`.
    pub(super) fn answered(mut self, mut evaluations: Evaluations, asked: Duration) -> Self {
        self.problem = None;
        for (key, known) in &mut self.flags {
            match evaluations.remove(key) {
                Some(Ok(evaluation)) => {
                    *known = KnownFlag {
                        answer: Some(evaluation),
                        confirmed: asked,
                        problem: None,
                    }
                }
                Some(Err(problem)) => known.problem = Some(problem),
                None => {}
            }
        }
        self
    }

    /// Returns the snapshot after the service has said that its last answer still holds.
    pub(super) fn confirmed(mut self, asked: Duration) -> Self {
        self.problem = None;
        for known in self.flags.values_mut() {
            if known.problem.is_none() {
                known.confirmed = asked;
            }
        }
        self
    }

    /// Returns the snapshot after a poll that failed: everything known holds.
    pub(super) fn failed(mut self, problem: String) -> Self {
        self.problem = Some(problem);
        self
    }
}

impl FlagStatus {
    /// Says why a rollout does not go to a step with this share of a canary (all, for the full stage);
    /// `None` if the flag allows it.
    #[must_use]
    pub fn refuses(&self, share: u32) -> Option<String> {
        let key = &self.key;
        let because = self.problem.as_ref();
        let because = because.map_or_else(String::new, |problem| format!(": {problem}"));
        match self.age {
            None => Some(format!("there is no answer yet for flag {key}{because}")),
            Some(age) if self.stale => Some(format!(
                "the answer for flag {key} is {} ms old{because}",
                age.as_millis()
            )),
            Some(_) if self.limit.hold || self.limit.share < share => {
                Some(format!("flag {key} holds it: {}", self.limit))
            }
            Some(_) => None,
        }
    }

    /// Whether the same was said of the flag.
    #[must_use]
    pub fn is_alike(&self, other: &Self) -> bool {
        let said = |status: &Self| (status.value.clone(), status.variant.clone(), status.stale);
        said(self) == said(other)
    }
}

impl fmt::Display for FlagStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "flag {}: {}", self.key, self.limit)?;
        let named = [
            ("value", &self.value),
            ("variant", &self.variant),
            ("reason", &self.reason),
        ];
        for (name, text) in named {
            if let Some(text) = text {
                write!(f, ", {name} {text}")?;
            }
        }
        match (self.stale, self.age) {
            (true, None) => write!(f, "; no answer yet")?,
            (true, Some(age)) => write!(f, "; stale, {} ms old", age.as_millis())?,
            (false, _) => {}
        }
        match &self.problem {
            Some(problem) => write!(f, ": {problem}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
