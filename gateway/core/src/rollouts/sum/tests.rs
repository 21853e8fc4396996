//! What the reports of several gateways come to.

use super::*;
use crate::governance::document::Guardrails;
use crate::governance::document::RolloutStage;
use crate::governance::document::RolloutState;
use crate::rollouts::Evidence;

const SINCE_MS: u64 = 1_000_000;
const WINDOW_MS: u64 = 10_000;

/// A canary in epoch 3, whose windows last ten seconds.
pub(in crate::rollouts) fn open() -> OpenRollout {
    OpenRollout {
        id: RolloutId {
            name: "r".into(),
            salt: "s".into(),
            epoch: 3,
        },
        rails: Guardrails {
            window_ms: WINDOW_MS,
            least_samples: 10,
            ..Guardrails::default()
        },
        state: RolloutState {
            stage: RolloutStage::Canary,
            share: 1_000,
            step: 1,
            epoch: 3,
            since_ms: SINCE_MS,
            held: false,
        },
        least_ms: 0,
        automatic: true,
        flag: None,
        has_next: true,
    }
}

/// So long after the step was entered.
pub(in crate::rollouts) fn after(ms: u64) -> WallMillis {
    WallMillis(SINCE_MS + ms)
}

/// A window with so many pairs, and so many of them that only the candidate denies.
pub(in crate::rollouts) fn window(index: u64, pairs: u64, newly_denied: u64) -> WindowReport {
    WindowReport {
        index,
        pairs,
        newly_denied,
        ..WindowReport::default()
    }
}

/// The report of a gateway on which so many windows are over.
pub(in crate::rollouts) fn report(
    now: WallMillis,
    windows_over: u64,
    windows: &[WindowReport],
) -> GatewayReport {
    let compared = windows.iter().map(|window| window.pairs).sum();
    let step = StepReport {
        salt: "s".to_owned(),
        epoch: 3,
        windows_over,
        counts: CountsReport {
            compared,
            ..CountsReport::default()
        },
        windows: windows.to_vec(),
    };
    GatewayReport {
        wall_ms: now.0,
        rollouts: BTreeMap::from([("r".to_owned(), step)]),
        ..GatewayReport::default()
    }
}

/// The sum over gateways `a`, `b` and `c`, of which these have reported.
pub(in crate::rollouts) fn sum(reports: &[(&str, GatewayReport)], now: WallMillis) -> StepSum {
    let roster = Roster {
        me: "a".to_owned(),
        all: ["a", "b", "c"]
            .map(|id| (id.to_owned(), id.to_owned()))
            .to_vec(),
    };
    let reports = reports.iter().cloned();
    let reports = reports
        .map(|(id, report)| (id.to_owned(), report))
        .collect();
    StepSum::of(&open(), &roster, &reports, now)
}

#[test]
fn counts_are_summed_and_judged_together() {
    let now = after(10_500);
    // Four of forty would be bad for one gateway, and one of sixty is not.
    let all = [
        ("a", report(now, 1, &[window(0, 20, 1)])),
        ("b", report(now, 1, &[window(0, 20, 0)])),
        ("c", report(now, 1, &[window(0, 20, 0)])),
    ];
    let good = sum(&all, now);
    assert_eq!(good.counts.compared, 60);
    assert_eq!(good.not_reached(), Vec::<String>::new());
    let newest = good.newest(now).unwrap();
    assert_eq!((newest.index, newest.verdict), (0, WindowVerdict::Good));
    assert_eq!(good.waits(now), None);
    // No gateway has enough by itself, and together they do.
    let few = |denied| report(now, 1, &[window(0, 4, denied)]);
    let bad = sum(&[("a", few(1)), ("b", few(0)), ("c", few(0))], now);
    let WindowVerdict::Bad(Evidence { reason, text }) = bad.window(0).verdict else {
        panic!("{bad:?}");
    };
    assert_eq!(reason, "newly-denied");
    assert!(text.contains("1 of 12 pairs"), "{text}");
}

