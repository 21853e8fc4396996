//! The denials that no policy makes: a missing role, and the namespace's default.

use leasehold_domain::Denial;
use leasehold_domain::DenialKind;
use leasehold_domain::Effect;
use leasehold_domain::Operation;
use leasehold_domain::Principal;
use leasehold_domain::limits::UNJUDGED_LEASE_MS_MAX;
use leasehold_policy_evaluate::Judgment;

use crate::authorization::Permission;
use crate::governance::plan::NamespacePlan;

/// Returns the judgment of a request that is denied before any policy is asked.
pub(super) fn denied_unasked(denial: Denial) -> Judgment {
    Judgment {
        effect: Some(Effect::Deny(denial)),
        ..Judgment::default()
    }
}

/// Operations on other people's leases and on settings need a role, whatever the policies say.
pub(super) fn missing_role(
    namespace: NamespacePlan<'_>,
    principal: &Principal,
    operation: Operation,
) -> Option<Denial> {
    let own_team = principal.team.is_some() && principal.team == namespace.document.team;
    let (may, needs) = match operation {
        Operation::Revoke => (
            Permission::RevokeLeases.is_open_to(principal),
            "role operator or administrator",
        ),
        Operation::Configure => (
            Permission::DeclareLocks.is_open_to(principal) || own_team,
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
pub(super) fn unbound(namespace: NamespacePlan<'_>, operation: Operation) -> Effect {
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
