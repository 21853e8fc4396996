//! How the verdicts of two versions of a policy differ.

use leasehold_domain::PolicyAnswer;

/// How a candidate's answer differs from that of the current version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Difference {
    /// Only the candidate denies.
    NewlyDenied,
    /// Only the current version denies.
    NewlyAllowed,
    /// Both deny, with other codes.
    OtherCode,
    /// Both allow, within other limits.
    OtherLimits,
    /// The candidate failed.
    Failed,
    /// The candidate spent its fuel or its time.
    OverBudget,
}

impl Difference {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::NewlyDenied,
        Self::NewlyAllowed,
        Self::OtherCode,
        Self::OtherLimits,
        Self::Failed,
        Self::OverBudget,
    ];

    /// Returns its name in the API and in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NewlyDenied => "newly-denied",
            Self::NewlyAllowed => "newly-allowed",
            Self::OtherCode => "other-code",
            Self::OtherLimits => "other-limits",
            Self::Failed => "failed",
            Self::OverBudget => "over-budget",
        }
    }

    /// Returns whether the candidate failed.
    #[must_use]
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::OverBudget)
    }

    /// Compares two answers; `None` where a version does not judge the operation, which lets the
    /// request pass. `over_budget`: the candidate spent its fuel or its time.
    pub(crate) fn between(
        current: Option<&PolicyAnswer>,
        candidate: Option<&PolicyAnswer>,
        over_budget: bool,
    ) -> Option<Self> {
        if let Some(PolicyAnswer::Error { .. }) = candidate {
            return Some(match over_budget {
                true => Self::OverBudget,
                false => Self::Failed,
            });
        }
        match (denial(current), denial(candidate)) {
            (None, Some(_)) => Some(Self::NewlyDenied),
            (Some(_), None) => Some(Self::NewlyAllowed),
            (Some(one), Some(other)) => (one != other).then_some(Self::OtherCode),
            (None, None) => {
                let differ = limits(current) != limits(candidate);
                differ.then_some(Self::OtherLimits)
            }
        }
    }
}

/// Returns the code with which an answer denies.
fn denial(answer: Option<&PolicyAnswer>) -> Option<&str> {
    match answer? {
        PolicyAnswer::Deny { code, .. } => Some(code),
        PolicyAnswer::Error { passed: false, .. } => Some("policy-error"),
        PolicyAnswer::Allow(_) | PolicyAnswer::Error { passed: true, .. } => None,
    }
}

fn limits(answer: Option<&PolicyAnswer>) -> leasehold_domain::PolicyLimits {
    match answer {
        Some(PolicyAnswer::Allow(limits)) => limits.clone(),
        _ => leasehold_domain::PolicyLimits::default(),
    }
}

#[cfg(test)]
mod tests {
    use leasehold_domain::PolicyLimits;

    use super::*;

    fn allow(max_ttl_ms: Option<u64>) -> PolicyAnswer {
        PolicyAnswer::Allow(PolicyLimits {
            max_ttl_ms,
            max_hold_ms: None,
            counters: Vec::new(),
        })
    }

    fn deny(code: &str, message: &str) -> PolicyAnswer {
        PolicyAnswer::Deny {
            code: code.into(),
            message: message.into(),
            retry_after_ms: None,
        }
    }

    fn failed(passed: bool) -> PolicyAnswer {
        PolicyAnswer::Error {
            message: "trap".into(),
            passed,
        }
    }

    #[test]
    fn each_kind_of_difference_is_told() {
        let (plain, short) = (allow(None), allow(Some(5_000)));
        let (no, other_words) = (deny("no", "not now"), deny("no", "not today"));
        let other = deny("frozen", "not now");
        let (denies, passes) = (failed(false), failed(true));
        for (current, candidate, difference) in [
            (Some(&plain), Some(&plain), None),
            (Some(&plain), None, None),
            (None, Some(&plain), None),
            (Some(&no), Some(&other_words), None),
            (Some(&plain), Some(&short), Some(Difference::OtherLimits)),
            (Some(&no), Some(&other), Some(Difference::OtherCode)),
            (Some(&plain), Some(&no), Some(Difference::NewlyDenied)),
            (None, Some(&no), Some(Difference::NewlyDenied)),
            (Some(&passes), Some(&no), Some(Difference::NewlyDenied)),
            (Some(&no), Some(&plain), Some(Difference::NewlyAllowed)),
            (Some(&denies), Some(&plain), Some(Difference::NewlyAllowed)),
            (Some(&no), None, Some(Difference::NewlyAllowed)),
            (Some(&plain), Some(&passes), Some(Difference::Failed)),
            (Some(&denies), Some(&denies), Some(Difference::Failed)),
        ] {
            let found = Difference::between(current, candidate, false);
            assert_eq!(found, difference, "{current:?} {candidate:?}");
        }
        let spent = Difference::between(Some(&plain), Some(&denies), true);
        assert_eq!(spent, Some(Difference::OverBudget));
    }
}
