//! Why there is no verdict.

use std::fmt;

use leasehold_domain::limits::COUNTERS_PER_DECISION_MAX;
use leasehold_domain::limits::POLICIES_PER_DECISION_MAX;
use leasehold_policy_host::PolicyFault;

/// Why a policy has no verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EvaluationError {
    /// The module or its configuration could not be loaded, for this reason.
    NotLoaded(String),
    /// Somebody has killed the version, for this reason: it is not asked.
    Killed(String),
    /// The policy was asked and failed.
    Failed(PolicyFault),
    /// More than [`POLICIES_PER_DECISION_MAX`] policies judge the request, and none was asked.
    TooManyPolicies,
    /// The verdicts of the request carry more than [`COUNTERS_PER_DECISION_MAX`] counters together.
    TooManyCounters,
    /// The policies of the request have spent its fuel, of this many units.
    RequestFuelSpent(u64),
    /// The policies of the request have spent its time, of this many milliseconds.
    RequestTimeSpent(u64),
}

impl EvaluationError {
    /// Returns the stable name of the kind, for programs.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::NotLoaded(_) => "not-loaded",
            Self::Killed(_) => "killed",
            Self::Failed(fault) => fault.as_str(),
            Self::TooManyPolicies => "too-many-policies",
            Self::TooManyCounters => "too-many-counters",
            Self::RequestFuelSpent(_) => "request-fuel",
            Self::RequestTimeSpent(_) => "request-deadline",
        }
    }

    /// Returns the message without any text that a module or its configuration may have written,
    /// for callers that may not read those.
    #[must_use]
    pub fn redacted(&self) -> String {
        match self {
            Self::NotLoaded(_) => "it could not be loaded".to_owned(),
            Self::Killed(_) => "its version was killed".to_owned(),
            Self::Failed(fault) => fault.redacted(),
            Self::TooManyPolicies
            | Self::TooManyCounters
            | Self::RequestFuelSpent(_)
            | Self::RequestTimeSpent(_) => self.to_string(),
        }
    }

    /// Returns whether an equal request must fail in the same way until a binding is changed.
    #[must_use]
    pub fn is_deterministic(&self) -> bool {
        match self {
            Self::Failed(fault) => fault.is_deterministic(),
            Self::NotLoaded(_)
            | Self::Killed(_)
            | Self::TooManyPolicies
            | Self::TooManyCounters
            | Self::RequestFuelSpent(_) => true,
            Self::RequestTimeSpent(_) => false,
        }
    }
}

impl fmt::Display for EvaluationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLoaded(problem) | Self::Killed(problem) => f.write_str(problem),
            Self::Failed(fault) => fault.fmt(f),
            Self::TooManyPolicies => {
                write!(
                    f,
                    "more than {POLICIES_PER_DECISION_MAX} policies are bound"
                )
            }
            Self::TooManyCounters => write!(
                f,
                "the verdicts carry more than {COUNTERS_PER_DECISION_MAX} counters together"
            ),
            Self::RequestFuelSpent(fuel) => {
                write!(f, "the policies of one request have spent {fuel} fuel")
            }
            Self::RequestTimeSpent(ms) => {
                write!(f, "the policies of one request ran longer than {ms} ms")
            }
        }
    }
}

impl std::error::Error for EvaluationError {}
