//! Configurations.

use leasehold_domain::Digest;
use serde_json::json;

use crate::guest::Guest;
use crate::guest::InEngine;
use crate::guest::engine;

#[test]
fn a_configuration_is_checked_by_the_modules_schema() {
    let schema = r#"{"type": "object", "additionalProperties": false,
        "properties": {"max": {"type": "integer"}, "b": {}, "a": {}}}"#;
    let module = Guest {
        schema: schema.to_owned(),
        ..Guest::default()
    }
    .compile(&engine())
    .unwrap();
    let error = module.bind(&json!({"max": "x", "y": 1})).unwrap_err();
    assert_eq!(error.problems.len(), 2, "{error}");
    assert!(
        error.problems.iter().any(|problem| problem.path == "/max"),
        "{error}"
    );
    let bound = module.bind(&json!({"b": 1, "a": [2]})).unwrap();
    assert_eq!(bound.config(), r#"{"a":[2],"b":1}"#);
    assert_eq!(bound.config_digest(), Digest::of(bound.config().as_bytes()));
}

#[test]
fn a_huge_configuration_is_refused() {
    let module = Guest::default().compile(&engine()).unwrap();
    assert!(module.bind(&json!({"x": "y".repeat(70_000)})).is_err());
}

#[test]
fn a_check_that_fails_refuses_the_configuration() {
    let wat = Guest::default().wat();
    let trapping = wat.replace("(i32.const 2048))", "(unreachable))");
    let module = engine()
        .compile(&wat::parse_str(trapping).unwrap())
        .unwrap();
    let error = module.bind(&json!({})).unwrap_err();
    assert!(error.to_string().contains("`check` failed"), "{error}");
}

#[test]
fn a_schema_that_refers_to_itself_ends_nothing() {
    for schema in [
        r##"{"$ref": "#"}"##,
        r##"{"allOf": [{"$ref": "#"}]}"##,
        r##"{"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}"##,
        r##"{"not": {"$ref": "#"}}"##,
        r##"{"$dynamicRef": "#x", "$dynamicAnchor": "x"}"##,
        r##"{"properties": {"a": {"$ref": "#"}}, "unevaluatedProperties": {"$ref": "#"}}"##,
    ] {
        let guest = Guest {
            schema: schema.to_owned(),
            ..Guest::default()
        };
        // Accepted or refused: either is an answer.
        if let Ok(module) = guest.compile(&engine()) {
            let _ = module.bind(&json!({"a": {"a": {}}}));
        }
    }
}
