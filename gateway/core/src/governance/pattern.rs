//! Patterns of lock names: `*` inside a segment, `**` across segments.

use leasehold_domain::LockName;

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LockPattern {
    /// `**`: every lock.
    All,
    /// Anything else, matched segment by segment.
    Segments(Vec<Segment>),
}

/// One segment of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Segment {
    /// `**`: any number of segments, none included.
    Any,
    /// Text parts between `*`s.
    Glob(Vec<String>),
}

impl LockPattern {
    /// Reads a pattern; the error is for the binding's author.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text == "**" {
            return Ok(Self::All);
        }
        if text.is_empty() || text.len() > leasehold_domain::limits::LOCK_NAME_BYTES_MAX {
            return Err(format!("lock pattern {text:?}: must be 1 to 512 bytes"));
        }
        let segment = |part: &str| match part {
            "" => Err(format!("lock pattern {text:?}: empty segment")),
            "**" => Ok(Segment::Any),
            part if part.contains("**") => Err(format!(
                "lock pattern {text:?}: ** must be a segment of its own"
            )),
            part => Ok(Segment::Glob(part.split('*').map(str::to_owned).collect())),
        };
        text.split('/')
            .map(segment)
            .collect::<Result<_, _>>()
            .map(Self::Segments)
    }

    /// Whether the pattern covers `lock`.
    pub(crate) fn matches(&self, lock: &LockName) -> bool {
        match self {
            Self::All => true,
            Self::Segments(segments) => {
                let parts: Vec<&str> = lock.as_str().split('/').collect();
                matches_from(segments, &parts)
            }
        }
    }
}

/// Matches greedily with one remembered `**`, so that the cost is bounded by pattern × name.
fn matches_from(segments: &[Segment], parts: &[&str]) -> bool {
    let (mut s, mut p) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while p < parts.len() {
        match segments.get(s) {
            Some(Segment::Any) => {
                retry = Some((s + 1, p));
                s += 1;
                continue;
            }
            Some(Segment::Glob(glob)) if glob_matches(glob, parts[p]) => {
                s += 1;
                p += 1;
                continue;
            }
            _ => {}
        }
        match retry.as_mut() {
            Some((after, from)) => {
                *from += 1;
                (s, p) = (*after, *from);
            }
            None => return false,
        }
    }
    segments[s..].iter().all(|segment| *segment == Segment::Any)
}

/// Matches one segment against the texts between its stars, leftmost first.
fn glob_matches(texts: &[String], part: &str) -> bool {
    let [first, middle @ .., last] = texts else {
        return texts.first().is_some_and(|only| only == part);
    };
    let Some(mut rest) = part.strip_prefix(first.as_str()) else {
        return false;
    };
    for text in middle {
        let Some(at) = rest.find(text.as_str()) else {
            return false;
        };
        rest = &rest[at + text.len()..];
    }
    rest.len() >= last.len() && rest.ends_with(last.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, lock: &str) -> bool {
        LockPattern::parse(pattern)
            .unwrap()
            .matches(&lock.parse().unwrap())
    }

    #[test]
    fn stars_stay_inside_a_segment_and_double_stars_cross() {
        for (pattern, lock, expected) in [
            ("**", "a/b/c", true),
            ("a", "a", true),
            ("a", "a/b", false),
            ("a/*", "a/b", true),
            ("a/*", "a/b/c", false),
            ("a/**", "a/b/c", true),
            ("a/**", "a", true),
            ("**/c", "a/b/c", true),
            ("**/b/**/d", "a/b/c/b/x/d", true),
            ("**/b/**/d", "a/c/d", false),
            ("job-*-x", "job-1-x", true),
            ("job-*-x", "job-x", false),
            ("*b*b", "ab", false),
            ("*b*b", "abab", true),
            ("prod/*", "prodx/a", false),
        ] {
            assert_eq!(matches(pattern, lock), expected, "{pattern} on {lock}");
        }
    }

    #[test]
    fn bad_patterns_are_refused() {
        for bad in ["", "a//b", "/a", "a**", "a/**b"] {
            assert!(LockPattern::parse(bad).is_err(), "{bad:?}");
        }
    }
}
