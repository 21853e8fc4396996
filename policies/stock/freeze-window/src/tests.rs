use leasehold_policy_sdk::Denial;
use leasehold_policy_sdk::LockPattern;
use leasehold_policy_sdk::Pairs;
use leasehold_policy_sdk::TextPattern;

use super::*;
use crate::week::Weekly;
use crate::window::Exception;

fn time(text: &str) -> UtcTime {
    text.parse().unwrap()
}

fn year_end() -> Window {
    Window {
        name: "year-end".to_owned(),
        locks: Some(vec![LockPattern::new("prod/**")]),
        from: Some(time("2026-12-19T17:00:00Z")),
        until: Some(time("2027-01-04T06:00:00Z")),
        message: Some("ask release management".to_owned()),
        ..Window::default()
    }
}

fn weekend(utc_offset: &str) -> Window {
    Window {
        name: "weekend".to_owned(),
        weekly: Some(Weekly::of("fri 16:00", "mon 08:00", utc_offset)),
        ..Window::default()
    }
}

fn decide(windows: Vec<Window>, lock: &str, now: &str, labels: Pairs) -> Verdict {
    let mut request = Request::new(Operation::Acquire, "demo", lock);
    request.labels = labels;
    let facts = Facts {
        now: time(now),
        ..Facts::default()
    };
    let principal = Principal::new("svc-deploy", Some("web"));
    FreezeWindow::decide(&request, &principal, &facts, &Config { windows }).unwrap()
}

fn frozen(windows: Vec<Window>, now: &str) -> bool {
    decide(windows, "prod/api", now, Pairs::default()).code() == Some("frozen")
}

#[test]
fn an_absolute_window_includes_its_beginning_and_not_its_end() {
    for (now, expected) in [
        ("2026-12-19T16:59:59Z", false),
        ("2026-12-19T17:00:00Z", true),
        ("2027-01-04T05:59:59Z", true),
        ("2027-01-04T06:00:00Z", false),
    ] {
        assert_eq!(frozen(vec![year_end()], now), expected, "{now}");
    }
}

#[test]
fn the_denial_names_the_window_its_end_and_when_to_ask_again() {
    let verdict = decide(
        vec![year_end()],
        "prod/api",
        "2027-01-04T05:00:00Z",
        Pairs::default(),
    );
    let message = "frozen by `year-end` until 2027-01-04T06:00:00Z: ask release management";
    assert_eq!(
        verdict,
        Verdict::Deny(Denial {
            code: "frozen".to_owned(),
            message: message.to_owned(),
            retry_after_ms: Some(3_600_000),
        })
    );
}

#[test]
fn other_locks_are_free() {
    let verdict = decide(
        vec![year_end()],
        "test/api",
        "2026-12-24T00:00:00Z",
        Pairs::default(),
    );
    assert_eq!(verdict, Verdict::allow());
}

#[test]
fn a_weekly_window_wraps_round_the_weeks_end() {
    // 2026-11-20 was a Friday.
    for (now, expected) in [
        ("2026-11-20T15:59:59Z", false),
        ("2026-11-20T16:00:00Z", true),
        ("2026-11-22T23:59:59Z", true),
        ("2026-11-23T07:59:59Z", true),
        ("2026-11-23T08:00:00Z", false),
        ("2026-11-25T12:00:00Z", false),
    ] {
        assert_eq!(frozen(vec![weekend("+00:00")], now), expected, "{now}");
    }
}

#[test]
fn a_weekly_window_goes_by_the_clock_of_its_offset() {
    for (offset, now, expected) in [
        ("+02:00", "2026-11-20T13:59:59Z", false),
        ("+02:00", "2026-11-20T14:00:00Z", true),
        ("+02:00", "2026-11-23T06:00:00Z", false),
        ("-05:30", "2026-11-20T21:29:59Z", false),
        ("-05:30", "2026-11-20T21:30:00Z", true),
        ("-05:30", "2026-11-23T13:29:59Z", true),
    ] {
        assert_eq!(
            frozen(vec![weekend(offset)], now),
            expected,
            "{offset} {now}"
        );
    }
}

#[test]
fn a_weekly_window_within_the_week() {
    let tuesday = || Window {
        weekly: Some(Weekly::of("tue 09:00", "tue 10:00", "+00:00")),
        ..Window::default()
    };
    assert!(frozen(vec![tuesday()], "2026-11-24T09:30:00Z"));
    assert!(!frozen(vec![tuesday()], "2026-11-24T10:00:00Z"));
    assert!(!frozen(vec![tuesday()], "2026-11-25T09:30:00Z"));
}

#[test]
fn of_several_windows_the_one_that_ends_last_is_told() {
    let windows = vec![weekend("+00:00"), year_end()];
    let verdict = decide(
        windows,
        "prod/api",
        "2026-12-19T18:00:00Z",
        Pairs::default(),
    );
    let Verdict::Deny(denial) = verdict else {
        unreachable!("frozen twice")
    };
    assert!(denial.message.contains("year-end"), "{}", denial.message);
}

#[test]
fn an_exception_needs_all_that_it_names() {
    let with = |exception| {
        vec![Window {
            exceptions: vec![exception],
            ..year_end()
        }]
    };
    let ticket = |team: &str| Exception {
        team: Some(team.to_owned()),
        labels: [("ticket".to_owned(), TextPattern::new("CHG-####"))].into(),
        ..Exception::default()
    };
    let now = "2026-12-24T00:00:00Z";
    let labelled = |value| Pairs::from([("ticket", value)]);
    let passes = |windows, labels| decide(windows, "prod/api", now, labels) == Verdict::allow();
    assert!(passes(with(ticket("web")), labelled("CHG-1234")));
    assert!(!passes(with(ticket("web")), labelled("CHG-12")));
    assert!(!passes(with(ticket("web")), Pairs::default()));
    assert!(!passes(with(ticket("search")), labelled("CHG-1234")));
    let subject = |name: &str| Exception {
        subject: Some(name.to_owned()),
        ..Exception::default()
    };
    assert!(passes(with(subject("svc-deploy")), Pairs::default()));
    assert!(!passes(with(subject("somebody")), Pairs::default()));
    assert!(!passes(with(Exception::default()), Pairs::default()));
}

#[test]
fn windows_that_cannot_be_are_found_when_bound() {
    let check = |window| {
        FreezeWindow::check(&Config {
            windows: vec![window],
        })
    };
    assert_eq!(check(year_end()), Ok(()));
    assert_eq!(check(weekend("+14:00")), Ok(()));
    let reversed = Window {
        until: Some(time("2026-01-01T00:00:00Z")),
        ..year_end()
    };
    assert!(check(reversed).unwrap_err().contains("year-end"));
    assert!(
        check(Window {
            until: None,
            ..year_end()
        })
        .is_err()
    );
    let empty = Weekly::of("fri 16:00", "fri 16:00", "+00:00");
    assert!(
        check(Window {
            weekly: Some(empty),
            ..Window::default()
        })
        .is_err()
    );
}
