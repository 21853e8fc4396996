//! Rollouts that go to their next step by themselves.

use super::approvals::ann;
use super::approvals::approved_by;
use super::approvals::governed;
use super::*;

/// A plan of a shadow and two canaries with windows of a second, that advances by itself.
pub(super) fn automatic(steps: &[RolloutStep]) -> RolloutDraft {
    RolloutDraft {
        automatic: true,
        guardrails: Guardrails {
            window_ms: 1_000,
            least_samples: 5,
            newly_denied_max: 100_000,
            ..Guardrails::default()
        },
        ..draft(steps)
    }
}

/// Lets the guard run until the rollout is in this step, while requests are made and time passes.
pub(super) async fn until_step(gate: &Arc<Gate>, clock: &ManualClock, step: usize) {
    for _ in 0..200 {
        let rollout = gate.governance.rollout("r").await.unwrap().document;
        if rollout.state.step == step {
            return;
        }
        denied(gate).await;
        some_compared(gate, &rollout).await;
        pass(clock).await;
    }
    panic!("the rollout did not come to step {step}");
}

/// Lets time pass on the gateway's clock, and as much for the guard, which looks once a second: of a
/// window that it has not seen end there are no counts.
pub(super) async fn pass(clock: &ManualClock) {
    clock.advance(500);
    tokio::time::sleep(Duration::from_millis(500)).await;
}

/// Waits until more requests were compared than before in the step that the rollout was in, or it
/// has left that step. The thread that compares has the lowest priority: on a busy machine, time must
/// not pass without it.
pub(super) async fn some_compared(gate: &Gate, rollout: &RolloutDocument) {
    let id = RolloutId::of(rollout);
    let count = || {
        let standing = gate.pipeline.comparer().standing(&id);
        standing.unwrap_or_default().counts.compared
    };
    let before = count();
    for _ in 0..1_000 {
        let now = gate.governance.rollout("r").await.unwrap().document;
        if count() >= before + 20 || now.state != rollout.state {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(super) fn guarded(gate: &Arc<Gate>) -> tokio::task::JoinHandle<std::ops::ControlFlow<()>> {
    let comparer = gate.pipeline.comparer().clone();
    let (governance, reporter) = (gate.governance.clone(), gate.pipeline.reporter().clone());
    let metrics = Arc::new(Metrics::new());
    tokio::spawn(crate::rollouts::guard(
        governance, comparer, reporter, metrics,
    ))
}

#[tokio::test]
async fn it_advances_on_good_windows_and_the_ledger_says_why() {
    let (gate, clock) = gate(&["acquire"], version("2.0.0", &["acquire"], false)).await;
    start(&gate, &automatic(&[SHADOW, canary(50), FULL])).await;
    let guarding = guarded(&gate);
    until_step(&gate, &clock, 2).await;
    guarding.abort();
    let rollout = gate.governance.rollout("r").await.unwrap().document;
    assert_eq!(rollout.state.stage, RolloutStage::Full);
    for advanced in &rollout.changes[1..] {
        assert_eq!(
            (&*advanced.by, &*advanced.action),
            ("leasehold:rollouts", "advanced")
        );
        let why = advanced.reason.as_deref().unwrap();
        assert!(why.contains("last window is good"), "{why}");
        assert!(advanced.compared.is_some());
    }
}

#[tokio::test]
async fn it_waits_for_requests_and_for_its_hold_to_end() {
    let (gate, clock) = gate(&["acquire"], version("2.0.0", &["acquire"], false)).await;
    let rollout = start(&gate, &automatic(&[SHADOW, canary(50)])).await;
    let guarding = guarded(&gate);
    let waits = async || {
        let stored = gate.governance.rollout("r").await.unwrap().document;
        let steps = gate.pipeline.steps(&[&stored]).await.unwrap();
        steps[0].clone().unwrap().waits
    };
    clock.advance(30_000);
    // Long enough for the guard to have looked twice.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert!(waits().await.unwrap().contains("not-enough-data"));
    change(&gate, RolloutAction::Hold).await.unwrap();
    denied(&gate).await;
    compared(&gate, &rollout, 200).await;
    clock.advance(1_000);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(waits().await.as_deref(), Some("it is held"));
    change(&gate, RolloutAction::Resume).await.unwrap();
    until_step(&gate, &clock, 1).await;
    guarding.abort();
}

/// Lets the guard run, while requests are made and time passes, until only approvals are missing.
async fn until_others_must_approve(gate: &Arc<Gate>, clock: &ManualClock) -> RolloutDocument {
    let mut last = None;
    for _ in 0..100 {
        denied(gate).await;
        clock.advance(1_000);
        tokio::time::sleep(Duration::from_millis(300)).await;
        let rollout = gate.governance.rollout("r").await.unwrap().document;
        let steps = gate.pipeline.steps(&[&rollout]).await.unwrap();
        last = steps[0].clone().and_then(|step| step.waits);
        if last
            .as_ref()
            .is_some_and(|why| why.contains("others must approve"))
        {
            return rollout;
        }
    }
    panic!("it waits for something else: {last:?}");
}

#[tokio::test]
async fn it_goes_no_further_than_others_have_approved() {
    let (gate, clock) = governed(1).await;
    let plan = automatic(&[SHADOW, canary(10), FULL]);
    let governance = &gate.governance;
    governance.start_rollout(ann(), &plan).await.unwrap();
    let guarding = guarded(&gate);
    let waiting = until_others_must_approve(&gate, &clock).await;
    assert_eq!(waiting.state.stage, RolloutStage::Shadow);
    // It has asked nobody itself.
    assert!(governance.approvals().await.unwrap().is_empty());
    let requesting = governance.request_rollout_approval(ann(), "r", Some(1));
    requesting.await.unwrap();
    approved_by(&gate, &["bob"]).await;
    until_step(&gate, &clock, 1).await;
    let waiting = until_others_must_approve(&gate, &clock).await;
    guarding.abort();
    assert_eq!(waiting.state.stage, RolloutStage::Canary);
}
