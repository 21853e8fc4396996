//! The time zones by their names.

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

fn rule(name: &str) -> Option<&'static str> {
    let mut rest = TABLE;
    while !rest.is_empty() {
        let middle = rest.floor_char_boundary(rest.len() / 2);
        let from = rest[..middle].rfind('\n').map_or(0, |at| at + 1);
        let line = &rest[from..];
        let length = line.find('\n').map_or(line.len(), |at| at + 1);
        let (known, rule) = line[..length].trim_end().split_once(' ')?;
        rest = match name.cmp(known) {
            std::cmp::Ordering::Equal => return Some(rule),
            std::cmp::Ordering::Less => &rest[..from],
            std::cmp::Ordering::Greater => &rest[from + length..],
        };
    }
    None
}

/// The name that differs least, if it is only a little. The last part alone counts as well.
fn near(name: &str) -> Option<&'static str> {
    let name = folded(name);
    let distances = TABLE.lines().filter_map(|line| {
        let (known, _) = line.split_once(' ')?;
        let whole = folded(known);
        let last = whole.rsplit('/').next().unwrap_or(&whole);
        Some((distance(&name, &whole).min(distance(&name, last)), known))
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
