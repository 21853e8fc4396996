//! Patterns of lock names and of texts.

use serde::Deserialize;

/// A pattern of lock names: `*` stands for any text within a segment, a segment `**` for any number
/// of segments, none included. `prod/**` covers `prod` and everything under it.
///
/// Reading one does not check it, for that would be paid by every decision; a policy's `check`
/// calls [`LockPattern::check`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct LockPattern(String);

impl LockPattern {
    /// A pattern of that text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The pattern's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it can be a pattern.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        for segment in self.0.split('/') {
            if segment.is_empty() {
                return Err(format!("lock pattern {:?}: empty segment", self.0));
            }
            if segment.contains(['?', '#']) {
                return Err(format!(
                    "lock pattern {:?}: no lock has ? or # in its name",
                    self.0
                ));
            }
            if segment != "**" && segment.contains("**") {
                return Err(format!(
                    "lock pattern {:?}: ** must be a segment of its own",
                    self.0
                ));
            }
        }
        Ok(())
    }

    /// Whether it covers `lock`. It allocates nothing, and costs at most pattern × name.
    #[must_use]
    pub fn matches(&self, lock: &str) -> bool {
        if !self.may_match(lock) {
            return false;
        }
        let mut segments = self.0.split('/');
        let mut parts = lock.split('/');
        // Where to go on if the rest does not match: the pattern after the last `**`, and the part
        // before which it was tried.
        let mut retry = None;
        loop {
            let before = parts.clone();
            match (segments.next(), parts.next()) {
                (None, None) => return true,
                (Some("**"), _) => {
                    retry = Some((segments.clone(), before.clone()));
                    parts = before;
                    continue;
                }
                (Some(segment), Some(part)) if glob(segment.as_bytes(), part.as_bytes()) => {
                    continue;
                }
                _ => {}
            }
            let Some((after, from)) = &mut retry else {
                return false;
            };
            if from.next().is_none() {
                return false;
            }
            segments = after.clone();
            parts = from.clone();
        }
    }
}

impl LockPattern {
    /// Most patterns of a list are told apart by how they begin. A slash is no difference yet, for
    /// `a/**` covers `a`.
    fn may_match(&self, lock: &str) -> bool {
        let pattern = self.0.as_bytes();
        let mut pairs = pattern.iter().zip(lock.as_bytes());
        let same = pairs.position(|(ours, theirs)| ours != theirs || *ours == b'*');
        let same = same.unwrap_or(pattern.len().min(lock.len()));
        let differs = pattern.get(same);
        differs.is_none_or(|byte| matches!(byte, b'*' | b'/'))
    }
}

/// A pattern of one-line texts, such as a ticket's number: `*` stands for any text, `?` for any one
/// byte, `#` for one digit. `CHG-####*` covers `CHG-1234` and `CHG-12345`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct TextPattern(String);

impl TextPattern {
    /// A pattern of that text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The pattern's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it covers the whole of `text`.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        glob(self.0.as_bytes(), text.as_bytes())
    }

    /// The first word of `text` that it covers; a word ends at a space or punctuation that a ticket
    /// does not have.
    #[must_use]
    pub fn find<'a>(&self, text: &'a str) -> Option<&'a str> {
        let parts = |c: char| c.is_whitespace() || ",;:()[]{}\"'".contains(c);
        let mut words = text.split(parts).map(|word| word.trim_end_matches('.'));
        words.find(|word| !word.is_empty() && self.matches(word))
    }
}

/// Leftmost first with one remembered star, so that the cost is at most pattern × text.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p + 1, t));
                p += 1;
            }
            Some(byte) if fits(*byte, text[t]) => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((after, from)) = &mut star else {
                    return false;
                };
                *from += 1;
                (p, t) = (*after, *from);
            }
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

fn fits(pattern: u8, byte: u8) -> bool {
    match pattern {
        b'?' => true,
        b'#' => byte.is_ascii_digit(),
        _ => pattern == byte,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stay_inside_a_segment_and_double_stars_cross() {
        for (pattern, lock, expected) in [
            ("**", "a/b/c", true),
            ("a", "a", true),
            ("a", "a/b", false),
            ("a/b", "a", false),
            ("a/*", "a/b", true),
            ("a/*", "a", false),
            ("a/*", "a/b/c", false),
            ("a/**", "a/b/c", true),
            ("a/**", "a", true),
            ("a/**", "ab", false),
            ("**/c", "a/b/c", true),
            ("**/c", "c", true),
            ("**/c/**", "a/c", true),
            ("**/b/**/d", "a/b/c/b/x/d", true),
            ("**/b/**/d", "a/c/d", false),
            ("job-*-x", "job-1-x", true),
            ("job-*-x", "job-x", false),
            ("*b*b", "ab", false),
            ("*b*b", "abab", true),
            ("prod/*", "prodx/a", false),
        ] {
            assert_eq!(
                LockPattern::new(pattern).matches(lock),
                expected,
                "{pattern} on {lock}"
            );
        }
    }

    #[test]
    fn a_hostile_pattern_is_not_exponential() {
        let pattern = LockPattern::new(&format!("{}z", "**/*a*/".repeat(70)));
        assert!(!pattern.matches(&"a/".repeat(250)[..499]));
    }

    #[test]
    fn a_ticket_is_found_in_a_reason() {
        let ticket = TextPattern::new("CHG-####*");
        assert_eq!(
            ticket.find("stuck since 9, see CHG-12345."),
            Some("CHG-12345")
        );
        assert_eq!(ticket.find("(CHG-1234)"), Some("CHG-1234"));
        assert_eq!(ticket.find("CHG-12 is too short"), None);
        assert_eq!(ticket.find(""), None);
        assert!(!ticket.matches("x CHG-1234"));
    }

    #[test]
    fn bad_patterns_are_told() {
        for bad in ["", "a//b", "/a", "a/", "a**", "a/**b", "a?"] {
            assert!(LockPattern::new(bad).check().is_err(), "{bad:?}");
        }
        assert_eq!(LockPattern::new("a/**/b*").check(), Ok(()));
    }
}
