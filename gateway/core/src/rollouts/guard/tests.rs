//! When windows in a row roll back.

use super::super::sum::tests::after;
use super::super::sum::tests::report;
use super::super::sum::tests::sum;
use super::super::sum::tests::window;
use super::*;
use crate::governance::document::WindowReport;

/// Judges so many windows, which three gateways have counted alike.
fn judge(streak: &mut Streak, over: u64, windows: &[WindowReport]) {
    let now = after(over * 10_000 + 500);
    let one = report(now, over, windows);
    let all = [("a", one.clone()), ("b", one.clone()), ("c", one)];
    streak.judge(&sum(&all, now), now);
}

#[test]
fn two_bad_windows_in_a_row_roll_back_and_one_does_not() {
    let mut streak = Streak::default();
    let mut windows = Vec::new();
    let bad = |index| window(index, 30, 3);
    let good = |index| window(index, 32, 1);
    windows.push(bad(0));
    judge(&mut streak, 1, &windows);
    assert_eq!((streak.bad, &streak.evidence), (1, &None));
    // It is judged once, however often it is looked at.
    judge(&mut streak, 1, &windows);
    assert_eq!(streak.bad, 1);
    // A good window in between begins anew.
    windows.push(good(1));
    windows.push(bad(2));
    judge(&mut streak, 3, &windows);
    assert_eq!((streak.bad, &streak.evidence), (1, &None));
    // One without enough data says nothing.
    windows.push(window(3, 2, 2));
    judge(&mut streak, 4, &windows);
    windows.push(bad(4));
    judge(&mut streak, 5, &windows);
    let evidence = streak.evidence.clone().unwrap();
    assert_eq!(evidence.reason, "newly-denied");
    let told = "two windows in a row: only the candidate denies for 9 of 90 pairs of subject and \
                lock (10.0 %, at most 5.0 %)";
    assert_eq!(evidence.text, told);
    // It stays until the rollback is written.
    windows.push(good(5));
    judge(&mut streak, 6, &windows);
    assert!(streak.evidence.is_some());
}

#[test]
fn windows_that_nobody_looked_at_in_time_are_judged_as_far_as_they_are_kept() {
    let mut streak = Streak::default();
    judge(&mut streak, 40, &[window(38, 30, 3), window(39, 30, 3)]);
    assert_eq!(streak.judged, 40);
    assert!(streak.evidence.is_some());
}
