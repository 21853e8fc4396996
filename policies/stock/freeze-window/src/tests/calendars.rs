use super::*;

fn yearly(from: &str, until: &str) -> Config {
    windows(&format!(
        r#"{{ "name": "y", "time_zone": "Europe/Berlin", "yearly": {{ "from": "{from}", "until": "{until}" }} }}"#
    ))
}

#[test]
fn a_yearly_window_wraps_round_the_years_end() {
    let year_end = yearly("12-19 17:00", "01-04 06:00");
    on_between(&year_end, "2026-12-19T16:00:00Z", "2027-01-04T05:00:00Z");
    on_between(&year_end, "2031-12-19T16:00:00Z", "2032-01-04T05:00:00Z");
    let summer = yearly("07-01 00:00", "08-01 00:00");
    on_between(&summer, "2027-06-30T22:00:00Z", "2027-07-31T22:00:00Z");
    // New Year begins in Berlin while it is still the old year in UTC.
    let new_year = yearly("01-01 00:00", "01-01 12:00");
    on_between(&new_year, "2026-12-31T23:00:00Z", "2027-01-01T11:00:00Z");
}

#[test]
fn the_29th_of_february_is_nothing_in_other_years() {
    let to = yearly("02-20 00:00", "02-29 12:00");
    on_between(&to, "2028-02-19T23:00:00Z", "2028-02-29T11:00:00Z");
    on_between(&to, "2027-02-19T23:00:00Z", "2027-02-28T23:00:00Z");
    let from = yearly("02-29 12:00", "03-02 00:00");
    on_between(&from, "2028-02-29T11:00:00Z", "2028-03-01T23:00:00Z");
    on_between(&from, "2027-02-28T23:00:00Z", "2027-03-01T23:00:00Z");
    let within = yearly("02-29 08:00", "02-29 18:00");
    on_between(&within, "2028-02-29T07:00:00Z", "2028-02-29T17:00:00Z");
    assert_eq!(end(&within, "2027-02-28T23:00:00Z"), None);
    assert_eq!(end(&within, "2027-03-01T10:00:00Z"), None);
}

fn calendar(days: &str, zone: &str) -> Config {
    config(&format!(
        r#"{{ "calendars": {{ "off": [{days}], "other": [] }},
              "windows": [{{ "name": "c", "time_zone": "{zone}", "calendars": ["other", "off"] }}] }}"#
    ))
}

#[test]
fn the_days_of_a_calendar_are_frozen_from_midnight_to_midnight() {
    let days = r#""2026-12-25", "2027-03-28", "2027-10-31", "2027-05-01/2027-05-03""#;
    let berlin = calendar(days, "Europe/Berlin");
    on_between(&berlin, "2026-12-24T23:00:00Z", "2026-12-25T23:00:00Z");
    on_between(&berlin, "2027-04-30T22:00:00Z", "2027-05-03T22:00:00Z");
    // Days of 23 and of 25 hours.
    on_between(&berlin, "2027-03-27T23:00:00Z", "2027-03-28T22:00:00Z");
    on_between(&berlin, "2027-10-30T22:00:00Z", "2027-10-31T23:00:00Z");
    let tokyo = calendar(days, "Asia/Tokyo");
    on_between(&tokyo, "2026-12-24T15:00:00Z", "2026-12-25T15:00:00Z");
}

#[test]
fn days_without_a_year_are_those_of_every_year() {
    let days = calendar(r#""12-30/01-02", "05-01", "02-29""#, "UTC");
    for (from, until) in [
        ("2026-12-30T00:00:00Z", "2027-01-03T00:00:00Z"),
        ("2030-05-01T00:00:00Z", "2030-05-02T00:00:00Z"),
        ("2028-02-29T00:00:00Z", "2028-03-01T00:00:00Z"),
    ] {
        on_between(&days, from, until);
    }
    assert_eq!(end(&days, "2027-02-28T23:59:59Z"), None);
    assert_eq!(end(&days, "2027-03-01T00:00:00Z"), None);
    let to_leap_day = calendar(r#""02-27/02-29""#, "UTC");
    on_between(&to_leap_day, "2027-02-27T00:00:00Z", "2027-03-01T00:00:00Z");
    on_between(&to_leap_day, "2028-02-27T00:00:00Z", "2028-03-01T00:00:00Z");
}

#[test]
fn days_that_cannot_be_are_found_when_bound() {
    for (days, told) in [
        ("2026-02-29", "no such day"),
        ("02-30", "no such day"),
        ("2026-12-31/2026-12-30", "before the first"),
        ("2026-12-31/01-02", "must be a day"),
        ("1969-12-31", "no such day"),
    ] {
        let problem = refusal(&format!(r#"{{ "calendars": {{ "a": ["{days}"] }} }}"#));
        assert!(
            problem.contains(told) && problem.contains(days),
            "{problem}"
        );
    }
}
