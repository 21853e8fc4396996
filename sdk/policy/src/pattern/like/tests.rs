use proptest::prelude::*;
use regex::Regex;

use super::*;

#[test]
fn each_part_covers_what_it_says() {
    for (pattern, text, expected) in [
        ("[A-Z]+-[0-9]+", "OPS-4711", true),
        ("[A-Z]+-[0-9]+", "OPS-", false),
        ("[A-Z]+-[0-9]+", "-1", false),
        ("[A-Z]+-[0-9]+", "OPS-4711a", false),
        ("[A-Z]+A", "AAA", true),
        ("[A-Z]+A", "A", false),
        ("[A-Z]*", "A, and any text", true),
        ("[A-Z]*", "a", false),
        ("[^A-Z]", "é", true),
        ("[^A-Z]", "Q", false),
        ("[a-c_.-]+", "a-b_c.", true),
        ("[-a]", "-", true),
        (r"[\]\^\\]+", r"]^\", true),
        ("[α-ω]+", "λόγος", false),
        ("[α-ω]+", "λ", true),
        ("#+", "12", true),
        ("#+", "", false),
        ("?+", "λx", true),
        ("?", "λ", true),
        ("", "", true),
        ("", "a", false),
        ("*", "", true),
        ("a**b", "ab", true),
        ("ab+", "abbb", true),
        ("ab+", "abab", false),
        (r"C\+\+-#", "C++-1", true),
        ("1.2", "1x2", false),
    ] {
        assert_eq!(check(pattern), Ok(()), "{pattern}");
        assert_eq!(matches(pattern, text), expected, "{pattern} on {text}");
    }
}

#[test]
fn mistakes_are_told_with_their_character() {
    for (pattern, at) in [
        ("+", 1),
        ("a++", 3),
        ("*+", 2),
        ("ab[", 3),
        ("ab[a", 3),
        ("ab[a-", 3),
        ("a[]", 2),
        ("a[^]", 2),
        ("é]", 2),
        ("[a-Z]", 2),
        ("[A-z]", 2),
        ("[9-0]", 2),
        ("[[:alpha:]]", 2),
        (r"\d+", 1),
        (r"a\", 2),
        (r"[\d]", 2),
        ("^a", 1),
        ("a$", 2),
        ("a{3}", 2),
        ("(a|b)", 1),
    ] {
        let told = check(pattern).unwrap_err();
        assert!(told.contains(&format!(", character {at}: ")), "{told}");
        assert!(!matches(pattern, pattern), "{pattern} covers something");
    }
}

#[test]
fn a_pattern_has_at_most_63_parts() {
    let longest = "a".repeat(63);
    assert!(matches(&longest, &longest));
    let repeated = "a+".repeat(63);
    assert!(matches(&repeated, &longest));
    assert!(check(&format!("{longest}b")).is_err());
}

#[test]
fn a_hostile_pattern_is_not_exponential() {
    let pattern = "*[^b]+".repeat(31);
    assert!(!matches(&pattern, &format!("{}b", "a".repeat(4_000))));
}

/// A part as it is written here and as the oracle writes it.
fn part() -> impl Strategy<Value = (String, String)> {
    let plain = prop::sample::select(vec![
        ("a", "a"),
        ("B", "B"),
        ("7", "7"),
        ("-", "-"),
        ("λ", "λ"),
        (r"\+", r"\+"),
        (r"\*", r"\*"),
        ("?", "(?s:.)"),
        ("#", "[0-9]"),
        ("[a-c]", "[a-c]"),
        ("[^a-c]", "[^a-c]"),
        ("[A-Z0-9-]", "[A-Z0-9-]"),
        (r"[^\]λ-ω]", r"[^\]λ-ω]"),
    ]);
    let once = plain.prop_map(|(ours, theirs)| (ours.to_owned(), theirs.to_owned()));
    let plus = once
        .clone()
        .prop_map(|(ours, theirs)| (ours + "+", theirs + "+"));
    let text = Just(("*".to_owned(), "(?s:.*)".to_owned()));
    prop_oneof![3 => once, 2 => plus, 1 => text]
}

proptest! {
    #[test]
    fn it_covers_what_a_regular_expression_covers(
        parts in prop::collection::vec(part(), 0..9),
        texts in prop::collection::vec("[abcdB7+*λμ\\]\n-]{0,12}", 16),
    ) {
        let (ours, theirs): (String, String) = parts.into_iter().unzip();
        let oracle = Regex::new(&format!("^(?:{theirs})$")).unwrap();
        prop_assert_eq!(check(&ours), Ok(()));
        for text in texts {
            prop_assert_eq!(matches(&ours, &text), oracle.is_match(&text), "{} on {:?}", ours, text);
        }
    }

    #[test]
    fn any_text_is_a_pattern_or_told(pattern in "[\\[\\]a-c^+*?#\\\\-]{0,12}", text in "[a-c]{0,8}") {
        if let Err(told) = check(&pattern) {
            prop_assert!(told.contains("character"), "{}", told);
            prop_assert!(!matches(&pattern, &text));
        }
    }
}
