//! Patterns of names, which may hold any character.

use serde::Deserialize;

use super::like;
use super::said::Said;

/// A name such as a subject's, or a pattern of names. A text alone stands for itself, whatever it
/// holds; `{"like": "svc-*"}` is a pattern, see [`crate::TextPattern`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct NamePattern(Said);

impl NamePattern {
    /// The name itself.
    #[must_use]
    pub fn exactly(name: &str) -> Self {
        Self(Said::Plain(name.to_owned()))
    }

    /// A pattern with classes and repetition.
    #[must_use]
    pub fn like(pattern: &str) -> Self {
        Self(Said::Like(pattern.to_owned()))
    }

    /// What was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether it is or covers `name`.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match &self.0 {
            Said::Plain(own) => own == name,
            Said::Like(pattern) => like::matches(pattern, name),
        }
    }

    /// Whether it can be a pattern.
    ///
    /// # Errors
    /// What is wrong with it, and at which character.
    pub fn check(&self) -> Result<(), String> {
        match &self.0 {
            Said::Plain(_) => Ok(()),
            Said::Like(pattern) => like::check(pattern),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_itself_and_a_pattern_for_many() {
        let read = |json| crate::read_config::<NamePattern>(json).unwrap();
        let star = read(r#""svc-*""#);
        assert!(star.matches("svc-*") && !star.matches("svc-a"));
        let services = read(r#"{"like": "svc-*"}"#);
        assert!(services.matches("svc-a") && !services.matches("svd-a"));
        assert_eq!(star.check(), Ok(()));
        assert!(read(r#"{"like": "+"}"#).check().is_err());
    }
}
