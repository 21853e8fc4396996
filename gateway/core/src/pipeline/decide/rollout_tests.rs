//! Requests during a rollout: which version judges, what stays as it was, and what rolls back.

mod approvals;
mod automatic;
mod bounded;
mod counted;
mod flags;
mod kills;
mod rolled_back;

use leasehold_domain::ManualClock;
use leasehold_domain::RevokeTarget;
use leasehold_domain::Role;
use leasehold_policy_evaluate::bucket;
use leasehold_policy_guests::Guest;
use leasehold_policy_guests::TEXT;
use leasehold_policy_guests::deny;
use serde_json::Value;
use serde_json::json;

use super::*;
use crate::failure::FailureKind;
use crate::governance::RolloutAction;
use crate::governance::RolloutDraft;
use crate::governance::RolloutId;
use crate::governance::RolloutReason;
use crate::governance::document::DefaultDecision;
use crate::governance::document::Guardrails;
use crate::governance::document::RolloutDocument;
use crate::governance::document::RolloutStage;
use crate::governance::document::RolloutStep;
use crate::governance::document::RolloutTargets;
use crate::governance::document::RolloutUnit;
use crate::pipeline::ask;
use crate::pipeline::fixture::Gate;
use crate::pipeline::fixture::asked;
use crate::pipeline::fixture::caller;
use crate::rollouts::Counts;
use crate::rollouts::Difference;

const DAY_MS: u64 = 86_400_000;

/// A version of policy `p` that judges these operations, and denies them or not.
fn version(version: &str, operations: &[&str], denies: bool) -> Guest {
    let at = TEXT as u32;
    let guest = Guest {
        name: "p".to_owned(),
        version: version.to_owned(),
        operations: operations.iter().map(|name| (*name).to_owned()).collect(),
        ..Guest::default()
    };
    match denies {
        false => guest,
        true => Guest {
            answer: deny((at, 2), (at + 2, 7)),
            text: b"noby hand".to_vec(),
            ..guest
        },
    }
}

/// A gateway whose namespace `demo` is bound to `p@1.0.0`, which allows, with `p@2.0.0` uploaded.
async fn gate(operations: &[&str], candidate: Guest) -> (Arc<Gate>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(WallMillis(1_800_000_000_000)));
    let gate = Gate::open_at(clock.clone()).await;
    prepare(&gate, operations, candidate).await;
    (Arc::new(gate), clock)
}

async fn prepare(gate: &Gate, operations: &[&str], candidate: Guest) {
    gate.namespace("demo", DefaultDecision::Allow).await;
    gate.upload(version("1.0.0", operations, false).wasm())
        .await;
    gate.upload(candidate.wasm()).await;
    gate.bind(binding(json!({}))).await.unwrap();
}

fn binding(config: Value) -> Value {
    json!({ "namespaces": ["demo"],
        "policies": [{ "policy": "p", "version": "1.0.0", "config": config }] })
}

fn canary(percent: u32) -> RolloutStep {
    RolloutStep {
        stage: RolloutStage::Canary,
        share: percent * 1_000,
        least_ms: 0,
    }
}

const SHADOW: RolloutStep = RolloutStep {
    stage: RolloutStage::Shadow,
    share: 0,
    least_ms: 0,
};
const FULL: RolloutStep = RolloutStep {
    stage: RolloutStage::Full,
    ..SHADOW
};

fn draft(steps: &[RolloutStep]) -> RolloutDraft {
    RolloutDraft {
        name: "r".to_owned(),
        binding: "b".to_owned(),
        policy: "p".to_owned(),
        version: Some("2.0.0".to_owned()),
        config: None,
        flag: None,
        unit: RolloutUnit::Lock,
        targets: RolloutTargets::default(),
        steps: steps.to_vec(),
        guardrails: Guardrails::default(),
        automatic: false,
        replay_report: None,
    }
}

async fn start(gate: &Gate, draft: &RolloutDraft) -> RolloutDocument {
    let op = caller("op", &[]);
    let started = gate.governance.start_rollout(&op, draft).await;
    started.unwrap().document
}

