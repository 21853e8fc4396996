//! The statement about a policy version.

use std::fmt::Write as _;

use leasehold_domain::Digest;
use leasehold_domain::WallMillis;
use leasehold_domain::limits::POLICY_SOURCE_BYTES_MAX;
use leasehold_domain::limits::POLICY_STATEMENT_BYTES_MAX;

use crate::telemetry::parse_rfc3339;

/// The first line of every statement. A signature of something else never passes for one of a
/// statement, because nothing else begins so.
const HEADER: &str = "leasehold-policy-statement/v1";

/// Milliseconds in a second: a statement's times are whole seconds.
const SECOND_MS: u64 = 1_000;

/// What a signer states about a policy version.
///
/// Its text has one line for each member, in this order, each ended by a line feed. A member that is
/// `None` has no line. There is one text for each statement.
///
/// ```text
/// leasehold-policy-statement/v1
/// policy: deploy-freeze
/// version: 1.2.0
/// module-sha256: 64 hex digits
/// schema-sha256: 64 hex digits
/// source: https://git.example/policies/deploy-freeze
/// not-before: 2026-11-30T12:00:00Z
/// not-after: 2027-11-30T12:00:00Z
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The policy's name.
    pub policy: String,
    /// Its semantic version.
    pub version: String,
    /// SHA-256 of the module.
    pub module: Digest,
    /// SHA-256 of the schema of its configuration.
    pub schema: Digest,
    /// Where its source is.
    pub source: Option<String>,
    /// The first moment at which it may be put to use; a whole second.
    pub not_before: Option<WallMillis>,
    /// The last one; a whole second.
    pub not_after: Option<WallMillis>,
}

impl Statement {
    /// Checks what a signer may state. [`Self::parse`] checks the same.
    ///
    /// # Errors
    /// Says which member is wrong.
    pub fn check(&self) -> Result<(), String> {
        let is_word = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        for (name, text) in [("policy", &self.policy), ("version", &self.version)] {
            if !is_word(text) {
                return Err(format!("{name}: must be visible ASCII without spaces"));
            }
        }
        if let Some(source) = &self.source
            && (!is_word(source) || source.len() > POLICY_SOURCE_BYTES_MAX)
        {
            return Err(format!(
                "source: must be 1 to {POLICY_SOURCE_BYTES_MAX} bytes of visible ASCII without spaces"
            ));
        }
        if let (Some(from), Some(until)) = (self.not_before, self.not_after)
            && from > until
        {
            return Err("not-after: must not be before not-before".to_owned());
        }
        Ok(())
    }

    /// Returns the statement's text, whose bytes are signed.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("{HEADER}\n");
        let mut line = |name: &str, value: &dyn std::fmt::Display| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name}: {value}");
        };
        line("policy", &self.policy);
        line("version", &self.version);
        line("module-sha256", &self.module);
        line("schema-sha256", &self.schema);
        if let Some(source) = &self.source {
            line("source", source);
        }
        for (name, time) in [
            ("not-before", self.not_before),
            ("not-after", self.not_after),
        ] {
            if let Some(time) = time {
                line(name, &seconds(time));
            }
        }
        text
    }

    /// Reads a statement's bytes.
    ///
    /// # Errors
    /// They are not the text of a statement. Says what is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > POLICY_STATEMENT_BYTES_MAX {
            return Err(format!(
                "the statement has more than {POLICY_STATEMENT_BYTES_MAX} bytes"
            ));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| "the statement is not UTF-8")?;
        let rest = text.strip_prefix(HEADER).and_then(|t| t.strip_prefix('\n'));
        let rest = rest.ok_or_else(|| format!("the statement does not begin with {HEADER:?}"))?;
        let mut lines = rest.lines().peekable();
        let mut optional = |name: &str| {
            let value = lines.peek()?.strip_prefix(name)?.strip_prefix(": ")?;
            lines.next();
            Some(value.to_owned())
        };
        let missing = |name: &str| format!("the statement has no {name} where it belongs");
        let digest = |name: &str, text: Option<String>| {
            let text = text.ok_or_else(|| missing(name))?;
            let wrong = |_| format!("{name}: {text:?} is not 64 hex digits");
            text.parse::<Digest>().map_err(wrong)
        };
        let statement = Self {
            policy: optional("policy").ok_or_else(|| missing("policy"))?,
            version: optional("version").ok_or_else(|| missing("version"))?,
            module: digest("module-sha256", optional("module-sha256"))?,
            schema: digest("schema-sha256", optional("schema-sha256"))?,
            source: optional("source"),
            not_before: time("not-before", optional("not-before"))?,
            not_after: time("not-after", optional("not-after"))?,
        };
        statement.check()?;
        // One text for each statement: no other case of digits, no other form of a time, nothing after
        // the last line.
        match statement.text() == text {
            true => Ok(statement),
            false => Err("the statement is not in its canonical form".to_owned()),
        }
    }
}

