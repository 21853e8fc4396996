//! The words of a denial, and who may pass one.

use leasehold_domain::Denial;
use leasehold_domain::DenialKind;
use leasehold_domain::PolicyAnswer;
use leasehold_domain::Principal;
use leasehold_domain::Request;
use leasehold_domain::Role;

use crate::error::EvaluationError;
use crate::step::Step;

/// Returns the denial that an answer is, if it is one. `error`: why the policy has no verdict.
pub(crate) fn denial_of(
    step: &Step,
    answer: &PolicyAnswer,
    error: Option<&EvaluationError>,
) -> Option<Denial> {
    match answer {
        PolicyAnswer::Allow(_) | PolicyAnswer::Error { passed: true, .. } => None,
        PolicyAnswer::Deny {
            code,
            message,
            retry_after_ms,
        } => Some(Denial {
            kind: DenialKind::Policy,
            policy: Some(step.policy.clone()),
            code: code.clone(),
            message: message.clone(),
            retry_after_ms: *retry_after_ms,
        }),
        PolicyAnswer::Error { passed: false, .. } => {
            let (policy, version) = (&step.policy, &step.version);
            let why = error.map(EvaluationError::redacted).unwrap_or_default();
            Some(Denial {
                kind: DenialKind::PolicyError,
                policy: Some(policy.clone()),
                code: "policy-error".into(),
                message: format!(
                    "policy {policy}@{version} failed: {why}; its binding denies on error"
                )
                .into(),
                retry_after_ms: None,
            })
        }
    }
}

/// Returns the denial of a request whose policies are, or carry, more than one decision may have.
pub(crate) fn of_error(error: &EvaluationError) -> Denial {
    Denial {
        kind: DenialKind::PolicyError,
        policy: None,
        code: error.as_str().into(),
        message: error.redacted().into(),
        retry_after_ms: None,
    }
}

/// Returns the written reason of a principal that may pass an overridable denial.
#[must_use]
pub fn break_glass<'r>(principal: &Principal, request: &'r Request) -> Option<&'r str> {
    let reason = request.reason.as_deref()?;
    let may = principal.roles.has(Role::BreakGlass) && !reason.trim().is_empty();
    may.then_some(reason)
}
