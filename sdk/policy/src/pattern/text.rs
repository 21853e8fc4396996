//! Patterns of texts.

use serde::Deserialize;

use super::glob::glob;
use super::like;
use super::said::Said;

/// A pattern of one-line texts, such as a ticket's number.
///
/// In a text alone `*` stands for any text, `?` for any one byte and `#` for one digit; all else
/// stands for itself. `CHG-####*` covers `CHG-1234` and `CHG-12345`.
///
/// In `{"like": "[A-Z]+-[0-9]+"}` there are classes and repetition too:
///
/// | written | stands for |
/// |---|---|
/// | `*` | any text, also none, after a class too: `[A-Z]*` is a letter and any text |
/// | `?` | any one character |
/// | `#` | one digit |
/// | `[A-Z_]`, `[^0-9]` | one character of these; one of all others |
/// | `+` | once more, or several times more, what stands before it |
/// | `\` | the next character itself, if it is one of ``* ? # [ ] + - ^ \ $ ( ) { } |`` |
///
/// A pattern covers whole texts. Its cost grows with the length of the text times that of the pattern.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct TextPattern(Said);

impl TextPattern {
    /// A pattern of that text alone.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Said::Plain(text.to_owned()))
    }

    /// A pattern with classes and repetition.
    #[must_use]
    pub fn like(text: &str) -> Self {
        Self(Said::Like(text.to_owned()))
    }

    /// The pattern's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether it can be a pattern, and is likely to be meant as it is written: a text alone that looks
    /// like a class would wait for the brackets. A policy's `check` calls this.
    ///
    /// # Errors
    /// What is wrong with it, and at which character.
    pub fn check(&self) -> Result<(), String> {
        match &self.0 {
            Said::Like(text) => like::check(text),
            Said::Plain(text) => match class_in(text) {
                None => Ok(()),
                Some(class) => Err(format!(
                    "pattern {text:?}: in a text alone {class} stands for these very characters; \
                     write {{\"like\": {text:?}}} for a class"
                )),
            },
        }
    }

    /// Whether it covers the whole of `text`.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        match &self.0 {
            Said::Plain(pattern) => glob(pattern.as_bytes(), text.as_bytes()),
            Said::Like(pattern) => like::matches(pattern, text),
        }
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

/// The first part of a text that is written like a class: `[A-Z0-9]`, `[^a-z]`, or any brackets with
/// a `+` behind them.
fn class_in(text: &str) -> Option<&str> {
    let brackets = text.match_indices('[');
    let mut brackets = brackets.filter_map(|(from, _)| {
        let length = text[from..].find(']')?;
        Some((from, from + length + 1))
    });
    let (from, until) = brackets.find(|(from, until)| {
        let inner = &text[from + 1..until - 1];
        is_ranges(inner.trim_start_matches('^')) || text[*until..].starts_with('+')
    })?;
    Some(&text[from..until])
}

/// Whether it is nothing but ranges of letters or digits.
fn is_ranges(inner: &str) -> bool {
    let (ranges, rest) = inner.as_bytes().as_chunks::<3>();
    let range = |[from, dash, to]: &[u8; 3]| {
        from.is_ascii_alphanumeric() && *dash == b'-' && to.is_ascii_alphanumeric() && from < to
    };
    !ranges.is_empty() && rest.is_empty() && ranges.iter().all(range)
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_text_alone_means_what_it_always_meant() {
        for (pattern, text, expected) in [
            ("C++-#", "C++-1", true),
            ("C++-#", "CC-1", false),
            ("[INC-####]", "[INC-1234]", true),
            ("[INC-####]", "I", false),
            (r"a\*", r"a\b", true),
            ("like", "like", true),
            ("a^b$(c)|{d}", "a^b$(c)|{d}", true),
            ("??", "é", true),
        ] {
            let said = TextPattern::new(pattern);
            assert_eq!(said.matches(text), expected, "{pattern} on {text}");
            assert_eq!(said.check(), Ok(()), "{pattern}");
            let json = format!("{pattern:?}");
            assert_eq!(crate::read_config(&json), Ok(said), "{json}");
        }
    }

    #[test]
    fn a_text_alone_that_looks_like_a_class_is_told() {
        for pattern in ["[A-Z]+-[0-9]+", "[A-Z]", "CHG-[^0-9]", "a[b]+", "[[0-9]"] {
            let told = TextPattern::new(pattern).check().unwrap_err();
            assert!(told.contains(r#"{"like": "#), "{told}");
        }
        for pattern in ["[]", "[A-]", "[Z-A]", "[ab]", "a[", "]+["] {
            assert_eq!(TextPattern::new(pattern).check(), Ok(()), "{pattern}");
        }
    }

    #[test]
    fn classes_and_repetition_are_written_in_an_object() {
        let ticket: TextPattern = crate::read_config(r#"{ "like": "[A-Z]+-[0-9]+" }"#).unwrap();
        assert_eq!(ticket, TextPattern::like("[A-Z]+-[0-9]+"));
        assert_eq!(ticket.find("stuck, see OPS-7."), Some("OPS-7"));
        assert_eq!(ticket.find("see ops-7 and OPS-"), None);
        for bad in [r#"{"like": 5}"#, r#"{"lke": "a"}"#, "5", "[]", "{}", "null"] {
            assert!(crate::read_config::<TextPattern>(bad).is_err(), "{bad}");
        }
    }
}
