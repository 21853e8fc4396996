//! Policy versions as the API shows them.

use leasehold_core::governance::AssessedSignature;
use leasehold_core::governance::BindingFit;
use leasehold_core::governance::PolicyUse;
use leasehold_core::governance::Pushed;
use leasehold_core::governance::Standing;
use leasehold_core::governance::Stored;
use leasehold_core::governance::document::MarkDocument;
use leasehold_core::governance::document::PolicyDocument;
use leasehold_core::pipeline::LeasesUnderVersion;
use leasehold_core::pipeline::PolicyFailure;
use leasehold_core::telemetry::rfc3339;
use leasehold_wire::v1::policies as wire;

/// Shows a version with its standing.
pub(super) fn show(stored: Stored<PolicyDocument>, standing: Standing) -> wire::PolicyVersion {
    let schema_digest = stored.document.schema_digest().to_string();
    let PolicyDocument {
        policy,
        version,
        digest,
        operations,
        needs_lock,
        needs_usage,
        config_schema,
        uploaded_by,
        uploaded_at,
        deleted_at: _,
    } = stored.document;
    let unusable = standing.problem.map(|problem| wire::PolicyUnusable {
        kind: problem.kind().to_owned(),
        detail: problem.to_string(),
    });
    wire::PolicyVersion {
        policy,
        version,
        digest,
        operations,
        needs_lock,
        needs_usage,
        config_schema,
        uploaded_by,
        uploaded_at,
        schema_digest,
        stock: standing.is_stock,
        signatures: standing.signatures.into_iter().map(signature).collect(),
        expires_at: standing.expires.map(rfc3339),
        deprecated: standing.deprecated.map(show_mark),
        withdrawn: standing.withdrawn.map(show_mark),
        killed: standing.killed.map(show_mark),
        unusable,
        in_use: None,
        failures: Vec::new(),
    }
}

fn signature(signature: AssessedSignature) -> wire::PolicySignature {
    let AssessedSignature {
        key,
        key_name,
        statement,
        added_by,
        added_at,
        state,
    } = signature;
    wire::PolicySignature {
        key: key.to_string(),
        key_name,
        state: state.as_str().to_owned(),
        source: statement.source,
        not_before: statement.not_before.map(rfc3339),
        not_after: statement.not_after.map(rfc3339),
        added_by,
        added_at,
    }
}

/// Shows a mark.
pub(crate) fn show_mark(mark: MarkDocument) -> wire::PolicyMark {
    let MarkDocument { by, at, reason } = mark;
    wire::PolicyMark { by, at, reason }
}

/// Shows what a version judges.
pub(super) fn show_use(in_use: PolicyUse, leases: Option<LeasesUnderVersion>) -> wire::PolicyUse {
    let PolicyUse { bindings, rollouts } = in_use;
    wire::PolicyUse {
        bindings,
        rollouts,
        leases: leases.map(show_leases),
    }
}

fn show_leases(leases: LeasesUnderVersion) -> wire::PolicyLeases {
    let LeasesUnderVersion {
        leases,
        unknown,
        locks,
        is_partial,
    } = leases;
    wire::PolicyLeases {
        count: leases,
        unknown,
        locks: locks.iter().map(ToString::to_string).collect(),
        partial: is_partial,
    }
}

/// Shows a version that was pushed.
pub(super) fn show_pushed(pushed: Pushed, dry_run: bool) -> wire::PushedPolicy {
    let fit = |fit: BindingFit| wire::BindingFit {
        binding: fit.binding,
        version: fit.version,
        fits: fit.problem.is_none(),
        problem: fit.problem,
    };
    wire::PushedPolicy {
        version: show(pushed.stored, pushed.standing),
        dry_run,
        ignored_signatures: pushed.ignored,
        bindings: pushed.bindings.into_iter().map(fit).collect(),
        more_bindings: pushed.more_bindings as u64,
    }
}

/// Shows a failure of a policy.
pub(super) fn show_failure(failure: PolicyFailure) -> wire::PolicyFailure {
    wire::PolicyFailure {
        at: rfc3339(failure.at),
        binding: failure.binding.to_string(),
        enforcement: failure.enforcement.as_str().to_owned(),
        operation: failure.operation.as_str().to_owned(),
        lock: failure.lock.to_string(),
        kind: failure.kind.to_owned(),
        detail: failure.detail.into(),
        decision_id: format!("{:032x}", failure.decision),
    }
}
