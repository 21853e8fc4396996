//! What windows come to.

use super::*;

fn rails() -> Guardrails {
    Guardrails {
        window_ms: 10_000,
        least_samples: 10,
        newly_denied_max: 5_000,
        failed_max: 1_000,
        failures_burst: 50,
        fuel_ratio_max_percent: 400,
    }
}

fn sample(pair: u64, difference: Option<Difference>) -> Sample {
    Sample {
        pair,
        current_fuel: 100,
        candidate_fuel: 100,
        difference: difference.map(|kind| SampleDifference {
            kind,
            at: WallMillis(1),
            subject: "svc".to_owned(),
            team: None,
            operation: "acquire",
            lock: "demo/a".parse().unwrap(),
            current: "allow".to_owned(),
            candidate: "deny".to_owned(),
        }),
    }
}

/// Counts a window of agreements on these pairs and differences on others, and ends it.
fn window(
    tally: &mut Tally,
    at: &mut u64,
    agreed: u64,
    different: (u64, Difference),
) -> Option<Evidence> {
    for pair in 0..agreed {
        tally.add(sample(pair, None));
    }
    for pair in 0..different.0 {
        tally.add(sample(1_000 + pair, Some(different.1)));
    }
    *at += 10;
    tally.look(Duration::from_secs(*at), &rails())
}

#[test]
fn two_bad_windows_in_a_row_roll_back_and_one_does_not() {
    let (mut tally, mut at) = (Tally::new(Duration::ZERO), 0);
    let denied = |count| (count, Difference::NewlyDenied);
    assert_eq!(window(&mut tally, &mut at, 90, denied(10)), None);
    assert_eq!(tally.verdict.as_ref().unwrap().as_str(), "bad");
    // A good window in between begins anew.
    assert_eq!(window(&mut tally, &mut at, 96, denied(4)), None);
    assert_eq!(tally.verdict, Some(WindowVerdict::Good));
    assert_eq!(window(&mut tally, &mut at, 90, denied(10)), None);
    // One without enough data says nothing.
    assert_eq!(window(&mut tally, &mut at, 2, denied(3)), None);
    assert_eq!(tally.verdict, Some(WindowVerdict::NotEnoughData));
    let evidence = window(&mut tally, &mut at, 90, denied(10)).unwrap();
    assert_eq!(evidence.reason, "newly-denied");
    assert!(
        evidence
            .text
            .contains("10 of 100 pairs of subject and lock (10.0 %, at most 5.0 %)"),
        "{evidence:?}"
    );
}

#[test]
fn retries_of_one_subject_for_one_lock_count_once() {
    let mut tally = Tally::new(Duration::ZERO);
    for pair in 0..99 {
        tally.add(sample(pair, None));
    }
    for _ in 0..500 {
        tally.add(sample(5_000, Some(Difference::NewlyDenied)));
    }
    assert_eq!(tally.look(Duration::from_secs(10), &rails()), None);
    assert_eq!(tally.verdict, Some(WindowVerdict::Good));
    assert_eq!(tally.standing().counts.compared, 599);
}

#[test]
fn failures_roll_back_by_their_share_and_at_once_in_a_burst() {
    let (mut tally, mut at) = (Tally::new(Duration::ZERO), 0);
    let failed = (2, Difference::Failed);
    assert_eq!(window(&mut tally, &mut at, 98, failed), None);
    let evidence = window(&mut tally, &mut at, 98, failed).unwrap();
    assert_eq!(evidence.reason, "failed");
    let mut tally = Tally::new(Duration::ZERO);
    for pair in 0..49 {
        tally.add(sample(pair, Some(Difference::OverBudget)));
    }
    assert_eq!(tally.look(Duration::ZERO, &rails()), None);
    tally.add(sample(0, Some(Difference::Failed)));
    let evidence = tally.look(Duration::ZERO, &rails()).unwrap();
    assert_eq!(evidence.reason, "failures-burst");
    assert_eq!(tally.verdict, Some(WindowVerdict::Bad(evidence.clone())));
    // A rollback that could not be written is asked for again.
    assert_eq!(tally.look(Duration::ZERO, &rails()), Some(evidence));
}

#[test]
fn a_candidate_that_spends_much_more_fuel_is_bad() {
    let mut tally = Tally::new(Duration::ZERO);
    let spending = |pair, candidate_fuel| Sample {
        candidate_fuel,
        ..sample(pair, None)
    };
    for pair in 0..20 {
        tally.add(spending(pair, 400));
    }
    assert_eq!(tally.look(Duration::from_secs(10), &rails()), None);
    assert_eq!(tally.verdict, Some(WindowVerdict::Good));
    for pair in 0..20 {
        tally.add(spending(pair, 401));
    }
    assert_eq!(tally.look(Duration::from_secs(20), &rails()), None);
    let verdict = tally.verdict.clone().unwrap();
    assert!(verdict.to_string().contains("8020 fuel"), "{verdict}");
}

#[test]
fn a_window_without_requests_advances_nothing_and_forgets_nothing() {
    let (mut tally, mut at) = (Tally::new(Duration::ZERO), 0);
    let none = (0, Difference::Failed);
    for _ in 0..3 {
        assert_eq!(window(&mut tally, &mut at, 0, none), None);
        assert_eq!(tally.verdict, Some(WindowVerdict::NotEnoughData));
    }
}

#[test]
fn what_a_tally_keeps_is_bounded() {
    let mut tally = Tally::new(Duration::ZERO);
    for pair in 0..(ROLLOUT_PAIRS_MAX as u64 + 100) {
        tally.add(sample(pair, Some(Difference::OtherCode)));
    }
    assert_eq!(tally.window.pairs.len(), ROLLOUT_PAIRS_MAX);
    assert_eq!(tally.standing().differences.len(), ROLLOUT_DIFFERENCES_MAX);
    tally.shed();
    assert_eq!(tally.standing().counts.shed, 1);
    assert_eq!(tally.standing().counts.agreed(), 0);
}
