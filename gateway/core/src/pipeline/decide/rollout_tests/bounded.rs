//! What a rollout costs requests, and what its texts may hold.

use std::sync::atomic::Ordering;

use leasehold_domain::limits::SHADOW_HOLDERS_MAX;

use super::*;

#[tokio::test]
async fn a_shadow_that_reads_the_lock_waits_for_no_turn() {
    let looks = Guest {
        needs_lock: true,
        ..version("2.0.0", &["acquire"], true)
    };
    let (gate, _) = gate(&["acquire"], looks).await;
    let rollout = start(&gate, &draft(&[SHADOW, canary(100)])).await;
    let decider = &gate.pipeline.inner.decider;
    let turn = [TurnKey::Lock("demo/a".parse().unwrap())].into();
    let _others = decider.turns.take(turn).await;
    let svc = caller("svc", &[]);
    let acquiring = gate.acquire(&svc, "demo/a", None);
    let within = Duration::from_millis(TURN_WAIT_MS_MAX / 2);
    let held = tokio::time::timeout(within, acquiring).await.unwrap();
    // It was shown the lock all the same.
    assert!(held.unwrap().decision.unwrap().facts.lock.is_some());
    compared(&gate, &rollout, 1).await;
}

#[tokio::test]
async fn a_reason_is_printable_text_of_bounded_length() {
    let (gate, _) = gate(&["acquire"], version("2.0.0", &["acquire"], true)).await;
    start(&gate, &draft(&[])).await;
    let op = caller("op", &[]);
    let long = "x".repeat(1_025);
    for bad in ["turned \u{202e}around", "\u{1b}[2J", &long] {
        let why = RolloutReason {
            reason: Some(bad),
            compared: None,
        };
        let hold = gate
            .governance
            .change_rollout(&op, "r", RolloutAction::Hold, why, None);
        let refused = hold.await.unwrap_err();
        assert_eq!(refused.kind, FailureKind::Invalid, "{refused:?}");
    }
    let strange = RolloutTargets {
        teams: vec!["Not A Team".to_owned()],
        ..RolloutTargets::default()
    };
    let strange = RolloutDraft {
        name: "r2".to_owned(),
        targets: strange,
        ..draft(&[])
    };
    let refused = gate.governance.start_rollout(&op, &strange).await;
    assert_eq!(refused.unwrap_err().kind, FailureKind::Invalid);
}

#[tokio::test]
async fn views_of_locks_that_wait_for_a_comparison_are_bounded() {
    let looks = Guest {
        needs_lock: true,
        ..version("2.0.0", &["acquire"], true)
    };
    let (gate, _) = gate(&["acquire"], looks).await;
    let rollout = start(&gate, &draft(&[SHADOW])).await;
    let svc = caller("svc", &[]);
    // Nobody holds it yet, so its view costs nothing.
    gate.acquire(&svc, "demo/a", None).await.unwrap();
    compared(&gate, &rollout, 1).await;
    let comparer = gate.pipeline.comparer();
    let queued = &comparer.queued_holders;
    queued.fetch_add(SHADOW_HOLDERS_MAX, Ordering::Relaxed);
    let held = gate.acquire(&caller("other", &[]), "demo/a", None).await;
    assert_eq!(held.unwrap_err().kind, FailureKind::Held);
    let counts = comparer.standing(&RolloutId::of(&rollout)).unwrap().counts;
    assert_eq!((counts.compared, counts.shed), (1, 1));
    assert_eq!(queued.load(Ordering::Relaxed), SHADOW_HOLDERS_MAX);
}
