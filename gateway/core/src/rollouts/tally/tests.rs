//! What is counted, and what one window comes to.

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

fn tally() -> Tally {
    let mut tally = Tally::default();
    tally.look(0, &rails());
    tally
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

#[test]
fn retries_of_one_subject_for_one_lock_count_once() {
    let mut tally = tally();
    for pair in 0..99 {
        tally.add(sample(pair, None));
    }
    for _ in 0..500 {
        tally.add(sample(5_000, Some(Difference::NewlyDenied)));
    }
    assert_eq!(tally.look(1, &rails()), None);
    assert_eq!(tally.verdict, Some(WindowVerdict::Good));
    assert_eq!(tally.standing().counts.compared, 599);
}

#[test]
fn failures_roll_back_at_once_in_a_burst() {
    let mut tally = tally();
    for pair in 0..49 {
        tally.add(sample(pair, Some(Difference::OverBudget)));
    }
    assert_eq!(tally.look(0, &rails()), None);
    tally.add(sample(0, Some(Difference::Failed)));
    let evidence = tally.look(0, &rails()).unwrap();
    assert_eq!(evidence.reason, "failures-burst");
    assert_eq!(tally.verdict, Some(WindowVerdict::Bad(evidence.clone())));
    // A rollback that could not be written is asked for again.
    assert_eq!(tally.look(0, &rails()), Some(evidence));
}

#[test]
fn a_candidate_that_spends_much_more_fuel_is_bad() {
    let mut tally = tally();
    let spending = |pair, candidate_fuel| Sample {
        candidate_fuel,
        ..sample(pair, None)
    };
    for pair in 0..20 {
        tally.add(spending(pair, 400));
    }
    assert_eq!(tally.look(1, &rails()), None);
    assert_eq!(tally.verdict, Some(WindowVerdict::Good));
    for pair in 0..20 {
        tally.add(spending(pair, 401));
    }
    assert_eq!(tally.look(2, &rails()), None);
    let verdict = tally.verdict.clone().unwrap();
    assert!(verdict.to_string().contains("8020 fuel"), "{verdict}");
}

#[test]
fn a_window_ends_when_the_next_has_begun_and_its_counts_are_kept() {
    let mut tally = Tally::default();
    // Looked at for the first time in the fourth window.
    tally.add(sample(1, Some(Difference::NewlyDenied)));
    assert_eq!(tally.look(3, &rails()), None);
    tally.add(sample(1, None));
    tally.add(sample(2, Some(Difference::Failed)));
    tally.look(3, &rails());
    assert_eq!(tally.counted().1, []);
    // A clock that is set back ends nothing.
    tally.look(1, &rails());
    tally.look(4, &rails());
    let counted = WindowReport {
        index: 3,
        pairs: 2,
        newly_denied: 1,
        failed: 1,
        current_fuel: 300,
        candidate_fuel: 300,
    };
    assert_eq!(tally.counted().1, std::slice::from_ref(&counted));
    // A window without requests is not among them.
    tally.look(5, &rails());
    assert_eq!(tally.verdict, Some(WindowVerdict::NotEnoughData));
    assert_eq!(tally.counted().1, [counted]);
    // Another start goes on from there.
    let (counts, windows) = tally.counted();
    let mut resumed = Tally::resumed(counts, &windows);
    resumed.add(sample(1, None));
    assert_eq!(resumed.standing().counts.compared, 4);
    assert_eq!(resumed.counted().1.len(), 1);
}

#[test]
fn differences_of_a_window_are_told_by_team_and_lock_with_the_share_that_was_compared() {
    let mut tally = tally();
    let denied = |team: Option<&str>, lock: &str| {
        let mut sample = sample(1, Some(Difference::NewlyDenied));
        let difference = sample.difference.as_mut().unwrap();
        difference.team = team.map(str::to_owned);
        difference.lock = lock.parse().unwrap();
        sample
    };
    tally.add(denied(Some("payments"), "demo/b"));
    for _ in 0..2 {
        tally.add(denied(None, "demo/a"));
    }
    tally.add(sample(2, None));
    tally.shed();
    assert_eq!(tally.take_batches(), []);
    tally.look(1, &rails());
    let batches = tally.take_batches();
    assert_eq!(tally.take_batches(), []);
    let told: Vec<String> = batches.iter().map(ToString::to_string).collect();
    let expected = "window 0: 4 of 5 requests compared (80.0 %); 2 newly-denied for demo/a of no \
                    team; 1 newly-denied for demo/b of payments";
    assert_eq!(told, [expected]);
    // A window without differences is not told of.
    tally.add(sample(2, None));
    tally.look(2, &rails());
    assert_eq!(tally.take_batches(), []);
    // Many locks are told as a number, and the rest of a step that was left is told, too.
    for n in 0..(ROLLOUT_BATCH_GROUPS_MAX + 7) {
        tally.add(denied(None, &format!("demo/l/{n}")));
    }
    let left = tally.left();
    let more = ROLLOUT_BATCH_GROUPS_MAX + 7 - ROLLOUT_BATCH_ROWS_MAX;
    let end = format!("; {more} more differences");
    assert!(left[0].to_string().ends_with(&end), "{}", left[0]);
}

#[test]
fn what_a_tally_keeps_is_bounded() {
    let mut tally = tally();
    for pair in 0..(ROLLOUT_PAIRS_MAX as u64 + 100) {
        tally.add(sample(pair, Some(Difference::OtherCode)));
    }
    assert_eq!(tally.window.pairs.len(), ROLLOUT_PAIRS_MAX);
    assert_eq!(tally.standing().differences.len(), ROLLOUT_DIFFERENCES_MAX);
    for over in 1..100 {
        tally.add(sample(1, None));
        tally.look(over, &rails());
    }
    assert_eq!(tally.closed.len(), ROLLOUT_WINDOWS_KEPT_MAX);
    tally.shed();
    assert_eq!(tally.standing().counts.shed, 1);
    assert_eq!(tally.standing().counts.agreed(), 99);
}