async fn change(gate: &Gate, action: RolloutAction) -> Result<RolloutDocument, Failure> {
    let op = caller("op", &[]);
    let changing = gate
        .governance
        .change_rollout(&op, "r", action, RolloutReason::default(), None);
    changing.await.map(|stored| stored.document)
}

/// The indexes of the locks `demo/l/0` to `demo/l/199` that may not be taken.
async fn denied(gate: &Gate) -> BTreeSet<usize> {
    let svc = caller("svc", &[]);
    let mut denied = BTreeSet::new();
    for n in 0..200 {
        let lock = format!("demo/l/{n}");
        match gate.acquire(&svc, &lock, None).await {
            Ok(held) => gate.release(&svc, &lock, held.grant.lease_id).await,
            Err(failure) => {
                assert_eq!(failure.kind, FailureKind::Denied, "{failure:?}");
                denied.insert(n);
            }
        }
    }
    denied
}

/// Waits until so many requests were compared in the step that the rollout is in.
async fn compared(gate: &Gate, rollout: &RolloutDocument, count: u64) -> Counts {
    let id = RolloutId::of(rollout);
    for _ in 0..5_000 {
        let standing = gate.pipeline.comparer().standing(&id);
        let counts = standing.unwrap_or_default().counts;
        if counts.compared >= count {
            return counts;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("{count} requests were not compared");
}

#[tokio::test]
async fn a_shadow_judges_after_the_answer_and_changes_nothing() {
    let (gate, _) = gate(&["acquire"], version("2.0.0", &["acquire"], true)).await;
    let rollout = start(&gate, &draft(&[])).await;
    assert_eq!(rollout.state.stage, RolloutStage::Shadow);
    let svc = caller("svc", &[]);
    let held = gate.acquire(&svc, "demo/a", None).await.unwrap();
    let decision = held.decision.unwrap();
    let [verdict] = &decision.verdicts[..] else {
        panic!("{decision:?}");
    };
    assert_eq!(&*verdict.version, "1.0.0");
    let choice = verdict.rollout.as_deref().unwrap();
    assert_eq!((&*choice.rollout, &*choice.stage), ("r", "shadow"));
    assert_eq!(choice.variant.as_deref(), Some("current"));
    let counts = compared(&gate, &rollout, 1).await;
    assert_eq!(counts.differences, [(Difference::NewlyDenied, 1)].into());
    let standing = gate.pipeline.comparer().standing(&RolloutId::of(&rollout));
    let differences = standing.unwrap().differences;
    assert_eq!(differences[0].subject, "svc");
    assert_eq!(differences[0].lock.to_string(), "demo/a");
    assert_eq!(
        differences[0].candidate,
        "denied with code \"no\", message \"by hand\""
    );
    assert!(
        differences[0].current.starts_with("allow"),
        "{differences:?}"
    );
}

#[tokio::test]
async fn a_canary_judges_by_published_buckets_and_a_greater_share_takes_no_lock_out() {
    let (gate, _) = gate(&["acquire"], version("2.0.0", &["acquire"], true)).await;
    let rollout = start(&gate, &draft(&[canary(20), canary(60)])).await;
    let expected = |share: u32| -> BTreeSet<usize> {
        let is_in = |n: &usize| bucket(&rollout.salt, &format!("demo/l/{n}")) < share;
        (0..200).filter(is_in).collect()
    };
    let first = denied(&gate).await;
    assert_eq!(first, expected(20_000));
    change(&gate, RolloutAction::Hold).await.unwrap();
    assert_eq!(denied(&gate).await, first);
    change(&gate, RolloutAction::Resume).await.unwrap();
    assert_eq!(denied(&gate).await, first);
    let advanced = change(&gate, RolloutAction::Advance).await.unwrap();
    assert_eq!(advanced.salt, rollout.salt);
    let second = denied(&gate).await;
    assert_eq!(second, expected(60_000));
    assert!(first.is_subset(&second) && first.len() < second.len());

    // The bucket, its function and the stage are in each decision.
    let n = *second.first().unwrap();
    let (svc, lock) = (caller("svc", &[]), format!("demo/l/{n}"));
    let failure = gate.acquire(&svc, &lock, None).await.unwrap_err();
    let crate::failure::FailureDetail::Denied { decision, .. } = failure.detail else {
        panic!("{failure:?}");
    };
    let choice = decision.unwrap().verdicts[0].rollout.clone().unwrap();
    let own = bucket(&rollout.salt, &format!("demo/l/{n}"));
    assert_eq!(choice.bucket, Some(own));
    assert_eq!(choice.bucket_function.as_deref(), Some("mmh3-v1"));
    assert_eq!(choice.variant.as_deref(), Some("candidate"));
    // Both versions judge the same requests, whichever rules.
    let counts = compared(&gate, &advanced, 200).await;
    assert_eq!(counts.differences.len(), 1, "{counts:?}");
    assert_eq!(
        counts.differences[&Difference::NewlyDenied],
        counts.compared
    );

    change(&gate, RolloutAction::RollBack).await.unwrap();
    assert_eq!(denied(&gate).await, BTreeSet::new());
}

#[tokio::test]
async fn each_lock_of_a_request_for_several_is_judged_by_its_own_version() {
    let (gate, _) = gate(&["acquire"], version("2.0.0", &["acquire"], true)).await;
    start(&gate, &draft(&[canary(50)])).await;
    let denied = denied(&gate).await;
    let allowed: Vec<usize> = (0..200).filter(|n| !denied.contains(n)).collect();
    let take = |locks: &[usize]| ask::AcquireMany {
        namespace: "demo".parse().unwrap(),
        acquires: locks
            .iter()
            .map(|n| asked(&format!("demo/l/{n}"), 60_000))
            .collect(),
    };
    let svc = caller("svc", &[]);
    let mixed = take(&[allowed[0], *denied.first().unwrap(), allowed[1]]);
    let refused = gate.pipeline.acquire_many(&svc, mixed).await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::Denied);
    let taken = gate.pipeline.acquire_many(&svc, take(&allowed[..2])).await;
    assert_eq!(taken.unwrap().len(), 2);
}

#[tokio::test]
async fn a_lease_is_renewed_under_the_version_that_granted_it_for_a_day() {
    let operations = ["acquire", "renew"];
    // The candidate grants, and denies renewals: its answer is the same for both, so it is another
    // policy beside the first that shows which version judged.
    let candidate = version("2.0.0", &["renew"], true);
    let (gate, clock) = gate(&operations, candidate).await;
    let svc = caller("svc", &[]);
    let old = gate.acquire_for(&svc, "demo/old", DAY_MS).await.unwrap();
    let old = old.grant.lease_id;
    start(&gate, &draft(&[SHADOW, canary(100), FULL])).await;
    change(&gate, RolloutAction::Advance).await.unwrap();
    gate.renew(&svc, "demo/old", old, None).await.unwrap();
    let full = change(&gate, RolloutAction::Advance).await.unwrap();
    assert_eq!(full.state.stage, RolloutStage::Full);
    let renewed = gate.renew(&svc, "demo/old", old, None).await.unwrap();
    let decision = renewed.decision.unwrap();
    assert_eq!(&*decision.verdicts[0].version, "1.0.0");
    let choice = decision.verdicts[0].rollout.clone().unwrap();
    assert_eq!(
        (&*choice.stage, choice.variant.as_deref()),
        ("full", Some("current"))
    );
    clock.advance(DAY_MS - 1);
    gate.renew(&svc, "demo/old", old, None).await.unwrap();
    clock.advance(1);
    let refused = gate.renew(&svc, "demo/old", old, None).await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::Denied, "{refused:?}");
    // The version before judges the lease again as soon as the candidate is rolled back.
    change(&gate, RolloutAction::RollBack).await.unwrap();
    gate.renew(&svc, "demo/old", old, None).await.unwrap();
}

