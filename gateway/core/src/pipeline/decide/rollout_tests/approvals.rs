//! Changes that other people must approve first.

use std::sync::LazyLock;

use leasehold_domain::Precondition;
use leasehold_domain::RoleSet;

use super::*;
use crate::authentication::NewKey;
use crate::caller::Caller;
use crate::governance::ApprovalStanding;
use crate::governance::RolloutEdit;
use crate::governance::document::ApprovalState;
use crate::governance::document::BindingDocument;
use crate::governance::document::RolloutState;

/// Gives these subjects keys of approvers, each created by the second of its pair.
pub(super) async fn approvers(gate: &Gate, all: &[(&str, &str)]) {
    let op = caller("op", &[]);
    for (subject, creator) in all {
        let key = approver(subject, creator);
        gate.governance.put_key(&op, &key.document).await.unwrap();
    }
}

fn approver(subject: &str, creator: &str) -> NewKey {
    let roles = RoleSet::from_iter([Role::Approver]);
    let key = NewKey::draw(subject.parse().unwrap(), None, roles, "", "");
    key.created_by(&creator.parse().unwrap())
}

/// A gateway as [`gate`] makes it, where `required` approvals are required. Keys of `bob`, `eve` and
/// `zed` were created by the first administrator, those of `sock` by the author.
pub(super) async fn governed(required: u32) -> (Arc<Gate>, Arc<ManualClock>) {
    let (gate, clock) = gate(&["acquire"], version("2.0.0", &["acquire"], true)).await;
    let all = [
        ("bob", "root"),
        ("eve", "root"),
        ("zed", "root"),
        ("sock", "ann"),
    ];
    approvers(&gate, &all).await;
    let setting = gate.governance.set_approval_rule(ann(), required);
    assert_eq!(
        setting.await.unwrap().approvers,
        ["bob", "eve", "sock", "zed"]
    );
    (gate, clock)
}

pub(super) fn ann() -> &'static Caller {
    static ANN: LazyLock<Caller> = LazyLock::new(|| caller("ann", &[Role::Administrator]));
    &ANN
}

async fn open_request(gate: &Gate) -> ApprovalStanding {
    let all = gate.governance.approvals().await.unwrap();
    let mut open = all
        .into_iter()
        .filter(|one| one.state == ApprovalState::Open);
    let one = open.next().unwrap();
    assert!(open.next().is_none());
    one
}

async fn approve(gate: &Gate, who: &str, id: &str) -> Result<ApprovalStanding, Failure> {
    let who = caller(who, &[Role::Approver]);
    gate.governance
        .approve(&who, id, Some("looked at it"))
        .await
}

/// Lets these approve the one open request.
pub(super) async fn approved_by(gate: &Gate, all: &[&str]) -> ApprovalStanding {
    let id = open_request(gate).await.stored.document.id;
    for who in all {
        approve(gate, who, &id).await.unwrap();
    }
    gate.governance.approval(&id).await.unwrap()
}

fn kind<T: std::fmt::Debug>(result: Result<T, Failure>) -> FailureKind {
    result.unwrap_err().kind
}

async fn advance(gate: &Gate) -> Result<RolloutState, Failure> {
    let why = RolloutReason::default();
    let action = RolloutAction::Advance;
    let advancing = gate
        .governance
        .change_rollout(ann(), "r", action, why, None);
    advancing.await.map(|stored| stored.document.state)
}

async fn bound(gate: &Gate) -> BindingDocument {
    gate.governance.binding("b").await.unwrap().document
}

