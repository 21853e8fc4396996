//! What a case expects, and how answers are described.

use std::fmt;

use leasehold_domain::PolicyAnswer;
use leasehold_domain::PolicyCounter;
use leasehold_domain::PolicyLimits;
use serde::Deserialize;

/// What must come out.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Expectation {
    /// Allowed, with exactly these limits.
    Allow {
        max_ttl_ms: Option<u64>,
        max_hold_ms: Option<u64>,
        #[serde(default)]
        counters: Vec<CounterCase>,
    },
    /// Denied with this code; the message must contain the text, and the hint must be the same, if
    /// they are given.
    Deny {
        code: String,
        message: Option<String>,
        retry_after_ms: Option<u64>,
    },
    /// The configuration is refused, with this in the message.
    BadConfig(String),
}

/// A counter that must be there; the code must be the same if it is given.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CounterCase {
    name: String,
    maximum: u32,
    code: Option<String>,
}

impl CounterCase {
    fn met_by(&self, counter: &PolicyCounter) -> bool {
        let code = self.code.as_deref();
        *self.name == *counter.name
            && self.maximum == counter.maximum
            && code.is_none_or(|code| counter.code.as_deref() == Some(code))
    }
}

impl Expectation {
    /// Whether an answer is the one that was expected.
    pub(super) fn met_by(&self, answer: &PolicyAnswer) -> bool {
        match (self, answer) {
            (
                Self::Allow {
                    max_ttl_ms,
                    max_hold_ms,
                    counters,
                },
                PolicyAnswer::Allow(limits),
            ) => {
                // The order says nothing.
                let is_met = |case: &CounterCase| limits.counters.iter().any(|c| case.met_by(c));
                (limits.max_ttl_ms, limits.max_hold_ms) == (*max_ttl_ms, *max_hold_ms)
                    && limits.counters.len() == counters.len()
                    && counters.iter().all(is_met)
            }
            (
                Self::Deny {
                    code,
                    message,
                    retry_after_ms,
                },
                PolicyAnswer::Deny {
                    code: said,
                    message: described,
                    retry_after_ms: hint,
                },
            ) => {
                **code == **said
                    && message
                        .as_ref()
                        .is_none_or(|part| described.contains(part.as_str()))
                    && retry_after_ms.is_none_or(|expected| *hint == Some(expected))
            }
            _ => false,
        }
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allow {
                max_ttl_ms,
                max_hold_ms,
                counters,
            } => {
                let counter = |case: &CounterCase| PolicyCounter {
                    name: case.name.as_str().into(),
                    maximum: case.maximum,
                    code: case.code.as_deref().map(Into::into),
                };
                let limits = PolicyLimits {
                    max_ttl_ms: *max_ttl_ms,
                    max_hold_ms: *max_hold_ms,
                    counters: counters.iter().map(counter).collect(),
                };
                write!(f, "allow, with {}", limits_of(&limits))
            }
            Self::Deny {
                code,
                message,
                retry_after_ms,
            } => {
                write!(f, "deny with code {code:?}")?;
                if let Some(part) = message {
                    write!(f, ", a message with {part:?}")?;
                }
                match retry_after_ms {
                    Some(hint) => write!(f, ", retry after {hint} ms"),
                    None => Ok(()),
                }
            }
            Self::BadConfig(part) => write!(f, "a refused configuration, with {part:?}"),
        }
    }
}

/// Describes an answer for people, such as `denied with code "frozen", message "ask Ann"`.
#[must_use]
pub fn describe_answer(answer: &PolicyAnswer) -> String {
    match answer {
        PolicyAnswer::Allow(limits) => format!("allowed, with {}", limits_of(limits)),
        PolicyAnswer::Deny {
            code,
            message,
            retry_after_ms,
        } => {
            let hint = retry_after_ms.map(|hint| format!(", retry after {hint} ms"));
            let hint = hint.unwrap_or_default();
            format!("denied with code \"{code}\", message {message:?}{hint}")
        }
        PolicyAnswer::Error { message, .. } => format!("failed: {message}"),
    }
}

fn limits_of(limits: &PolicyLimits) -> String {
    let one = |what: &str, limit: Option<u64>| limit.map(|limit| format!("{what} {limit}"));
    let all = [
        one("max_ttl_ms", limits.max_ttl_ms),
        one("max_hold_ms", limits.max_hold_ms),
    ];
    let counters = limits.counters.iter().map(|counter| {
        let code = counter
            .code
            .as_ref()
            .map(|code| format!(" (code {code:?})"));
        let (name, code) = (&counter.name, code.unwrap_or_default());
        format!("counter {name:?} up to {}{code}", counter.maximum)
    });
    let all: Vec<String> = all.into_iter().flatten().chain(counters).collect();
    match all.is_empty() {
        true => "no limits".to_owned(),
        false => all.join(" and "),
    }
}