#[tokio::test]
async fn the_right_to_revoke_is_judged_by_the_version_that_rules() {
    let operations = ["acquire", "revoke"];
    let (gate, _) = gate(&operations, version("2.0.0", &["revoke"], true)).await;
    let svc = caller("svc", &[]);
    gate.acquire(&svc, "demo/a", None).await.unwrap();
    gate.acquire(&svc, "demo/b", None).await.unwrap();
    start(&gate, &draft(&[canary(100), FULL])).await;
    let operator = caller("operator", &[Role::Operator]);
    let revoke = |lock: &str| ask::Revoke {
        lock: lock.parse().unwrap(),
        target: RevokeTarget::All,
        grace_ms: 0,
        reason: None,
        labels: [].into(),
        override_terms: None,
    };
    gate.pipeline
        .revoke(&operator, revoke("demo/a"))
        .await
        .unwrap();
    change(&gate, RolloutAction::Advance).await.unwrap();
    let refused = gate.pipeline.revoke(&operator, revoke("demo/b")).await;
    assert_eq!(refused.unwrap_err().kind, FailureKind::Denied);
}

#[tokio::test]
async fn named_targets_are_judged_by_the_candidate_whatever_their_bucket() {
    let (gate, _) = gate(&["acquire"], version("2.0.0", &["acquire"], true)).await;
    let rollout = RolloutDraft {
        targets: RolloutTargets {
            locks: vec!["trial/**".to_owned()],
            teams: Vec::new(),
            subjects: vec!["brave".to_owned()],
        },
        ..draft(&[canary(0)])
    };
    start(&gate, &rollout).await;
    let (svc, brave) = (caller("svc", &[]), caller("brave", &[]));
    gate.acquire(&svc, "demo/a", None).await.unwrap();
    assert!(gate.acquire(&svc, "demo/trial/a", None).await.is_err());
    assert!(gate.acquire(&brave, "demo/b", None).await.is_err());
}

