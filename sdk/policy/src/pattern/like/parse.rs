//! Reads patterns.

use std::iter::Enumerate;
use std::iter::Peekable;
use std::str::Chars;

use super::Part;
use super::Set;

/// How many parts a pattern may have: one bit of 64 is for its end.
pub(super) const PARTS_MAX: usize = 63;

/// The characters that mean something, or may one day.
const SPECIAL: &str = "*?#[]+-^\\$(){}|";

/// Why a text is not a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mistake {
    /// The character, counted from 1.
    pub(super) at: usize,
    pub(super) problem: &'static str,
}

/// Reads a pattern.
pub(super) fn parse(text: &str) -> Result<Vec<Part>, Mistake> {
    let mut parser = Parser {
        rest: text.chars().enumerate().peekable(),
    };
    let mut parts: Vec<Part> = Vec::new();
    while let Some((at, c)) = parser.rest.next() {
        let mistake = |problem| mistake(at, problem);
        let set = match c {
            '*' if parts.last().is_some_and(|last| last.set == Set::Text) => continue,
            '*' => Set::Text,
            '?' => Set::Any,
            '#' => Set::Digit,
            '[' => parser.class(at)?,
            '+' => {
                let last = parts.last_mut();
                let last = last.ok_or_else(|| mistake("nothing stands before the `+`"))?;
                if last.repeated || last.set == Set::Text {
                    return Err(mistake("what stands before this `+` is repeated already"));
                }
                last.repeated = true;
                continue;
            }
            '\\' => Set::One(parser.escaped(at)?),
            ']' => return Err(mistake("no class is open; write `\\]` for the bracket")),
            '^' | '$' => {
                let problem = "a pattern covers whole texts; write `\\` before ^ or $ themselves";
                return Err(mistake(problem));
            }
            '(' | ')' | '{' | '}' | '|' => {
                let problem = "there are no groups, counts or alternatives; write `\\` before it";
                return Err(mistake(problem));
            }
            other => Set::One(other),
        };
        if parts.len() == PARTS_MAX {
            return Err(mistake("the pattern has more than 63 parts"));
        }
        parts.push(Part {
            set,
            repeated: false,
        });
    }
    Ok(parts)
}

fn mistake(at: usize, problem: &'static str) -> Mistake {
    Mistake {
        at: at + 1,
        problem,
    }
}

#[derive(Debug)]
struct Parser<'a> {
    rest: Peekable<Enumerate<Chars<'a>>>,
}

impl Parser<'_> {
    /// The character after a backslash, which stands at `at`.
    fn escaped(&mut self, at: usize) -> Result<char, Mistake> {
        match self.rest.next() {
            Some((_, c)) if SPECIAL.contains(c) => Ok(c),
            Some(_) => {
                let problem = "only * ? # [ ] + - ^ \\ $ ( ) { } | may follow a backslash";
                Err(mistake(at, problem))
            }
            None => Err(mistake(at, "nothing follows the backslash")),
        }
    }

    /// A class, whose bracket stands at `open`.
    fn class(&mut self, open: usize) -> Result<Set, Mistake> {
        let unclosed = mistake(open, "the class is not closed");
        let excluded = self.rest.next_if(|(_, c)| *c == '^').is_some();
        let mut ranges = Vec::new();
        loop {
            let (at, c) = self.rest.next().ok_or_else(|| unclosed.clone())?;
            let from = match c {
                ']' if ranges.is_empty() => return Err(mistake(open, "the class is empty")),
                ']' => return Ok(Set::Class { excluded, ranges }),
                _ => self.member(at, c)?,
            };
            let before_dash = self.rest.clone();
            if c == '-' || self.rest.next_if(|(_, c)| *c == '-').is_none() {
                ranges.push((from, from));
                continue;
            }
            let (end_at, end) = self.rest.next().ok_or_else(|| unclosed.clone())?;
            if end == ']' {
                // The dash is the last member and stands for itself.
                self.rest = before_dash;
                ranges.push((from, from));
                continue;
            }
            let to = self.member(end_at, end)?;
            if !is_range(from, to) {
                let problem = "a range runs upwards, within A-Z, a-z, 0-9 or beyond ASCII";
                return Err(mistake(at, problem));
            }
            ranges.push((from, to));
        }
    }

    /// A character of a class, where some stand for themselves.
    fn member(&mut self, at: usize, c: char) -> Result<char, Mistake> {
        match c {
            '\\' => self.escaped(at),
            '[' => Err(mistake(at, "write `\\[` for a bracket in a class")),
            other => Ok(other),
        }
    }
}

/// A range such as `A-z` would hold characters that nobody thinks of.
fn is_range(from: char, to: char) -> bool {
    let kinds: [fn(&char) -> bool; 4] = [
        char::is_ascii_uppercase,
        char::is_ascii_lowercase,
        char::is_ascii_digit,
        |c| !c.is_ascii(),
    ];
    from <= to && kinds.iter().any(|is| is(&from) && is(&to))
}