fn time(name: &str, text: Option<String>) -> Result<Option<WallMillis>, String> {
    let Some(text) = text else { return Ok(None) };
    match parse_rfc3339(&text) {
        Some(time) => Ok(Some(time)),
        None => Err(format!("{name}: {text:?} is not an RFC 3339 time")),
    }
}

/// Returns a time in RFC 3339, in UTC, in whole seconds.
fn seconds(time: WallMillis) -> jiff::Timestamp {
    let seconds = i64::try_from(time.0 / SECOND_MS).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Statement {
        Statement {
            policy: "deploy-freeze".to_owned(),
            version: "1.2.0-rc.1+build".to_owned(),
            module: Digest::of(b"module"),
            schema: Digest::of(b"schema"),
            source: Some("https://git.example/p?at=1".to_owned()),
            not_before: Some(WallMillis(1_795_000_000_000)),
            not_after: Some(WallMillis(1_895_000_000_000)),
        }
    }

    #[test]
    fn a_statement_has_one_text() {
        let text = full().text();
        let expected = format!(
            "leasehold-policy-statement/v1\npolicy: deploy-freeze\nversion: 1.2.0-rc.1+build\n\
             module-sha256: {}\nschema-sha256: {}\nsource: https://git.example/p?at=1\n\
             not-before: 2026-11-18T11:06:40Z\nnot-after: 2030-01-18T20:53:20Z\n",
            Digest::of(b"module"),
            Digest::of(b"schema")
        );
        assert_eq!(text, expected);
        assert_eq!(Statement::parse(text.as_bytes()).unwrap(), full());
        let short = Statement {
            source: None,
            not_before: None,
            not_after: None,
            ..full()
        };
        assert_eq!(
            Statement::parse(short.text().as_bytes()).unwrap(),
            short,
            "members may be absent"
        );
    }

    #[test]
    fn every_other_text_is_refused_with_its_reason() {
        let text = full().text();
        let with = |from: &str, to: &str| {
            assert!(text.contains(from), "{from}");
            text.replace(from, to)
        };
        let digest = Digest::of(b"module").to_string();
        for (bad, reason) in [
            (String::new(), "does not begin with"),
            (with("/v1", "/v2"), "does not begin with"),
            (with("policy: ", "Policy: "), "no policy"),
            (with("policy: deploy-freeze\n", ""), "no policy"),
            (with("deploy-freeze", "deploy freeze"), "policy: must be"),
            (with("version: 1.2.0-rc.1+build\n", ""), "no version"),
            (with(&digest, &digest.to_uppercase()), "canonical"),
            (with(&digest, "abc"), "not 64 hex digits"),
            (
                with("2026-11-18T11:06:40Z", "2026-11-18T12:06:40+01:00"),
                "canonical",
            ),
            (with("2026-11-18T11:06:40Z", "tomorrow"), "not an RFC 3339"),
            (
                with("2026-11-18T11:06:40Z", "2036-11-18T11:06:40Z"),
                "not-after: must not be before",
            ),
            (
                with("2026-11-18T11:06:40Z", "2026-11-18T11:06:40.5Z"),
                "canonical",
            ),
            (format!("{text}more: x\n"), "canonical"),
            (text.trim_end().to_owned(), "canonical"),
            (text.replace('\n', "\r\n"), "does not begin with"),
            (text.repeat(10), "more than 2048 bytes"),
        ] {
            let refused = Statement::parse(bad.as_bytes()).unwrap_err();
            assert!(refused.contains(reason), "{bad}: {refused}");
        }
        assert!(Statement::parse(b"\xff").unwrap_err().contains("UTF-8"));
    }
}
