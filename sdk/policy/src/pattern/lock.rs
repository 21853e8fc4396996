//! Patterns of lock names.

use std::fmt;

use serde::Deserialize;
use serde::Deserializer;
use serde::de::SeqAccess;
use serde::de::Visitor;

use super::glob::glob;

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

/// One lock pattern, or a list of them of which any one may cover a lock. In a configuration it is a
/// text or a list of texts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LockPatterns(Vec<LockPattern>);

impl LockPatterns {
    /// Whether one of them covers `lock`.
    #[must_use]
    pub fn matches(&self, lock: &str) -> bool {
        self.0.iter().any(|pattern| pattern.matches(lock))
    }

    /// Whether each can be a pattern.
    ///
    /// # Errors
    /// What is wrong with the first that cannot.
    pub fn check(&self) -> Result<(), String> {
        self.0.iter().try_for_each(LockPattern::check)
    }

    /// The patterns, in the order in which they were written.
    pub fn iter(&self) -> impl Iterator<Item = &LockPattern> {
        self.0.iter()
    }
}

impl<'a> FromIterator<&'a str> for LockPatterns {
    fn from_iter<I: IntoIterator<Item = &'a str>>(texts: I) -> Self {
        Self(texts.into_iter().map(LockPattern::new).collect())
    }
}

impl<'de> Deserialize<'de> for LockPatterns {
    /// Reads it as a tuple, for which the reader of configurations also takes a text. Reading a value
    /// of any kind would put the reading of fractions into each policy, a fifth of its size.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_tuple_struct("LockPatterns", 1, OneOrMore)
    }
}

struct OneOrMore;

impl<'de> Visitor<'de> for OneOrMore {
    type Value = LockPatterns;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a lock pattern or a list of them")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<LockPatterns, E> {
        Ok(LockPatterns(vec![LockPattern::new(text)]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<LockPatterns, A::Error> {
        let mut patterns = Vec::new();
        while let Some(pattern) = items.next_element()? {
            patterns.push(pattern);
        }
        Ok(LockPatterns(patterns))
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
    fn bad_patterns_are_told() {
        for bad in ["", "a//b", "/a", "a/", "a**", "a/**b", "a?"] {
            assert!(LockPattern::new(bad).check().is_err(), "{bad:?}");
        }
        assert_eq!(LockPattern::new("a/**/b*").check(), Ok(()));
    }
}
