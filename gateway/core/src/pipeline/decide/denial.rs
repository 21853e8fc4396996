//! Who says no, and in which words.

use leasehold_domain::Denial;
use leasehold_domain::DenialKind;
use leasehold_domain::Effect;
use leasehold_domain::Operation;
use leasehold_domain::PolicyAnswer;
use leasehold_domain::Principal;
use leasehold_domain::Request;
use leasehold_domain::Role;
use leasehold_domain::limits::POLICIES_PER_DECISION_MAX;
use leasehold_domain::limits::UNJUDGED_LEASE_MS_MAX;
use leasehold_policy_host::PolicyFault;

use crate::governance::plan::NamespacePlan;
use crate::governance::plan::PlanStep;

/// The denial in an answer, if it is one.
pub(super) fn denial_of(
    step: &PlanStep,
    answer: &PolicyAnswer,
    fault: Option<&PolicyFault>,
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
        PolicyAnswer::Error {
            message: _,
            passed: false,
        } => Some(Denial {
            kind: DenialKind::PolicyError,
            policy: Some(step.policy.clone()),
            code: "policy-error".into(),
            message: format!(
                "policy {}@{} failed: {}; its binding denies on error",
                step.policy,
                step.version,
                fault.map_or_else(
                    || "it could not be loaded".to_owned(),
                    PolicyFault::redacted
                )
            )
            .into(),
            retry_after_ms: None,
        }),
    }
}

/// The written reason of a principal that may pass an overridable denial.
pub(super) fn break_glass(principal: &Principal, request: &Request) -> Option<Box<str>> {
    let reason = request
        .reason
        .as_ref()
        .filter(|reason| !reason.trim().is_empty())?;
    principal
        .roles
        .has(Role::BreakGlass)
        .then(|| reason.clone())
}

/// Operations on other people's leases and on settings need a role, whatever the policies say.
pub(super) fn missing_role(
    namespace: &NamespacePlan,
    principal: &Principal,
    operation: Operation,
) -> Option<Denial> {
    let operates = principal.roles.has(Role::Operator) || principal.roles.has(Role::Administrator);
    let own_team = principal.team.is_some() && principal.team == namespace.document.team;
    let (may, needs) = match operation {
        Operation::Revoke => (operates, "role operator or administrator"),
        Operation::Configure => (
            operates || own_team,
            "role operator or administrator, or the namespace's team",
        ),
        Operation::Acquire
        | Operation::Renew
        | Operation::Release
        | Operation::Transfer
        | Operation::CancelWait => (true, ""),
    };
    (!may).then(|| Denial {
        kind: DenialKind::Role,
        policy: None,
        code: "role".into(),
        message: format!("{} needs {needs}", operation.as_str()).into(),
        retry_after_ms: None,
    })
}

/// Returns the effect of the namespace's default, where no policy decides the operation.
pub(super) fn unbound(namespace: &NamespacePlan, operation: Operation) -> Effect {
    if !namespace.denies_unbound(operation) {
        return Effect::Allow;
    }
    Effect::Deny(Denial {
        kind: DenialKind::NoPolicyBound,
        policy: None,
        code: "no-policy-bound".into(),
        message: format!(
            "no mandatory or overridable policy of namespace {} judges {}, and its default is to deny",
            namespace.document.name,
            operation.as_str()
        )
        .into(),
        retry_after_ms: None,
    })
}

/// The same denial for a lease that was granted too long ago to be renewed or transferred unjudged.
pub(super) fn too_old(denial: &Denial) -> Denial {
    let hours = UNJUDGED_LEASE_MS_MAX / 3_600_000;
    Denial {
        message: format!(
            "{}; the lease was granted more than {hours} h ago",
            denial.message
        )
        .into(),
        ..denial.clone()
    }
}

/// More policies are bound than one decision may run.
pub(super) fn too_many() -> Denial {
    Denial {
        kind: DenialKind::PolicyError,
        policy: None,
        code: "too-many-policies".into(),
        message: format!("more than {POLICIES_PER_DECISION_MAX} policies are bound").into(),
        retry_after_ms: None,
    }
}
