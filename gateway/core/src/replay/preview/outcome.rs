//! What the answers of all policies of a request come to.

use std::fmt;

use leasehold_domain::Decision;
use leasehold_domain::DenialKind;
use leasehold_domain::Effect;
use leasehold_domain::Enforcement;
use leasehold_domain::Operation;
use leasehold_domain::PolicyAnswer;
use leasehold_domain::PolicyLimits;
use leasehold_domain::PolicyVerdict;
use leasehold_policy_evaluate::Step;

use crate::governance::plan::NamespacePlan;
use crate::rollouts::Difference;
use crate::rollouts::described;

/// What one policy said.
#[derive(Debug)]
pub(super) struct Said {
    name: String,
    enforcement: Enforcement,
    answer: PolicyAnswer,
}

impl Said {
    pub(super) fn of(verdict: &PolicyVerdict) -> Self {
        Self {
            name: format!("{}@{}", verdict.policy, verdict.version),
            enforcement: verdict.enforcement,
            answer: verdict.answer.clone(),
        }
    }

    pub(super) fn by(step: &Step, answer: PolicyAnswer) -> Self {
        Self {
            name: format!("{}@{}", step.policy, step.version),
            enforcement: step.enforcement,
            answer,
        }
    }

    fn is_denial(&self) -> bool {
        matches!(
            self.answer,
            PolicyAnswer::Deny { .. } | PolicyAnswer::Error { passed: false, .. }
        )
    }
}

/// What follows for the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Allowed(PolicyLimits),
    /// The denial in words.
    Denied(String),
}

/// Whether policies, or the lack of one, decided a request. A missing role or a foreign lease comes
/// before all bindings.
pub(super) fn is_by_policies(decision: &Decision) -> bool {
    match &decision.effect {
        Effect::Allow | Effect::Override { .. } => true,
        Effect::Deny(denial) => match denial.kind {
            DenialKind::Policy | DenialKind::PolicyError | DenialKind::NoPolicyBound => true,
            DenialKind::Role | DenialKind::NotHolder => false,
        },
    }
}

impl Outcome {
    /// Combines answers; `None` if none of them decides. `reason`: that of a principal that may pass
    /// overridable denials.
    pub(super) fn of(said: impl IntoIterator<Item = Said>, reason: Option<&str>) -> Option<Self> {
        let mut outcome = None;
        for one in said {
            if one.enforcement == Enforcement::Advisory {
                continue;
            }
            let is_passed = reason.is_some() && one.enforcement == Enforcement::Overridable;
            outcome = Some(match (outcome, &one.answer) {
                (Some(Self::Denied(words)), _) => Self::Denied(words),
                (_, answer) if one.is_denial() && !is_passed => {
                    Self::Denied(format!("{}: {}", one.name, described(answer)))
                }
                (Some(Self::Allowed(limits)), PolicyAnswer::Allow(more)) => {
                    Self::Allowed(limits.tightest(more))
                }
                (None, PolicyAnswer::Allow(limits)) => {
                    Self::Allowed(limits.tightest(&PolicyLimits::default()))
                }
                (allowed, _) => allowed.unwrap_or_else(|| Self::Allowed(PolicyLimits::default())),
            });
        }
        outcome
    }

    /// Returns what a recorded effect says.
    pub(super) fn of_effect(effect: &Effect) -> Self {
        match effect {
            Effect::Allow | Effect::Override { .. } => Self::Allowed(PolicyLimits::default()),
            Effect::Deny(denial) => Self::Denied(format!("denied with code {:?}", denial.code)),
        }
    }

    /// Returns what the default of a namespace says of a request that no policy decides. Leases that
    /// are held go on.
    pub(super) fn unbound(namespace: Option<NamespacePlan<'_>>, operation: Operation) -> Self {
        let of_a_lease = matches!(operation, Operation::Renew | Operation::Transfer);
        match namespace.is_some_and(|namespace| namespace.denies_unbound(operation)) {
            true if !of_a_lease => Self::Denied("no policy decides it".to_owned()),
            _ => Self::Allowed(PolicyLimits::default()),
        }
    }

    pub(super) fn is_denial(&self) -> bool {
        matches!(self, Self::Denied(_))
    }

    /// Returns how another outcome differs.
    pub(super) fn difference(&self, after: &Self) -> Option<Difference> {
        match (self, after) {
            (Self::Allowed(_), Self::Denied(_)) => Some(Difference::NewlyDenied),
            (Self::Denied(_), Self::Allowed(_)) => Some(Difference::NewlyAllowed),
            (Self::Allowed(one), Self::Allowed(other)) => {
                (one != other).then_some(Difference::OtherLimits)
            }
            (Self::Denied(_), Self::Denied(_)) => None,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allowed(limits) => f.write_str(&described(&PolicyAnswer::Allow(limits.clone()))),
            Self::Denied(words) => f.write_str(words),
        }
    }
}