#[tokio::test]
async fn full_changes_the_binding_and_a_rollback_restores_it_in_one_write() {
    let (gate, _) = gate(&["acquire"], version("2.0.0", &["acquire"], true)).await;
    let bound = async || {
        let stored = gate.governance.binding("b").await.unwrap();
        stored.document.policies[0].version.clone()
    };
    start(&gate, &draft(&[canary(0), FULL])).await;
    assert_eq!(bound().await, "1.0.0");
    change(&gate, RolloutAction::Advance).await.unwrap();
    assert_eq!(bound().await, "2.0.0");
    assert_eq!(denied(&gate).await.len(), 200);
    let before = gate.governance.plan().revision;
    let back = change(&gate, RolloutAction::RollBack).await.unwrap();
    assert_eq!(gate.governance.plan().revision, before + 1);
    assert_eq!(bound().await, "1.0.0");
    assert_eq!(back.state.stage, RolloutStage::RolledBack);
    assert_eq!(denied(&gate).await, BTreeSet::new());
    let done: Vec<&str> = back.changes.iter().map(|change| &*change.action).collect();
    assert_eq!(done, ["started", "advanced", "rolled-back"]);
    for action in [RolloutAction::RollBack, RolloutAction::Advance] {
        let refused = change(&gate, action).await.unwrap_err();
        assert_eq!(refused.kind, FailureKind::Conflict, "{refused:?}");
    }
}

#[tokio::test]
async fn what_an_open_rollout_needs_stays() {
    let (gate, _) = gate(&["acquire"], version("2.0.0", &["acquire"], true)).await;
    start(&gate, &draft(&[])).await;
    let op = caller("op", &[]);
    let in_use = |failure: Failure| assert_eq!(failure.kind, FailureKind::PolicyVersionInUse);
    let (policy, author) = ("p", caller("author", &[Role::Administrator]));
    let deleted = gate
        .pipeline
        .delete_policy_version(&author, policy, "2.0.0");
    in_use(deleted.await.unwrap_err());
    let rebound = gate.bind(json!({ "namespaces": ["demo"],
        "policies": [{ "policy": "p", "version": "2.0.0" }] }));
    assert_eq!(rebound.await.unwrap_err().kind, FailureKind::Conflict);
    let deleted = gate.governance.delete_binding(&op, "b").await;
    assert_eq!(deleted.unwrap_err().kind, FailureKind::Conflict);
    let twice = RolloutDraft {
        name: "r2".to_owned(),
        ..draft(&[])
    };
    let twice = gate.governance.start_rollout(&op, &twice).await;
    assert_eq!(twice.unwrap_err().kind, FailureKind::Conflict);
    // Other parts of the binding may change; the rollout goes on.
    let mut reordered = binding(json!({}));
    reordered["order"] = json!(7);
    gate.bind(reordered).await.unwrap();
    let open = gate.governance.open_rollouts();
    assert_eq!(open.len(), 1);
    let deleted = gate.governance.delete_rollout(&op, "r").await;
    assert_eq!(deleted.unwrap_err().kind, FailureKind::Conflict);
    change(&gate, RolloutAction::RollBack).await.unwrap();
    gate.governance.delete_rollout(&op, "r").await.unwrap();
    let deleted = gate
        .pipeline
        .delete_policy_version(&author, policy, "2.0.0");
    deleted.await.unwrap();
}

