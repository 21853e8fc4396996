use serde::Deserialize;
use serde_json::json;

use super::*;

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Outer {
    count: u64,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    kind: Kind,
    #[serde(default)]
    inner: Vec<Inner>,
    #[serde(default)]
    free: serde_json::Value,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Inner {
    on: bool,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    #[default]
    Plain,
    Other,
}

fn refused(text: &str) -> String {
    json::<Outer>(text.as_bytes()).unwrap_err().to_string()
}

#[test]
fn a_document_is_read() {
    let text = r#"{"count":7,"name":null,"kind":"other","inner":[{"on":true}],"free":{"a":[1,-2,1.5,null]}}"#;
    let read: Outer = json(text.as_bytes()).unwrap();
    let expected = Outer {
        count: 7,
        name: None,
        kind: Kind::Other,
        inner: vec![Inner { on: true }],
        free: json!({ "a": [1, -2, 1.5, null] }),
    };
    assert_eq!(read, expected);
}

#[test]
fn lists_are_no_objects_and_objects_no_names() {
    for (text, message) in [
        ("[7]", "expected an object, got a list"),
        (
            "[7,null,\"plain\",[],null]",
            "expected an object, got a list",
        ),
        (
            r#"{"count":7,"inner":[[true]]}"#,
            "inner[0]: expected an object, got a list",
        ),
        (
            r#"{"count":7,"kind":{"plain":null}}"#,
            "kind: expected a string, got an object",
        ),
        (
            r#"{"count":7,"inner":{"on":true}}"#,
            "inner: expected a list, got an object",
        ),
    ] {
        assert_eq!(refused(text), message, "{text}");
    }
}

#[test]
fn errors_name_place_and_value_in_plain_words() {
    for (text, message) in [
        ("{}", "count: is missing"),
        (
            r#"{"count":"7"}"#,
            "count: expected a whole number from 0 to 18446744073709551615, got \"7\"",
        ),
        (
            r#"{"count":-7}"#,
            "count: expected a whole number from 0 to 18446744073709551615, got -7",
        ),
        (
            r#"{"count":7,"cuont":7}"#,
            "there is no member \"cuont\"; there is count, name, kind, inner, free",
        ),
        (
            r#"{"count":7,"inner":[{"on":true},{"on":true,"off":1}]}"#,
            "inner[1]: there is no member \"off\"; there is on",
        ),
        (
            r#"{"count":7,"inner":[{"on":1}]}"#,
            "inner[0].on: expected true or false, got 1",
        ),
        (
            r#"{"count":7,"kind":"x"}"#,
            "kind: \"x\" is not one of plain, other",
        ),
        (
            r#"{"count":7,"free":{"a":1,"a":2}}"#,
            "given twice: \"a\", at line 1, column 28",
        ),
        (
            r#"{"count":7} 8"#,
            "not valid JSON: something follows the value, at line 1, column 13",
        ),
        (
            r#"{"count":"#,
            "not valid JSON: it ends too early, at line 1, column 9",
        ),
        (" ", "expected a JSON object, got nothing"),
        ("{count:7}", "not valid JSON, at line 1, column 2"),
    ] {
        assert_eq!(refused(text), message, "{text}");
    }
    let long = refused(&format!(r#"{{"count":{:?}}}"#, "x".repeat(1_000)));
    assert!(long.len() < 200, "{long}");
}

#[test]
fn text_that_is_not_json_is_told_from_json_that_does_not_fit() {
    let is_syntax = |text: &[u8]| json::<Outer>(text).unwrap_err().is_syntax();
    assert!(is_syntax(b"{"));
    assert!(is_syntax(b""));
    assert!(is_syntax(b"\xff"));
    assert!(!is_syntax(b"[]"));
    assert!(!is_syntax(br#"{"count":7,"count":7}"#));
}

#[test]
fn a_member_given_twice_is_found_in_small_and_large_objects() {
    for members in [2, 15, 16, 17, 18, 40] {
        for (first, second) in [(0, 1), (0, members - 1), (members - 2, members - 1)] {
            let name = |n: usize| if n == second { first } else { n };
            let texts: Vec<_> = (0..members)
                .map(|n| format!("\"m{}\":1", name(n)))
                .collect();
            let message = refused(&format!("{{\"free\":{{{}}}}}", texts.join(",")));
            let expected = format!("given twice: \"m{first}\"");
            assert!(message.starts_with(&expected), "{members}: {message}");
        }
        let texts: Vec<_> = (0..members).map(|n| format!("\"m{n}\":{n}")).collect();
        let text = format!("{{\"count\":1,\"free\":{{{}}}}}", texts.join(","));
        let read: Outer = json(text.as_bytes()).unwrap();
        assert_eq!(read.free.as_object().map(|free| free.len()), Some(members));
    }
}
