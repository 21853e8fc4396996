//! Text that people read to tell one name from another.
//!
//! Two names that look alike must be alike, and no name may change how the text around it is shown.

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::CodePointMapData;
use icu_properties::CodePointSetData;
use icu_properties::props::BidiControl;
use icu_properties::props::DefaultIgnorableCodePoint;
use icu_properties::props::GeneralCategory;

/// Checks a name: of a subject, an instance, a label.
///
/// # Errors
/// The text is not in Unicode's normal form C, or holds control characters, line separators,
/// characters that change the direction of text, or characters that are not shown.
pub fn check_name(text: &str) -> Result<(), &'static str> {
    if text.is_ascii() {
        return check_ascii(text);
    }
    if !ComposingNormalizerBorrowed::new_nfc().is_normalized(text) {
        return Err("must be in Unicode normal form C (NFC)");
    }
    let categories = CodePointMapData::<GeneralCategory>::new();
    let ignorable = CodePointSetData::new::<DefaultIgnorableCodePoint>();
    for c in text.chars() {
        match categories.get(c) {
            GeneralCategory::Control
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator => {
                return Err("must not hold control characters");
            }
            GeneralCategory::Format => {
                return Err(
                    "must not hold characters that are invisible or change the direction of text",
                );
            }
            _ if ignorable.contains(c) => {
                return Err("must not hold invisible characters");
            }
            _ => {}
        }
    }
    Ok(())
}

fn check_ascii(text: &str) -> Result<(), &'static str> {
    match text.bytes().any(|byte| byte.is_ascii_control()) {
        true => Err("must not hold control characters"),
        false => Ok(()),
    }
}

/// Checks prose, such as a reason: line breaks and tabs are allowed, and emoji of several
/// characters; what changes the direction of text is not.
///
/// # Errors
/// The text holds control characters, or characters that change the direction of text.
pub fn check_prose(text: &str) -> Result<(), &'static str> {
    let control = |c: char| c.is_control() && c != '\n' && c != '\t';
    if text.chars().any(control) {
        return Err("must not hold control characters");
    }
    if text.is_ascii() {
        return Ok(());
    }
    let bidi = CodePointSetData::new::<BidiControl>();
    match text.chars().any(|c| bidi.contains(c)) {
        true => Err("must not hold characters that change the direction of text"),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_look_like_others_are_refused() {
        for bad in [
            "cafe\u{301}",        // not NFC
            "\u{212b}ngstrom",    // the sign, not the letter
            "adm\u{200b}in",      // zero width space
            "adm\u{200c}in",      // zero width non-joiner
            "adm\u{200d}in",      // zero width joiner
            "adm\u{2060}in",      // word joiner
            "\u{feff}admin",      // byte order mark
            "adm\u{ad}in",        // soft hyphen
            "adm\u{34f}in",       // grapheme joiner
            "a\u{202e}nimda",     // right-to-left override
            "a\u{2066}b\u{2069}", // isolates
            "a\u{200e}",          // left-to-right mark
            "a\u{61c}",           // Arabic letter mark
            "a\u{2028}b",         // line separator
            "a\u{2029}b",         // paragraph separator
            "a\u{85}b",           // next line
            "a\u{3164}b",         // Hangul filler
            "a\u{fe0f}",          // variation selector
            "a\u{e0041}",         // tag
            "a\u{180e}b",         // Mongolian vowel separator
            "a\tb",
            "a\0",
            "a\u{7f}",
        ] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
        for good in [
            "svc:billing",
            "café",
            "Ångström",
            "日本語",
            "עברית",
            "العربية",
            "हिन्दी",
            "😀 x",
        ] {
            assert_eq!(check_name(good), Ok(()), "{good:?}");
        }
    }

    #[test]
    fn prose_may_have_lines_and_emoji_but_not_turn_around() {
        for good in ["two\nlines\tand a tab", "👩\u{200d}🚒", "cafe\u{301}"] {
            assert_eq!(check_prose(good), Ok(()), "{good:?}");
        }
        for bad in ["a\u{202e}b", "a\u{2067}b", "a\0", "a\u{85}", "a\u{1b}[31m"] {
            assert!(check_prose(bad).is_err(), "{bad:?}");
        }
    }
}
