//! The time zones by their names.

use std::cmp::Ordering;

use crate::zone::Zone;

/// Names and rules, one zone on a line, in the order of the names' bytes; made from the IANA time zone
/// database by the test `the_table_is_that_of_the_database`. A zone with `!` has no rule that holds.
const TABLE: &str = include_str!("zones.txt");

/// How much a name may differ from one that is offered instead.
const NEAR_MAX: usize = 3;

/// The zone of that name.
///
/// # Errors
/// That there is none, with the name of one that is meant perhaps.
pub(crate) fn find(name: &str) -> Result<Zone, String> {
    match rule(name) {
        Some("!") => Err(format!(
            "the clocks of `{name}` are changed by no rule that this policy can keep; use \
             `utc_offset`, or times in UTC"
        )),
        Some(rule) => {
            Zone::of_rule(rule).ok_or_else(|| format!("the rule of `{name}` cannot be read"))
        }
        None => Err(match near(name) {
            Some(near) => format!("there is no time zone `{name}`; is it `{near}`?"),
            None => format!("there is no time zone `{name}`; write one like `Europe/Berlin`"),
        }),
    }
}

/// Where each line of the table begins: a search by halves looks at ten lines.
const STARTS: [u16; lines()] = starts();

const fn lines() -> usize {
    let mut lines = 0;
    let mut at = 0;
    while at < TABLE.len() {
        lines += (TABLE.as_bytes()[at] == b'\n') as usize;
        at += 1;
    }
    lines
}

const fn starts() -> [u16; lines()] {
    assert!(TABLE.len() <= u16::MAX as usize, "a wider number is needed");
    let mut starts = [0; lines()];
    let mut line = 1;
    let mut at = 0;
    while line < starts.len() {
        if TABLE.as_bytes()[at] == b'\n' {
            starts[line] = (at + 1) as u16;
            line += 1;
        }
        at += 1;
    }
    starts
}

/// The rule of the zone of that name.
fn rule(name: &str) -> Option<&'static str> {
    let line = |start: &u16| {
        TABLE
            .as_bytes()
            .get(usize::from(*start)..)
            .unwrap_or_default()
    };
    let found = STARTS.binary_search_by(|start| order(line(start), name.as_bytes()));
    let from = usize::from(STARTS[found.ok()?]) + name.len() + 1;
    TABLE.get(from..)?.split('\n').next()
}

/// How a line's name, which ends with a space, stands to another. A space is less than any character
/// of a name.
fn order(line: &[u8], name: &[u8]) -> Ordering {
    for (own, other) in line.iter().zip(name) {
        match own.cmp(other) {
            // No name goes on behind a space.
            Ordering::Equal if *own != b' ' => {}
            Ordering::Equal => return Ordering::Less,
            differs => return differs,
        }
    }
    line.get(name.len()).unwrap_or(&b' ').cmp(&b' ')
}

/// The name that differs least, if it is only a little. The last part alone counts nearly as well.
fn near(name: &str) -> Option<&'static str> {
    let name = folded(name);
    let distances = TABLE.lines().filter_map(|line| {
        let (known, _) = line.split_once(' ')?;
        let whole = folded(known);
        let last = whole.rsplit('/').next().unwrap_or(&whole);
        Some((
            distance(&name, &whole).min(distance(&name, last) + 1),
            known,
        ))
    });
    let (distance, near) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= NEAR_MAX.min(name.len() / 2)).then_some(near)
}

fn folded(name: &str) -> String {
    name.trim().to_ascii_lowercase().replace([' ', '-'], "_")
}

/// How many characters must be put in, left out or changed; more than [`NEAR_MAX`] is not counted.
fn distance(a: &str, b: &str) -> usize {
    if a.len().abs_diff(b.len()) > NEAR_MAX {
        return NEAR_MAX + 1;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, own) in a.bytes().enumerate() {
        let mut before = std::mem::replace(&mut row[0], i + 1);
        for (j, other) in b.bytes().enumerate() {
            let changed = before + usize::from(own != other);
            before = row[j + 1];
            row[j + 1] = changed.min(before + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