#[tokio::test]
async fn a_full_rollout_makes_room_for_the_next() {
    let (gate, _) = gate(&["acquire"], version("2.0.0", &["acquire"], false)).await;
    gate.upload(version("3.0.0", &["acquire"], true).wasm())
        .await;
    start(&gate, &draft(&[canary(0), FULL])).await;
    change(&gate, RolloutAction::Advance).await.unwrap();
    let next = RolloutDraft {
        name: "next".to_owned(),
        version: Some("3.0.0".to_owned()),
        ..draft(&[canary(100)])
    };
    let next = start(&gate, &next).await;
    assert_eq!(next.current.version, "2.0.0");
    assert_eq!(denied(&gate).await.len(), 200);
    let first = gate.governance.rollout("r").await.unwrap().document;
    assert_eq!(first.state.stage, RolloutStage::Superseded);
}

#[tokio::test]
async fn only_the_configuration_may_be_rolled_out() {
    let (gate, _) = gate(&["acquire"], version("2.0.0", &["acquire"], true)).await;
    let strict = json!({ "namespaces": ["demo"], "name": "limits",
        "policies": [{ "policy": "ttl-bounds", "version": "1.1.0",
            "config": { "rules": [{ "max_ttl_ms": 60_000 }] } }] });
    gate.bind(strict).await.unwrap();
    let rollout = RolloutDraft {
        binding: "limits".to_owned(),
        policy: "ttl-bounds".to_owned(),
        version: None,
        config: Some(json!({ "rules": [{ "max_ttl_ms": 5_000 }] })),
        ..draft(&[SHADOW, canary(100)])
    };
    let rollout = start(&gate, &rollout).await;
    let svc = caller("svc", &[]);
    let held = gate.acquire(&svc, "demo/a", None).await.unwrap();
    assert_eq!(held.grant.ttl_ms, 60_000);
    let first = held.grant.lease_id;
    let counts = compared(&gate, &rollout, 1).await;
    assert_eq!(counts.differences, [(Difference::OtherLimits, 1)].into());
    change(&gate, RolloutAction::Advance).await.unwrap();
    let held = gate.acquire(&svc, "demo/b", None).await.unwrap();
    assert_eq!(held.grant.ttl_ms, 5_000);
    // New configuration applies at the next renewal, also of leases that were granted before.
    let renewed = gate.renew(&svc, "demo/a", first, None).await.unwrap();
    assert_eq!(renewed.decision.unwrap().limits.max_ttl_ms, Some(5_000));
    change(&gate, RolloutAction::RollBack).await.unwrap();
    let bad = RolloutDraft {
        name: "bad".to_owned(),
        binding: "limits".to_owned(),
        policy: "ttl-bounds".to_owned(),
        version: None,
        config: Some(json!({ "rules": [{ "max_ttl_ms": "no" }] })),
        ..draft(&[])
    };
    let op = caller("op", &[]);
    let refused = gate.governance.start_rollout(&op, &bad).await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::Invalid, "{refused:?}");
}

#[tokio::test]
async fn a_step_lasts_as_long_as_the_plan_says() {
    let (gate, clock) = gate(&["acquire"], version("2.0.0", &["acquire"], true)).await;
    let slow = RolloutStep {
        least_ms: 60_000,
        ..SHADOW
    };
    start(&gate, &draft(&[slow, canary(1)])).await;
    let early = change(&gate, RolloutAction::Advance).await.unwrap_err();
    assert_eq!(early.retry_after_ms, Some(60_000), "{early:?}");
    clock.advance(60_000);
    change(&gate, RolloutAction::Advance).await.unwrap();
    let refused = change(&gate, RolloutAction::Advance).await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::Conflict);
}
