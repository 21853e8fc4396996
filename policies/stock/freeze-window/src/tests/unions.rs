use super::*;

const WEEKEND: &str = r#"{ "name": "weekend", "weekly": { "from": "sat 00:00", "until": "mon 08:00" },
    "message": "ask on Monday" }"#;
const YEAR_END: &str = r#"{ "name": "year-end", "from": "2026-12-21T08:00:00Z",
    "until": "2027-01-04T06:00:00Z", "message": "ask next year" }"#;

fn told(config: &Config, now: &str) -> String {
    denied(config, now).unwrap().message
}

#[test]
fn a_freeze_that_touches_the_next_ends_with_it() {
    // The weekend ends at the moment when the freeze of the year's end begins.
    let both = windows(&format!("{WEEKEND}, {YEAR_END}"));
    assert_eq!(
        end(&both, "2026-12-20T00:00:00Z").as_deref(),
        Some("2027-01-04T08:00:00Z")
    );
    let message = "frozen by `weekend`, then `year-end`, then `weekend` until 2027-01-04T08:00:00Z: \
                   ask on Monday";
    assert_eq!(told(&both, "2026-12-20T00:00:00Z"), message);
}

#[test]
fn of_freezes_that_overlap_the_one_that_ends_last_is_told() {
    let both = windows(&format!("{WEEKEND}, {YEAR_END}"));
    let message = "frozen by `year-end`, then `weekend` until 2027-01-04T08:00:00Z: ask next year";
    assert_eq!(told(&both, "2026-12-27T00:00:00Z"), message);
}

#[test]
fn a_gap_ends_the_freeze() {
    let later = YEAR_END.replace("T08:00:00Z", "T08:00:01Z");
    let both = windows(&format!("{WEEKEND}, {later}"));
    assert_eq!(
        end(&both, "2026-12-20T00:00:00Z").as_deref(),
        Some("2026-12-21T08:00:00Z")
    );
}

#[test]
fn windows_that_except_the_caller_do_not_lengthen_the_freeze() {
    let excepted = YEAR_END.replace('}', r#", "exceptions": [{ "team": "web" }] }"#);
    let both = windows(&format!("{WEEKEND}, {excepted}"));
    assert_eq!(
        end(&both, "2026-12-20T00:00:00Z").as_deref(),
        Some("2026-12-21T08:00:00Z")
    );
}

#[test]
fn the_end_of_a_freeze_that_does_not_end_is_told_as_far_as_it_was_looked_for() {
    let week = r#"{ "name": "week", "weekly": { "from": "mon 08:00", "until": "sat 00:00" } }"#;
    let always = windows(&format!("{WEEKEND}, {week}"));
    let message = told(&always, "2026-12-20T00:00:00Z");
    let beginning =
        "frozen by `weekend`, then `week`, then `weekend` and so on until at least 2027-12-";
    assert!(message.starts_with(beginning), "{message}");
    assert!(message.ends_with(": ask on Monday"), "{message}");
}

#[test]
fn a_holiday_before_a_weekend_is_one_freeze_with_it() {
    let config = config(
        r#"{ "calendars": { "holidays": ["12-25", "12-26"] },
             "windows": [
               { "name": "holidays", "time_zone": "Europe/Berlin", "calendars": ["holidays"] },
               { "name": "weekend", "time_zone": "Europe/Berlin",
                 "weekly": { "from": "fri 18:00", "until": "mon 06:00" } } ] }"#,
    );
    // Christmas 2026 is a Friday.
    on_between(&config, "2026-12-24T23:00:00Z", "2026-12-28T05:00:00Z");
}