#[test]
fn counts_that_are_missing_are_not_enough_data_and_their_gateways_are_named() {
    let now = after(10_500);
    let (a, b) = (
        report(now, 1, &[window(0, 50, 0)]),
        report(now, 1, &[window(0, 50, 0)]),
    );
    let two = sum(&[("a", a.clone()), ("b", b.clone())], now);
    assert_eq!(two.not_reached(), ["c (c, unreported)"]);
    assert_eq!((two.complete(), two.judged(now)), (0, 0));
    let window_0 = two.window(0);
    assert_eq!(window_0.verdict, WindowVerdict::NotEnoughData);
    assert_eq!(window_0.missing, ["c (c)"]);
    assert!(two.waits(now).unwrap().contains("c (c, unreported)"));
    // Long after its end it is judged without them, and bad counts do not need theirs.
    let late = after(10_000 + ROLLOUT_REPORT_GRACE_MS);
    assert_eq!(two.judged(late), 1);
    let bad = report(now, 1, &[window(0, 50, 25)]);
    let bad = sum(&[("a", a.clone()), ("b", bad)], now).window(0).verdict;
    assert!(matches!(bad, WindowVerdict::Bad(_)), "{bad:?}");
    // One that runs another step is behind; one that has stopped is not waited for.
    let mut behind = report(now, 1, &[window(0, 50, 0)]);
    behind.rollouts.get_mut("r").unwrap().epoch = 2;
    let three = sum(&[("a", a.clone()), ("b", b.clone()), ("c", behind)], now);
    assert_eq!(three.not_reached(), ["c (c, behind)"]);
    assert_eq!(three.counts.compared, 100);
    let stopped = GatewayReport {
        stopped: true,
        ..GatewayReport::default()
    };
    let three = sum(&[("a", a.clone()), ("b", b.clone()), ("c", stopped)], now);
    assert_eq!(three.window(0).verdict, WindowVerdict::Good);
    assert_eq!(three.waits(now), None);
    // One that is silent is named again.
    let gone = report(after(0), 1, &[]);
    let later = after(ROLLOUT_REPORT_SILENT_MS + 1);
    let fresh = |report: &GatewayReport| GatewayReport {
        wall_ms: later.0,
        ..report.clone()
    };
    let three = sum(&[("a", fresh(&a)), ("b", fresh(&b)), ("c", gone)], later);
    assert_eq!(three.not_reached(), ["c (c, silent)"]);
}

#[test]
fn a_window_that_a_gateway_has_not_reported_yet_is_missing_and_an_empty_one_is_not() {
    let now = after(30_500);
    let a = report(now, 3, &[window(0, 50, 0), window(2, 50, 0)]);
    let b = report(now, 3, &[window(2, 50, 0)]);
    let c = report(now, 2, &[window(1, 50, 0)]);
    let all = sum(&[("a", a), ("b", b), ("c", c)], now);
    assert_eq!(all.complete(), 2);
    assert_eq!(all.window(1).missing, Vec::<String>::new());
    assert_eq!(all.window(2).missing, ["c (c)"]);
    let newest = all.newest(now).unwrap();
    assert_eq!((newest.index, newest.verdict), (1, WindowVerdict::Good));
    // What is older than the windows that are kept is not known to have been empty.
    let kept = ROLLOUT_WINDOWS_KEPT_MAX as u64;
    let newest: Vec<_> = (5..5 + kept).map(|index| window(index, 50, 0)).collect();
    let old = report(now, kept + 6, &newest);
    let all = sum(&[("a", old.clone()), ("b", old.clone()), ("c", old)], now);
    assert_eq!(all.window(2).missing.len(), 3);
    assert_eq!(all.window(5 + kept).missing, Vec::<String>::new());
}

#[test]
fn an_automatic_step_says_what_it_waits_for() {
    let at = |ms: u64, windows_over, windows: &[WindowReport]| {
        let now = after(ms);
        let one = report(now, windows_over, windows);
        let all = [("a", one.clone()), ("b", one.clone()), ("c", one)];
        (sum(&all, now), now)
    };
    let (young, now) = at(500, 0, &[]);
    let why = young.waits(now).unwrap();
    assert_eq!(why, "no window of the step is over yet");
    let (idle, now) = at(10_500, 1, &[]);
    let why = idle.waits(now).unwrap();
    assert_eq!(why, "the last window is not-enough-data");
    let (bad, now) = at(10_500, 1, &[window(0, 50, 25)]);
    assert!(
        bad.waits(now)
            .unwrap()
            .starts_with("the last window is bad")
    );
    let (mut good, now) = at(10_500, 1, &[window(0, 50, 0)]);
    assert_eq!(good.waits(now), None);
    good.open.least_ms = 60_000;
    assert_eq!(good.waits(now).unwrap(), "the step lasts 49500 ms more");
    good.open.state.held = true;
    assert_eq!(good.waits(now).unwrap(), "it is held");
    good.open.has_next = false;
    let why = good.waits(now).unwrap();
    assert_eq!(why, "its plan has no further step");
}
