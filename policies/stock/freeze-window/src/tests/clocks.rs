use super::*;

fn weekly(zone: &str, from: &str, until: &str) -> Config {
    windows(&format!(
        r#"{{ "name": "w", "time_zone": "{zone}", "weekly": {{ "from": "{from}", "until": "{until}" }} }}"#
    ))
}

#[test]
fn a_weekly_window_follows_summer_time() {
    let weekend = weekly("Europe/Berlin", "fri 16:00", "mon 08:00");
    on_between(&weekend, "2026-07-03T14:00:00Z", "2026-07-06T06:00:00Z");
    on_between(&weekend, "2026-11-20T15:00:00Z", "2026-11-23T07:00:00Z");
    // Across both changes: of Sunday 2027-03-28 and of Sunday 2027-10-31.
    on_between(&weekend, "2027-03-26T15:00:00Z", "2027-03-29T06:00:00Z");
    on_between(&weekend, "2027-10-29T14:00:00Z", "2027-11-01T07:00:00Z");
}

#[test]
fn south_of_the_equator_summer_is_at_the_years_end() {
    let weekend = weekly("Australia/Sydney", "fri 18:00", "mon 06:00");
    on_between(&weekend, "2027-01-01T07:00:00Z", "2027-01-03T19:00:00Z");
    on_between(&weekend, "2027-07-02T08:00:00Z", "2027-07-04T20:00:00Z");
    on_between(&weekend, "2027-10-01T08:00:00Z", "2027-10-03T19:00:00Z");
}

#[test]
fn a_time_that_is_left_out_is_the_moment_at_which_clocks_are_put_forward() {
    // In Berlin 02:30 is left out on 2027-03-28, in New York on 2027-03-14.
    let from = weekly("Europe/Berlin", "sun 02:30", "sun 12:00");
    on_between(&from, "2027-03-28T01:00:00Z", "2027-03-28T10:00:00Z");
    let until = weekly("Europe/Berlin", "sat 12:00", "sun 02:30");
    on_between(&until, "2027-03-27T11:00:00Z", "2027-03-28T01:00:00Z");
    let west = weekly("America/New_York", "sun 02:15", "sun 12:00");
    on_between(&west, "2027-03-14T07:00:00Z", "2027-03-14T16:00:00Z");
    // All of it is left out: there is no freeze in that week.
    let never = weekly("Europe/Berlin", "sun 02:10", "sun 02:50");
    assert_eq!(end(&never, "2027-03-28T00:59:59Z"), None);
    assert_eq!(end(&never, "2027-03-28T01:00:00Z"), None);
    assert_eq!(end(&never, "2027-03-28T01:30:00Z"), None);
}

#[test]
fn of_a_time_that_comes_twice_the_first_begins_and_the_second_ends() {
    // In Berlin 02:30 comes twice on 2027-10-31, at 00:30 and 01:30 in UTC.
    let from = weekly("Europe/Berlin", "sun 02:30", "sun 12:00");
    on_between(&from, "2027-10-31T00:30:00Z", "2027-10-31T11:00:00Z");
    let until = weekly("Europe/Berlin", "sat 12:00", "sun 02:30");
    on_between(&until, "2027-10-30T10:00:00Z", "2027-10-31T01:30:00Z");
    let both = weekly("Europe/Berlin", "sun 02:10", "sun 02:50");
    on_between(&both, "2027-10-31T00:10:00Z", "2027-10-31T01:50:00Z");
    let west = weekly("America/New_York", "sun 01:30", "sun 12:00");
    on_between(&west, "2027-11-07T05:30:00Z", "2027-11-07T17:00:00Z");
}

#[test]
fn the_denial_tells_the_end_by_the_windows_clock_too() {
    let weekend = weekly("America/New_York", "fri 16:00", "mon 08:00");
    let message = "frozen by `w` until 2026-11-23T13:00:00Z (2026-11-23 08:00 in America/New_York)";
    let denial = denied(&weekend, "2026-11-21T00:00:00Z").unwrap();
    assert_eq!(denial.message, message);
}

#[test]
fn single_moments_can_be_written_by_the_clock_of_a_zone() {
    let window = |until| {
        windows(&format!(
            r#"{{ "name": "w", "time_zone": "Europe/Berlin", "from": "2026-12-19 17:00",
                "until": "{until}" }}"#
        ))
    };
    on_between(
        &window("2027-07-04 06:00"),
        "2026-12-19T16:00:00Z",
        "2027-07-04T04:00:00Z",
    );
    on_between(
        &window("2027-07-04T06:00:00Z"),
        "2026-12-19T16:00:00Z",
        "2027-07-04T06:00:00Z",
    );
}

#[test]
fn a_week_but_for_an_hour_is_frozen_but_for_that_hour() {
    let open_at_night = weekly("Europe/Berlin", "sun 03:00", "sun 02:00");
    on_between(
        &open_at_night,
        "2027-10-24T01:00:00Z",
        "2027-10-31T01:00:00Z",
    );
    assert_eq!(end(&open_at_night, "2027-10-31T01:59:59Z"), None);
    // The windows of two weeks overlap if the free time comes twice.
    let open_within = weekly("Europe/Berlin", "sun 02:45", "sun 02:15");
    let end = end(&open_within, "2027-10-26T00:00:00Z").unwrap();
    assert_eq!(
        end, "2027-11-07T01:15:00Z",
        "the freeze of one week begins before that of the last ends"
    );
}
