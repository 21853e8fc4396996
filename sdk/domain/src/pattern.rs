//! Whether a pattern of lock names can match any lock. `*` stands for any text within a segment, a
//! segment `**` for any number of segments.

use crate::limits;

/// Why no valid lock name matches a pattern. The message is safe to show to the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeadPattern {
    /// There is no text.
    #[error("the pattern is empty; ** covers all locks")]
    Empty,
    /// The pattern has more bytes than a lock name may have.
    #[error("the pattern has {0} bytes; at most {max} are allowed", max = limits::LOCK_NAME_BYTES_MAX)]
    TooLong(usize),
    /// Two slashes in a row, or one at an end.
    #[error("it has an empty segment, and a lock name has none: no / at the ends, no //")]
    EmptySegment,
    /// `**` together with other text in one segment.
    #[error("** must be a segment of its own, not {0:?}; within a segment * is the wildcard")]
    PartialDoubleStar(String),
    /// A byte outside the alphabet of lock names.
    #[error(
        "no lock name holds {0:?}: a name holds only A-Z a-z 0-9 . _ ~ @ + = - and /, and the only \
         wildcards are * (within a segment) and ** (a whole segment)"
    )]
    Character(char),
    /// `.` or `..` as a segment.
    #[error("no lock name has the segment {0:?}")]
    Dots(String),
}

/// Checks that a lock pattern matches at least one valid lock name.
///
/// # Errors
/// Why it matches none.
pub fn check_lock_pattern(text: &str) -> Result<(), DeadPattern> {
    shortest_match(text).map(drop)
}

/// The shortest lock name that a pattern matches. It is never longer than the pattern.
fn shortest_match(text: &str) -> Result<String, DeadPattern> {
    if text.is_empty() {
        return Err(DeadPattern::Empty);
    }
    if text.len() > limits::LOCK_NAME_BYTES_MAX {
        return Err(DeadPattern::TooLong(text.len()));
    }
    let shortest: Vec<String> = text
        .split('/')
        .filter_map(|segment| shortest_segment(segment).transpose())
        .collect::<Result<_, _>>()?;
    // Nothing but `**` matches every name.
    Ok(match shortest.is_empty() {
        true => "a".to_owned(),
        false => shortest.join("/"),
    })
}

/// The shortest segment that a segment of a pattern matches; `None` for `**`, which needs none.
fn shortest_segment(segment: &str) -> Result<Option<String>, DeadPattern> {
    if segment.is_empty() {
        return Err(DeadPattern::EmptySegment);
    }
    if segment == "**" {
        return Ok(None);
    }
    if segment.contains("**") {
        return Err(DeadPattern::PartialDoubleStar(segment.to_owned()));
    }
    let in_names = |c: char| c.is_ascii_alphanumeric() || "._~@+=-".contains(c);
    if let Some(foreign) = segment.chars().find(|c| *c != '*' && !in_names(*c)) {
        return Err(DeadPattern::Character(foreign));
    }
    let literal = segment.replace('*', "");
    if !matches!(literal.as_str(), "" | "." | "..") {
        return Ok(Some(literal));
    }
    if !segment.contains('*') {
        return Err(DeadPattern::Dots(segment.to_owned()));
    }
    // One wildcard must stand for something, the others for nothing.
    Ok(Some(segment.replacen('*', "a", 1).replace('*', "")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LockName;

    #[test]
    fn a_pattern_that_matches_a_name_is_accepted() {
        let longest = "a".repeat(limits::LOCK_NAME_BYTES_MAX);
        let stars = "*/".repeat(255) + "*";
        for text in [
            "**",
            "**/**",
            "a",
            "a/b",
            "*",
            "*/*",
            "prod/**",
            "**/x",
            "a/**/b",
            "job-*-x",
            ".*",
            "*.",
            "..*",
            "*.*",
            ".hidden",
            "a.b",
            "A~_@+=-.9",
            &longest,
            &stars,
        ] {
            let name = shortest_match(text).unwrap();
            assert!(name.len() <= text.len(), "{name:?} of {text:?}");
            assert!(name.parse::<LockName>().is_ok(), "{name:?} of {text:?}");
        }
    }

    #[test]
    fn a_pattern_that_matches_no_name_says_why() {
        for (text, reason) in [
            ("", DeadPattern::Empty),
            ("/a", DeadPattern::EmptySegment),
            ("a/", DeadPattern::EmptySegment),
            ("a//b", DeadPattern::EmptySegment),
            ("/", DeadPattern::EmptySegment),
            ("prod/{a,b}/**", DeadPattern::Character('{')),
            ("prod/a?", DeadPattern::Character('?')),
            ("prod/[ab]", DeadPattern::Character('[')),
            ("prod/a b", DeadPattern::Character(' ')),
            (" prod/**", DeadPattern::Character(' ')),
            (
                "prod\\**",
                DeadPattern::PartialDoubleStar("prod\\**".to_owned()),
            ),
            ("prod:a", DeadPattern::Character(':')),
            ("!prod/**", DeadPattern::Character('!')),
            ("prod/a|b", DeadPattern::Character('|')),
            ("größe", DeadPattern::Character('ö')),
            ("a\n", DeadPattern::Character('\n')),
            ("prod/a**", DeadPattern::PartialDoubleStar("a**".to_owned())),
            ("***", DeadPattern::PartialDoubleStar("***".to_owned())),
            (".", DeadPattern::Dots(".".to_owned())),
            ("a/../b", DeadPattern::Dots("..".to_owned())),
            ("./**", DeadPattern::Dots(".".to_owned())),
        ] {
            assert_eq!(check_lock_pattern(text), Err(reason), "{text:?}");
        }
        let long = "a".repeat(limits::LOCK_NAME_BYTES_MAX + 1);
        assert_eq!(
            check_lock_pattern(&long),
            Err(DeadPattern::TooLong(limits::LOCK_NAME_BYTES_MAX + 1))
        );
    }
}
