//! Candidates that roll back by themselves.

use super::*;

#[tokio::test]
async fn a_candidate_that_fails_is_rolled_back_with_its_evidence() {
    let traps = Guest {
        name: "p".to_owned(),
        version: "2.0.0".to_owned(),
        ..Guest::doing("(unreachable)")
    };
    let (gate, _) = gate(&["acquire"], traps).await;
    let mut rollout = draft(&[SHADOW, canary(10)]);
    rollout.guardrails.failures_burst = 5;
    let rollout = start(&gate, &rollout).await;
    let comparer = gate.pipeline.comparer().clone();
    let metrics = Arc::new(Metrics::new());
    let reporter = gate.pipeline.reporter().clone();
    let guarding = crate::rollouts::guard(gate.governance.clone(), comparer, reporter, metrics);
    let guarding = tokio::spawn(guarding);
    // A shadow judges nobody, so its failures only count.
    assert_eq!(denied_or_failed(&gate).await, 0);
    compared(&gate, &rollout, 100).await;
    change(&gate, RolloutAction::Advance).await.unwrap();
    let failed = denied_or_failed(&gate).await;
    assert!((1..40).contains(&failed), "{failed} of 100");
    let mut back = gate.governance.rollout("r").await.unwrap().document;
    for _ in 0..500 {
        if back.state.stage == RolloutStage::RolledBack {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        back = gate.governance.rollout("r").await.unwrap().document;
    }
    guarding.abort();
    let last = back.changes.last().unwrap();
    assert_eq!(
        (&*last.action, &*last.by),
        ("rolled-back", "leasehold:rollouts")
    );
    let evidence = last.reason.as_deref().unwrap();
    assert!(evidence.contains("the candidate failed"), "{evidence}");
    assert_eq!(denied_or_failed(&gate).await, 0);
}

/// Takes a hundred locks once each. Returns how many could not be taken.
async fn denied_or_failed(gate: &Gate) -> usize {
    let svc = caller("svc", &[]);
    let mut refused = 0;
    for n in 0..100 {
        let lock = format!("demo/f/{n}");
        match gate.acquire(&svc, &lock, None).await {
            Ok(held) => gate.release(&svc, &lock, held.grant.lease_id).await,
            Err(_) => refused += 1,
        }
    }
    refused
}
