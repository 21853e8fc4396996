use super::*;

const YEAR_END: &str = r#""name": "year-end", "locks": ["prod/**"], "from": "2026-12-19T17:00:00Z",
    "until": "2027-01-04T06:00:00Z", "message": "ask release management""#;

fn year_end(more: &str) -> Config {
    windows(&format!("{{ {YEAR_END} {more} }}"))
}

fn weekend(utc_offset: &str) -> Config {
    windows(&format!(
        r#"{{ "name": "weekend", "weekly": {{ "from": "fri 16:00", "until": "mon 08:00",
            "utc_offset": "{utc_offset}" }} }}"#
    ))
}

#[test]
fn an_absolute_window_includes_its_beginning_and_not_its_end() {
    on_between(
        &year_end(""),
        "2026-12-19T17:00:00Z",
        "2027-01-04T06:00:00Z",
    );
}

#[test]
fn the_denial_names_the_window_its_end_and_when_to_ask_again() {
    let message = "frozen by `year-end` until 2027-01-04T06:00:00Z: ask release management";
    assert_eq!(
        denied(&year_end(""), "2027-01-04T05:00:00Z"),
        Some(Denial {
            code: "frozen".to_owned(),
            message: message.to_owned(),
            retry_after_ms: Some(3_600_000),
        })
    );
}

#[test]
fn other_locks_are_free() {
    let other = windows(&format!("{{ {} }}", YEAR_END.replace("prod/**", "test/**")));
    assert_eq!(denied(&other, "2026-12-24T00:00:00Z"), None);
}

#[test]
fn a_weekly_window_wraps_round_the_weeks_end() {
    // 2026-11-20 was a Friday.
    let weekend = weekend("+00:00");
    on_between(&weekend, "2026-11-20T16:00:00Z", "2026-11-23T08:00:00Z");
    assert_eq!(end(&weekend, "2026-11-25T12:00:00Z"), None);
}

#[test]
fn a_weekly_window_goes_by_the_clock_of_its_offset() {
    on_between(
        &weekend("+02:00"),
        "2026-11-20T14:00:00Z",
        "2026-11-23T06:00:00Z",
    );
    on_between(
        &weekend("-05:30"),
        "2026-11-20T21:30:00Z",
        "2026-11-23T13:30:00Z",
    );
}

#[test]
fn a_weekly_window_within_the_week() {
    let tuesday = r#"{ "name": "a", "weekly": { "from": "tue 09:00", "until": "tue 10:00" } }"#;
    let tuesday = windows(tuesday);
    on_between(&tuesday, "2026-11-24T09:00:00Z", "2026-11-24T10:00:00Z");
    assert_eq!(end(&tuesday, "2026-11-25T09:30:00Z"), None);
}

/// Whether a caller passes the freeze at the year's end with this exception.
fn passes(exception: &str, principal: &Principal, labels: Pairs) -> bool {
    let config = year_end(&format!(r#", "exceptions": [{exception}]"#));
    decide(&config, principal, labels, "2026-12-24T00:00:00Z") == Verdict::allow()
}

#[test]
fn an_exception_needs_all_that_it_names() {
    let deploy = Principal::new("svc-deploy", Some("web"));
    let labelled = |value| Pairs::from([("ticket", value)]);
    let ticket = r#"{ "team": "web", "labels": { "ticket": "CHG-####" } }"#;
    assert!(passes(ticket, &deploy, labelled("CHG-1234")));
    assert!(!passes(ticket, &deploy, labelled("CHG-12")));
    assert!(!passes(ticket, &deploy, Pairs::default()));
    assert!(!passes(
        &ticket.replace("web", "search"),
        &deploy,
        labelled("CHG-1234")
    ));
    let like = r#"{ "labels": { "ticket": { "like": "[A-Z]+-[0-9]+" } } }"#;
    assert!(passes(like, &deploy, labelled("OPS-7")));
    assert!(!passes(like, &deploy, labelled("OPS-")));
    assert!(passes(
        r#"{ "subject": "svc-deploy" }"#,
        &deploy,
        Pairs::default()
    ));
    assert!(!passes(
        r#"{ "subject": "somebody" }"#,
        &deploy,
        Pairs::default()
    ));
    assert!(!passes("{}", &deploy, Pairs::default()));
}

#[test]
fn an_exception_can_be_for_a_role() {
    let mut release = Principal::new("ann", Some("web"));
    release.roles.push("release-manager".to_owned());
    let role = r#"{ "role": "release-manager" }"#;
    assert!(passes(role, &release, Pairs::default()));
    assert!(!passes(
        role,
        &Principal::new("ann", Some("web")),
        Pairs::default()
    ));
    let both = r#"{ "role": "release-manager", "team": "search" }"#;
    assert!(!passes(both, &release, Pairs::default()));
}

#[test]
fn windows_that_cannot_be_are_found_when_bound() {
    for (window, told) in [
        (
            r#""from": "2027-01-02T00:00:00Z", "until": "2027-01-01T00:00:00Z""#,
            "before it begins",
        ),
        (r#""from": "2027-01-02T00:00:00Z""#, "it needs one of"),
        (
            r#""weekly": { "from": "fri 16:00", "until": "fri 16:00" }"#,
            "must not end",
        ),
        (
            r#""yearly": { "from": "01-01 00:00", "until": "01-01 00:00" }"#,
            "must not end",
        ),
        (
            r#""yearly": { "from": "02-30 00:00", "until": "03-01 00:00" }"#,
            "a time of the year",
        ),
        (
            r#""yearly": { "from": "01-01 00:00", "until": "01-02 00:00" }, "calendars": ["a"]"#,
            "it needs one of",
        ),
        (
            r#""calendars": ["holidays"]"#,
            "there is no calendar `holidays`",
        ),
        (
            r#""from": "2027-01-01 00:00", "until": "2027-01-02 00:00""#,
            "needs a `time_zone`",
        ),
        (
            r#""time_zone": "Europe/Berlin",
               "weekly": { "from": "fri 16:00", "until": "mon 08:00", "utc_offset": "+01:00" }"#,
            "not both",
        ),
        (
            r#""time_zone": "Europe/Berln", "weekly": { "from": "fri 16:00", "until": "mon 08:00" }"#,
            "there is no time zone `Europe/Berln`; is it `Europe/Berlin`?",
        ),
        (
            r#""weekly": { "from": "fri 16:00", "until": "mon 08:00" },
               "exceptions": [{ "labels": { "ticket": { "like": "[A-Z" } } }]"#,
            "character 1: the class is not closed",
        ),
    ] {
        let json = format!(r#"{{ "windows": [{{ "name": "year-end", {window} }}] }}"#);
        let problem = refusal(&json);
        assert!(problem.contains(told), "{json}: {problem}");
    }
}
