//! Regular expressions for the names of the API, in the dialect that JSON Schema and the languages
//! of clients have in common.

/// What `leasehold_domain::text::check_name` refuses besides text that is not NFC: ranges of
/// characters that are not shown, control how text is shown, or end lines.
pub(super) const NOT_IN_NAMES: &[(char, char)] = &[
    ('\0', '\u{1f}'),
    ('\u{7f}', '\u{9f}'),
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{600}', '\u{605}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{6dd}', '\u{6dd}'),
    ('\u{70f}', '\u{70f}'),
    ('\u{890}', '\u{891}'),
    ('\u{8e2}', '\u{8e2}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{2028}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{110bd}', '\u{110bd}'),
    ('\u{110cd}', '\u{110cd}'),
    ('\u{13430}', '\u{1343f}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

/// What `leasehold_domain::text::check_prose` refuses.
pub(super) const NOT_IN_PROSE: &[(char, char)] = &[
    ('\0', '\u{8}'),
    ('\u{b}', '\u{1f}'),
    ('\u{7f}', '\u{9f}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{200e}', '\u{200f}'),
    ('\u{202a}', '\u{202e}'),
    ('\u{2066}', '\u{2069}'),
];

/// What a published value must not hold.
const NOT_IN_VALUES: &[(char, char)] =
    &[('\0', '\u{8}'), ('\u{b}', '\u{1f}'), ('\u{7f}', '\u{9f}')];

/// White space, with which a subject neither begins nor ends, and which is not refused anywhere.
const SPACES: &[(char, char)] = &[
    (' ', ' '),
    ('\u{a0}', '\u{a0}'),
    ('\u{1680}', '\u{1680}'),
    ('\u{2000}', '\u{200a}'),
    ('\u{202f}', '\u{202f}'),
    ('\u{205f}', '\u{205f}'),
    ('\u{3000}', '\u{3000}'),
];

pub(super) const LABEL: &str = "^[a-z0-9][a-z0-9-]*$";
pub(super) const REQUEST_ID: &str = "^[!-~]+$";
pub(super) const HEX_32: &str = "^[0-9A-Fa-f]{32}$";
pub(super) const POLICY: &str = "^[a-z][a-z0-9-]{0,62}$";
pub(super) const OPERATIONS: [&str; 7] = [
    "acquire",
    "renew",
    "release",
    "revoke",
    "transfer",
    "cancel-wait",
    "configure",
];
const PLACE: &str = "[a-z0-9][a-z0-9-]{0,62}:(?:0|[1-9][0-9]{0,18})";
/// A segment of a lock's name; `.` and `..` are not.
const SEGMENT: &str = "(?:[A-Za-z0-9_~@+=-][A-Za-z0-9._~@+=-]*\
    |\\.[A-Za-z0-9_~@+=-][A-Za-z0-9._~@+=-]*\
    |\\.\\.[A-Za-z0-9._~@+=-]+)";

pub(super) fn lock() -> String {
    format!("^{SEGMENT}(?:/{SEGMENT})*$")
}

/// A pattern that some lock's name matches: what `leasehold_domain::check_lock_pattern` accepts.
pub(super) fn lock_pattern() -> String {
    const TEXT: &str = "[A-Za-z0-9._~@+=-]+";
    let more = format!("(?:\\*{TEXT})*\\*?");
    let begins_with_star = format!("\\*(?:{TEXT}{more})?");
    let segment =
        format!("(?:\\*\\*|{begins_with_star}|{SEGMENT}{more}|\\.{{1,2}}{begins_with_star})");
    format!("^{segment}(?:/{segment})*$")
}

/// A semantic version.
pub(super) fn version() -> String {
    const NUMBER: &str = "(?:0|[1-9][0-9]{0,17})";
    const PART: &str = "(?:0|[1-9][0-9]{0,17}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)";
    let core = format!("{NUMBER}\\.{NUMBER}\\.{NUMBER}");
    format!("^{core}(?:-{PART}(?:\\.{PART})*)?(?:\\+[0-9A-Za-z-]+(?:\\.[0-9A-Za-z-]+)*)?$")
}

/// `NAMESPACE/LOCK`.
pub(super) fn lock_ref() -> String {
    format!("^[a-z0-9][a-z0-9-]{{0,62}}/{SEGMENT}(?:/{SEGMENT})*$")
}

/// The `next_cursors` of a page.
pub(super) fn cursors() -> String {
    format!("^{PLACE}(?:,{PLACE})*$")
}

pub(super) fn name() -> String {
    format!("^[^{}]*$", class(NOT_IN_NAMES))
}

pub(super) fn subject() -> String {
    let (bad, spaces) = (class(NOT_IN_NAMES), class(SPACES));
    format!("^[^{bad}{spaces}](?:[^{bad}]*[^{bad}{spaces}])?$")
}

/// A subject that records may hold, or may have held: what `Subject`'s `parse` accepts.
pub(super) fn recorded_subject() -> String {
    let (bad, spaces) = ("\\u0000-\\u001f\\u007f-\\u009f", class(SPACES));
    let edges = format!("{spaces}\\u2028-\\u2029");
    format!("^[^{bad}{edges}](?:[^{bad}]*[^{bad}{edges}])?$")
}

pub(super) fn prose() -> String {
    format!("^[^{}]*$", class(NOT_IN_PROSE))
}

pub(super) fn value() -> String {
    format!("^[^{}]*$", class(NOT_IN_VALUES))
}

/// Ranges as the inside of a character class. Characters beyond U+FFFF stand for themselves:
/// escapes for them differ between dialects.
fn class(ranges: &[(char, char)]) -> String {
    let shown = |c: char| match u32::from(c) {
        code @ ..=0xffff => format!("\\u{code:04x}"),
        _ => c.to_string(),
    };
    let range = |(first, last): &(char, char)| match first == last {
        true => shown(*first),
        false => format!("{}-{}", shown(*first), shown(*last)),
    };
    ranges.iter().map(range).collect()
}

#[cfg(test)]
mod tests {
    use leasehold_domain::text;

    use super::*;

    fn holds(ranges: &[(char, char)], c: char) -> bool {
        ranges
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&c))
    }

    proptest::proptest! {
        #[test]
        fn a_lock_pattern_of_the_document_can_match(
            pattern in proptest::string::string_regex(&lock_pattern()[1..lock_pattern().len() - 1]).unwrap()
        ) {
            let checked = leasehold_domain::check_lock_pattern(&pattern);
            let is_short = pattern.len() <= leasehold_domain::limits::LOCK_NAME_BYTES_MAX;
            proptest::prop_assert!(checked.is_ok() || !is_short, "{pattern:?}: {checked:?}");
        }
    }

    /// Whether a character may stand in a name does not depend on the others, but for NFC.
    #[test]
    fn the_patterns_are_what_the_gateway_checks() {
        for c in '\0'..=char::MAX {
            let alone = c.to_string();
            let refused = match text::check_name(&alone) {
                Ok(()) => false,
                Err(problem) => !problem.contains("NFC"),
            };
            // Text that is not NFC is refused before its characters are looked at.
            if text::check_name(&alone).is_ok() || refused {
                assert_eq!(refused, holds(NOT_IN_NAMES, c), "U+{:04X}", u32::from(c));
            }
            let refused = text::check_prose(&alone).is_err();
            assert_eq!(refused, holds(NOT_IN_PROSE, c), "U+{:04X}", u32::from(c));
            let is_space = c.is_whitespace() && !holds(NOT_IN_NAMES, c);
            assert_eq!(is_space, holds(SPACES, c), "U+{:04X}", u32::from(c));
        }
    }
}
