//! The reader against `serde_json`, which is what configurations are written with.

use std::collections::BTreeMap;
use std::fmt::Debug;

use proptest::prelude::*;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::*;

#[derive(Debug, PartialEq, Deserialize)]
struct All {
    text: String,
    letter: char,
    small: i8,
    large: u64,
    fraction: f64,
    yes: bool,
    none: Option<u32>,
    some: Option<u32>,
    #[serde(default)]
    absent: Vec<u32>,
    pair: (u8, String),
    by_number: BTreeMap<u32, Vec<Kind>>,
    nothing: (),
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Plain,
    Wrapped(Wrapper),
    Several(u8, u8),
    Named { of: String },
}

#[derive(Debug, PartialEq, Deserialize)]
struct Wrapper(u16);

#[derive(Debug, PartialEq, Deserialize)]
#[serde(tag = "kind")]
enum Tagged {
    A { of: Vec<Value> },
    B,
}

const ALL: &str = r#"{"absent":[7],"by_number":{"1":["plain",{"wrapped":3}],"20":[{"several":[1,2]},
    {"named":{"of":"x","further":null}}]},"fraction":-2.5e3,"large":18446744073709551615,
    "letter":"\u00e9","more":{"a":[true,false,null,"\"]}\\",{}],"b":-1.5}, "no\ttab" : [ ] ,
    "none":null,"nothing":null,"pair":[1,"\ud83d\ude00\n\/\"\\\b\f\r\t"],"small":-128,"some":5,
    "text":"a \u0000 text, größer","yes":true}"#;

fn same<T: DeserializeOwned + Debug + PartialEq>(text: &str) {
    let known: T = serde_json::from_str(text).unwrap();
    assert_eq!(read::<T>(text), Ok(known), "{text}");
}

#[test]
fn every_shape_is_read_as_serde_json_reads_it() {
    // A tab in a text must be escaped in JSON.
    let all = ALL.replace("\t", "\\t");
    same::<All>(&all);
    same::<Value>(&all);
    same::<Tagged>(r#"{"of":[1,-1,1.5,"x",null,true,{"a":[]}],"kind":"A"}"#);
    same::<Tagged>(r#"{"kind":"B"}"#);
    same::<Vec<Kind>>(r#" [ "plain" , { "wrapped" : 1 } ] "#);
    same::<Option<Vec<()>>>("[null,null]");
}

#[test]
fn what_is_cut_off_is_refused() {
    for length in 0..ALL.len() {
        if let Some(part) = ALL.get(..length) {
            assert!(read::<All>(part).is_err(), "{part}");
            assert!(read::<Value>(part).is_err(), "{part}");
        }
    }
}

#[test]
fn mistakes_are_told_with_their_place() {
    let told = |text| read::<BTreeMap<String, u8>>(text).unwrap_err().to_string();
    assert_eq!(
        told(r#"{"a":1 "b":2}"#),
        "expected a comma or an end at byte 7"
    );
    assert_eq!(told(r#"{"a":1} x"#), "expected the end at byte 8");
    assert_eq!(told(r#"{"a":[]}"#), "expected a number at byte 5");
    assert!(told(r#"{"a":300}"#).contains("invalid value: integer `300`"));
    assert!(told("{\"a\":1.5}").contains("another number"));
    let missing = read::<Wrapper>("\"x\"").unwrap_err();
    assert_eq!(missing.to_string(), "expected a number at byte 0");
    let unknown = read::<Kind>("\"other\"").unwrap_err();
    assert!(unknown.to_string().contains("unknown variant `other`"));
}

#[test]
fn rubbish_is_refused() {
    for bad in [
        "",
        "nul",
        "truth",
        "[1,]",
        "[,1]",
        "{\"a\"}",
        "{\"a\":}",
        "{1:2}",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\ud800\"",
        "\"\\ud800\\u0041\"",
        "\"\\udc00\"",
        "]",
        "}",
        "-",
        "1 2",
        "[1}",
    ] {
        assert!(read::<Value>(bad).is_err(), "{bad}");
    }
}

#[test]
fn depth_is_bounded() {
    let deep = |levels| "[".repeat(levels) + &"]".repeat(levels);
    assert!(read::<Value>(&deep(usize::from(DEPTH_MAX))).is_ok());
    assert!(read::<Value>(&deep(usize::from(DEPTH_MAX) + 1)).is_err());
    let ignored = format!("{{\"a\":{},\"kind\":\"B\"}}", deep(100_000));
    assert!(read::<Ignoring>(&ignored).is_ok());
}

#[derive(Debug, Deserialize)]
struct Ignoring {}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 48, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..8)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_is_written_is_read(value in values()) {
        prop_assert_eq!(read::<Value>(&value.to_string()), Ok(value.clone()));
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        prop_assert_eq!(read::<Value>(&pretty), Ok(value));
    }

    #[test]
    fn no_text_is_too_much(text in any::<String>()) {
        let quoted = format!("\"{text}");
        let _ = (read::<Value>(&text), read::<Value>(&quoted), read::<All>(&quoted));
    }
}