#[tokio::test]
async fn a_change_is_made_once_others_have_approved_exactly_it() {
    let (gate, _) = governed(2).await;
    let mut binding = bound(&gate).await;
    binding.policies[0].version = "2.0.0".to_owned();
    let put = async |binding: &BindingDocument| {
        let putting = gate
            .governance
            .put_binding(ann(), binding, Precondition::Any);
        putting.await
    };
    assert_eq!(kind(put(&binding).await), FailureKind::ApprovalRequired);
    let request = open_request(&gate).await.stored.document;
    // The author, whoever uploaded the module, and whom the author gave a key.
    for (who, why) in [
        ("ann", "themselves"),
        ("op", "uploaded"),
        ("sock", "was created by"),
    ] {
        let refused = approve(&gate, who, &request.id).await.unwrap_err();
        assert_eq!(refused.kind, FailureKind::Forbidden, "{who}");
        assert!(refused.message.contains(why), "{refused:?}");
    }
    // The same person twice is one person.
    assert_eq!(approved_by(&gate, &["bob", "bob"]).await.counted, 1);
    assert_eq!(kind(put(&binding).await), FailureKind::ApprovalRequired);
    assert_eq!(approved_by(&gate, &["eve"]).await.counted, 2);
    // Another change than the approved one.
    let mut other = binding.clone();
    other.order = 7;
    assert_eq!(kind(put(&other).await), FailureKind::ApprovalRequired);
    // Nobody makes a change with their own approval.
    let bob = caller("bob", &[Role::Administrator]);
    let by_bob = gate
        .governance
        .put_binding(&bob, &binding, Precondition::Any);
    assert_eq!(kind(by_bob.await), FailureKind::ApprovalRequired);
    put(&binding).await.unwrap();
    assert_eq!(bound(&gate).await.policies[0].version, "2.0.0");
    let used = gate.governance.approval(&request.id).await.unwrap();
    assert_eq!(used.state, ApprovalState::Used);
    // Used up.
    assert_eq!(
        kind(approve(&gate, "zed", &request.id).await),
        FailureKind::Conflict
    );
    let deleting = gate.governance.delete_binding(ann(), "b").await;
    assert_eq!(kind(deleting), FailureKind::ApprovalRequired);
}

#[tokio::test]
async fn approvals_of_a_binding_that_has_changed_meanwhile_do_not_count() {
    let (gate, _) = governed(1).await;
    let first = bound(&gate).await;
    let change = |order| BindingDocument {
        order,
        ..first.clone()
    };
    let put = async |order| {
        let binding = change(order);
        let putting = gate
            .governance
            .put_binding(ann(), &binding, Precondition::Any);
        putting.await.map(|_| ())
    };
    assert_eq!(kind(put(1).await), FailureKind::ApprovalRequired);
    approved_by(&gate, &["bob"]).await;
    assert_eq!(kind(put(2).await), FailureKind::ApprovalRequired);
    let all = gate.governance.approvals().await.unwrap();
    let two = all.iter().find(|one| one.counted == 0).unwrap();
    approve(&gate, "eve", &two.stored.document.id)
        .await
        .unwrap();
    put(2).await.unwrap();
    // It was approved as a change of the binding before.
    assert_eq!(kind(put(1).await), FailureKind::ApprovalRequired);
}

#[tokio::test]
async fn of_two_approvers_who_descend_from_one_another_one_counts() {
    let (gate, _) = gate(&["acquire"], version("2.0.0", &["acquire"], true)).await;
    let all = [("bob", "root"), ("eve", "root"), ("pup", "bob")];
    approvers(&gate, &all).await;
    let setting = gate.governance.set_approval_rule(ann(), 2);
    setting.await.unwrap();
    let deleting = gate.governance.delete_binding(ann(), "b");
    assert_eq!(kind(deleting.await), FailureKind::ApprovalRequired);
    assert_eq!(approved_by(&gate, &["bob", "pup"]).await.counted, 1);
    assert_eq!(approved_by(&gate, &["eve"]).await.counted, 2);
    gate.governance.delete_binding(ann(), "b").await.unwrap();
}

