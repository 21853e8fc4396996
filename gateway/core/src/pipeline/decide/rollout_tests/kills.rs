//! Versions that were killed: they fail wherever they would judge, and are never just left out.

use super::approvals::ann;
use super::approvals::approved_by;
use super::approvals::governed;
use super::*;
use crate::governance::PolicyMark;

async fn mark(gate: &Gate, version: &str, mark: PolicyMark) -> Result<(), Failure> {
    let marking = gate
        .governance
        .mark_version(ann(), ("p", version), mark, "INC-9");
    marking.await.map(drop)
}

/// The denial of an acquire of `lock`.
async fn denial(gate: &Gate, lock: &str) -> leasehold_domain::Denial {
    let refused = gate.acquire(&caller("svc", &[]), lock, None).await;
    let failure = refused.unwrap_err();
    assert_eq!(failure.kind, FailureKind::PolicyError, "{failure:?}");
    match failure.detail {
        crate::failure::FailureDetail::Denied { denial, .. } => denial,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_killed_version_fails_for_the_operations_that_it_judges_and_is_revived() {
    let (gate, _) = gate(&["acquire"], version("2.0.0", &["acquire"], false)).await;
    let svc = caller("svc", &[]);
    let held = gate.acquire(&svc, "demo/a", None).await.unwrap();
    mark(&gate, "1.0.0", PolicyMark::Kill).await.unwrap();
    let denial = denial(&gate, "demo/b").await;
    assert_eq!(denial.kind, leasehold_domain::DenialKind::PolicyError);
    assert!(denial.message.contains("was killed"), "{denial:?}");
    // It does not judge renewals, so those go on.
    let lease = held.grant.lease_id;
    gate.renew(&svc, "demo/a", lease, None).await.unwrap();
    // It cannot be bound, also not by whom the binding before did not name.
    let mut other = binding(json!({}));
    other["name"] = json!("other");
    let refused = gate.bind(other).await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::PolicyVersionUnusable);
    assert!(refused.message.contains("killed by ann"), "{refused:?}");
    // A second time changes nothing; what a kill is not, a restoration does not end.
    mark(&gate, "1.0.0", PolicyMark::Kill).await.unwrap();
    mark(&gate, "1.0.0", PolicyMark::Restore).await.unwrap();
    self::denial(&gate, "demo/c").await;
    mark(&gate, "1.0.0", PolicyMark::Revive).await.unwrap();
    assert!(denied(&gate).await.is_empty());
}

#[tokio::test]
async fn a_killed_version_passes_what_its_binding_lets_pass_on_a_failure() {
    let judged = ["acquire", "renew"];
    let (gate, _) = gate(&judged, version("2.0.0", &judged, false)).await;
    let mut passing = binding(json!({}));
    passing["policies"][0]["on_error"] = json!({ "allow": ["renew"] });
    gate.bind(passing).await.unwrap();
    let svc = caller("svc", &[]);
    let held = gate.acquire(&svc, "demo/a", None).await.unwrap();
    mark(&gate, "1.0.0", PolicyMark::Kill).await.unwrap();
    let lease = held.grant.lease_id;
    gate.renew(&svc, "demo/a", lease, None).await.unwrap();
    denial(&gate, "demo/b").await;
}

#[tokio::test]
async fn a_killed_candidate_is_rolled_back_and_its_leases_pass_to_the_version_that_rules() {
    let judged = ["acquire", "renew"];
    let (gate, _) = gate(&judged, version("2.0.0", &judged, false)).await;
    start(&gate, &draft(&[canary(100), FULL])).await;
    let svc = caller("svc", &[]);
    let held = gate.acquire(&svc, "demo/a", None).await.unwrap();
    assert_eq!(&*held.decision.unwrap().verdicts[0].version, "2.0.0");
    mark(&gate, "2.0.0", PolicyMark::Kill).await.unwrap();
    let rollout = gate.governance.rollout("r").await.unwrap().document;
    assert_eq!(rollout.state.stage, RolloutStage::RolledBack);
    let last = rollout.changes.last().unwrap();
    let why = last.reason.as_deref().unwrap();
    assert_eq!((&*last.by, why), ("ann", "p@2.0.0 was killed: INC-9"));
    let lease = held.grant.lease_id;
    let renewed = gate.renew(&svc, "demo/a", lease, None).await.unwrap();
    assert_eq!(&*renewed.decision.unwrap().verdicts[0].version, "1.0.0");
    // Revived, it is not taken up again by itself.
    mark(&gate, "2.0.0", PolicyMark::Revive).await.unwrap();
    let rollout = gate.governance.rollout("r").await.unwrap().document;
    assert_eq!(rollout.state.stage, RolloutStage::RolledBack);
}

#[tokio::test]
async fn leases_of_a_killed_version_before_pass_to_the_candidate_that_rules() {
    let judged = ["acquire", "renew"];
    let (gate, _) = gate(&judged, version("2.0.0", &judged, false)).await;
    let svc = caller("svc", &[]);
    let held = gate.acquire(&svc, "demo/a", None).await.unwrap();
    start(&gate, &draft(&[SHADOW, FULL])).await;
    change(&gate, RolloutAction::Advance).await.unwrap();
    let lease = held.grant.lease_id;
    let renewed = gate.renew(&svc, "demo/a", lease, None).await.unwrap();
    assert_eq!(&*renewed.decision.unwrap().verdicts[0].version, "1.0.0");
    mark(&gate, "1.0.0", PolicyMark::Kill).await.unwrap();
    let renewed = gate.renew(&svc, "demo/a", lease, None).await.unwrap();
    assert_eq!(&*renewed.decision.unwrap().verdicts[0].version, "2.0.0");
}

#[tokio::test]
async fn nobody_approves_a_kill_and_others_approve_the_revival() {
    let (gate, _) = governed(1).await;
    mark(&gate, "1.0.0", PolicyMark::Kill).await.unwrap();
    let revive = async || mark(&gate, "1.0.0", PolicyMark::Revive).await;
    let refused = revive().await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::ApprovalRequired, "{refused:?}");
    let approved = approved_by(&gate, &["bob"]).await;
    let summary = &approved.stored.document.summary;
    assert_eq!(summary, "policy p@1.0.0 revived after its kill");
    revive().await.unwrap();
    assert!(denied(&gate).await.is_empty());
    // Once used, it does not hold for another revival.
    mark(&gate, "1.0.0", PolicyMark::Kill).await.unwrap();
    assert_eq!(
        revive().await.unwrap_err().kind,
        FailureKind::ApprovalRequired
    );
    // What could not be bound cannot be revived either.
    mark(&gate, "1.0.0", PolicyMark::Withdraw).await.unwrap();
    let refused = revive().await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::PolicyVersionUnusable);
}
