//! Patterns with classes and repetition. All ways to match are followed at once, one bit for each,
//! so nothing is ever tried again: the cost is at most the text's length times the pattern's parts.

mod parse;
#[cfg(test)]
mod tests;

use self::parse::parse;

/// A part of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    set: Set,
    /// Whether it may come several times in a row.
    repeated: bool,
}

/// Which characters a part covers.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Set {
    /// Any text, also none.
    Text,
    Any,
    Digit,
    One(char),
    Class {
        excluded: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Set {
    fn has(&self, c: char) -> bool {
        match self {
            Self::Text | Self::Any => true,
            Self::Digit => c.is_ascii_digit(),
            Self::One(own) => *own == c,
            Self::Class { excluded, ranges } => {
                let found = ranges.iter().any(|(from, to)| (*from..=*to).contains(&c));
                found != *excluded
            }
        }
    }
}

/// Whether it can be a pattern.
pub(super) fn check(pattern: &str) -> Result<(), String> {
    parse(pattern).map(drop).map_err(|mistake| {
        let parse::Mistake { at, problem } = mistake;
        format!("pattern {pattern:?}, character {at}: {problem}")
    })
}

/// Whether the pattern covers the whole of `text`. One that [`check`] refuses covers nothing.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    parse(pattern).is_ok_and(|parts| covers(&parts, text))
}

fn covers(parts: &[Part], text: &str) -> bool {
    let is_text = |(at, part): (usize, &Part)| u64::from(part.set == Set::Text) << at;
    let texts: u64 = parts.iter().enumerate().map(is_text).sum();
    // Bit `n` is set if the text so far can be covered by the first `n` parts. The part for any text
    // may also cover none; two of them never follow each other.
    let with_empty_texts = |reached: u64| reached | (reached & texts) << 1;
    let mut reached = with_empty_texts(1);
    for c in text.chars() {
        let mut next = 0;
        let mut left = reached;
        while left != 0 {
            let at = left.trailing_zeros();
            left &= left - 1;
            let Some(part) = parts.get(at as usize).filter(|part| part.set.has(c)) else {
                continue;
            };
            next |= match part {
                Part { set: Set::Text, .. } => 1 << at,
                Part { repeated: true, .. } => 0b11 << at,
                _ => 0b10 << at,
            };
        }
        if next == 0 {
            return false;
        }
        reached = with_empty_texts(next);
    }
    reached >> parts.len() & 1 == 1
}