#[tokio::test]
async fn a_rollout_goes_beyond_its_shadow_along_an_approved_plan_only() {
    let (gate, _) = governed(1).await;
    let unseen = draft(&[canary(10), FULL]);
    let early = gate.governance.start_rollout(ann(), &unseen);
    assert_eq!(kind(early.await), FailureKind::Conflict);
    let plan = draft(&[SHADOW, canary(10), canary(50), FULL]);
    gate.governance.start_rollout(ann(), &plan).await.unwrap();
    // As far as half of the locks.
    let asking = gate
        .governance
        .request_rollout_approval(ann(), "r", Some(2));
    let asked = asking.await.unwrap().stored.document;
    assert_eq!(kind(advance(&gate).await), FailureKind::ApprovalRequired);
    assert_eq!(open_request(&gate).await.stored.document.id, asked.id);
    // An edit after the approval makes it void.
    approved_by(&gate, &["bob"]).await;
    let edit = async |edited: RolloutEdit| {
        let why = RolloutReason::default();
        let editing = gate.governance.edit_rollout(ann(), "r", &edited, why, None);
        editing.await.map(|stored| stored.document)
    };
    let report = Some("ab".repeat(32));
    let with_report = RolloutEdit {
        replay_report: report.clone(),
        ..RolloutEdit::default()
    };
    assert_eq!(edit(with_report).await.unwrap().replay_report, report);
    assert_eq!(kind(advance(&gate).await), FailureKind::ApprovalRequired);
    let withdrawing = gate.governance.withdraw_approval(ann(), &asked.id, None);
    withdrawing.await.unwrap();
    // The new request is for the whole plan, as nothing else was asked for.
    gate.governance
        .withdraw_approval(ann(), &open_request(&gate).await.stored.document.id, None)
        .await
        .unwrap();
    let asking = gate
        .governance
        .request_rollout_approval(ann(), "r", Some(2));
    asking.await.unwrap();
    approved_by(&gate, &["eve"]).await;
    assert_eq!(advance(&gate).await.unwrap().share, 10_000);
    assert_eq!(
        advance(&gate).await.unwrap().share,
        50_000,
        "along the approved plan"
    );
    assert_eq!(kind(advance(&gate).await), FailureKind::ApprovalRequired);
    // Targets are in force at once in a canary.
    let targets = RolloutTargets {
        locks: vec!["everything/**".to_owned()],
        ..RolloutTargets::default()
    };
    let wider = RolloutEdit {
        targets: Some(targets),
        ..RolloutEdit::default()
    };
    assert_eq!(kind(edit(wider).await), FailureKind::ApprovalRequired);
    // Back needs nobody.
    assert_eq!(
        change(&gate, RolloutAction::RollBack)
            .await
            .unwrap()
            .state
            .stage,
        RolloutStage::RolledBack
    );
}

#[tokio::test]
async fn the_rule_cannot_lock_its_author_out_and_is_not_lowered_alone() {
    let (gate, _) = gate(&["acquire"], version("2.0.0", &["acquire"], true)).await;
    let set = async |who: &str, required| {
        let who = caller(who, &[Role::Administrator]);
        gate.governance.set_approval_rule(&who, required).await
    };
    let refused = set("ann", 1).await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::Conflict);
    assert!(refused.message.contains("nobody"), "{refused:?}");
    approvers(&gate, &[("bob", "root"), ("eve", "root")]).await;
    assert_eq!(
        kind(set("root", 1).await),
        FailureKind::Conflict,
        "both are root's"
    );
    assert_eq!(
        kind(set("bob", 2).await),
        FailureKind::Conflict,
        "bob is the author"
    );
    set("ann", 2).await.unwrap();
    // Without either of them nothing could be approved.
    let keys = gate.governance.keys().await.unwrap();
    let of = |subject: &str| {
        let mut keys = keys.iter().map(|key| &key.document);
        keys.find(|key| key.subject.as_str() == subject)
            .unwrap()
            .id
            .clone()
    };
    let revoke = async |id: &str| gate.governance.revoke_key(ann(), id, true).await;
    assert_eq!(kind(revoke(&of("eve")).await), FailureKind::Conflict);
    let zed = async || {
        let key = approver("zed", "root");
        gate.governance.put_key(ann(), &key.document).await
    };
    assert_eq!(kind(zed().await), FailureKind::ApprovalRequired);
    approved_by(&gate, &["bob", "eve"]).await;
    zed().await.unwrap();
    revoke(&of("eve")).await.unwrap();
    // Lowering is a change like any other.
    assert_eq!(kind(set("ann", 0).await), FailureKind::ApprovalRequired);
    approved_by(&gate, &["bob", "zed"]).await;
    assert_eq!(set("ann", 0).await.unwrap().document.required, 0);
    gate.governance.delete_binding(ann(), "b").await.unwrap();
}

