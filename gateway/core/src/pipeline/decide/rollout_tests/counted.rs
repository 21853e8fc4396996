//! Rollouts of a policy whose verdicts carry counters.

use super::*;

/// Rolls out a greater quota by this unit, and takes some locks. Returns how the versions differed, and
/// what was said of the candidate.
async fn differences(unit: RolloutUnit) -> (Counts, Vec<String>) {
    let clock = Arc::new(ManualClock::new(WallMillis(1_800_000_000_000)));
    let gate = Gate::open_at(clock).await;
    gate.namespace("demo", DefaultDecision::Allow).await;
    let quota = json!({ "namespaces": ["demo"], "policies": [{ "policy": "quota",
        "version": "2.0.1", "config": { "max_per_subject": 50 } }] });
    gate.bind(quota).await.unwrap();
    let rollout = RolloutDraft {
        policy: "quota".to_owned(),
        version: None,
        config: Some(json!({ "max_per_subject": 60 })),
        unit,
        ..draft(&[])
    };
    let rollout = start(&gate, &rollout).await;
    let svc = caller("svc", &[]);
    for lock in ["demo/a", "demo/b", "demo/c"] {
        gate.acquire(&svc, lock, None).await.unwrap();
    }
    let counts = compared(&gate, &rollout, 3).await;
    let standing = gate.pipeline.comparer().standing(&RolloutId::of(&rollout));
    let differences = standing.unwrap().differences;
    let candidate = differences.iter().map(|one| one.candidate.clone());
    (counts, candidate.collect())
}

#[tokio::test]
async fn a_candidate_with_counters_fails_in_a_rollout_by_lock() {
    let (counts, candidate) = differences(RolloutUnit::Lock).await;
    assert_eq!(counts.differences, [(Difference::Failed, 3)].into());
    let is_told = |told: &String| told.contains("roll out by team or subject");
    assert!(candidate.iter().all(is_told), "{candidate:?}");
    for unit in [RolloutUnit::Team, RolloutUnit::Subject] {
        let (counts, _) = differences(unit).await;
        assert_eq!(counts.differences, [(Difference::OtherLimits, 3)].into());
    }
}