#[tokio::test]
async fn an_old_request_and_one_that_was_withdrawn_are_closed() {
    let (gate, clock) = governed(1).await;
    let delete = async || gate.governance.delete_binding(ann(), "b").await;
    assert_eq!(kind(delete().await), FailureKind::ApprovalRequired);
    let id = approved_by(&gate, &["bob"]).await.stored.document.id;
    clock.advance(leasehold_domain::limits::APPROVAL_LIFE_MS);
    let expired = gate.governance.approval(&id).await.unwrap();
    assert_eq!(expired.state, ApprovalState::Expired);
    assert_eq!(
        kind(approve(&gate, "eve", &id).await),
        FailureKind::Conflict
    );
    // Asked for anew, without the approvals of then.
    assert_eq!(kind(delete().await), FailureKind::ApprovalRequired);
    let anew = open_request(&gate).await;
    assert_eq!((anew.stored.document.id, anew.counted), (id.clone(), 0));
    let withdrawing = gate
        .governance
        .withdraw_approval(ann(), &id, Some("a mistake"));
    assert_eq!(withdrawing.await.unwrap().state, ApprovalState::Withdrawn);
    assert_eq!(
        kind(approve(&gate, "eve", &id).await),
        FailureKind::Conflict
    );
    assert_eq!(
        kind(approve(&gate, "eve", "nothing").await),
        FailureKind::NotFound
    );
}

#[tokio::test]
async fn a_namespace_that_comes_to_allow_by_default_needs_approval() {
    let (gate, _) = governed(1).await;
    let draft = |default_decision| crate::governance::document::NamespaceDraft {
        name: "late".parse().unwrap(),
        team: None,
        visibility: crate::governance::document::Visibility::default(),
        description: String::new(),
        default_decision,
        store: None,
        caps: None,
    };
    let put = async |default_decision| {
        let draft = draft(default_decision);
        let putting = gate
            .governance
            .put_namespace(ann(), &draft, Precondition::Any);
        putting.await.map(|_| ())
    };
    put(DefaultDecision::Deny).await.unwrap();
    assert_eq!(
        kind(put(DefaultDecision::Allow).await),
        FailureKind::ApprovalRequired
    );
    approved_by(&gate, &["eve"]).await;
    put(DefaultDecision::Allow).await.unwrap();
    put(DefaultDecision::Deny).await.unwrap();
    // A restore is a change like any other.
    let (late, governance) = ("late".parse().unwrap(), &gate.governance);
    let restore = async |number| {
        let restoring = governance.restore_namespace(ann(), &late, number, None);
        restoring.await.map(|written| written.number)
    };
    assert_eq!(kind(restore(2).await), FailureKind::ApprovalRequired);
    assert_eq!(restore(1).await.unwrap(), 3, "it says that already");
    approved_by(&gate, &["bob"]).await;
    assert_eq!(restore(2).await.unwrap(), 4);
    put(DefaultDecision::Deny).await.unwrap();
    let again = restore(2).await;
    assert_eq!(kind(again), FailureKind::ApprovalRequired, "it is used up");
}
