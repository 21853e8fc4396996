//! Configurations against their policy's schema.

use jsonschema::PatternOptions;
use jsonschema::Validator;
use leasehold_domain::Digest;
use leasehold_domain::limits::POLICY_CONFIG_BYTES_MAX;
use serde_json::Map;
use serde_json::Value;

use crate::error::ConfigError;
use crate::error::ConfigProblem;
use crate::limits::CONFIG_PROBLEMS_MAX;

/// Limits on what a schema's patterns may make of a regular expression, in bytes.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// Characters of a wrong value that a message repeats.
const SHOWN_CHARS_MAX: usize = 64;

/// A policy's schema, ready to check.
#[derive(Debug)]
pub(crate) struct Schema(Validator);

impl Schema {
    /// Compiles a schema. Patterns run in linear time, and references stay inside it: a schema
    /// comes from a stranger.
    pub(crate) fn compile(schema: &Value) -> Result<Self, String> {
        if !schema.is_object() {
            return Err("is not a JSON object".to_owned());
        }
        let patterns = PatternOptions::regex().size_limit(PATTERN_BYTES_MAX);
        jsonschema::options()
            .with_pattern_options(patterns)
            .offline()
            .build(schema)
            .map(Self)
            .map_err(|error| format!("is not a JSON Schema: {error}"))
    }

    /// All that is wrong with a configuration.
    pub(crate) fn check(&self, config: &Value) -> Result<(), ConfigError> {
        let problem = |error: jsonschema::ValidationError<'_>| ConfigProblem {
            path: error.instance_path().to_string(),
            message: in_words(&error),
        };
        let problems: Vec<_> = self
            .0
            .iter_errors(config)
            .take(CONFIG_PROBLEMS_MAX)
            .map(problem)
            .collect();
        if problems.is_empty() {
            Ok(())
        } else {
            Err(ConfigError { problems })
        }
    }
}

/// What is wrong with a value, for the author of a binding: the value, and what it may be. Schemas'
/// own words (patterns, combinations) are not shown.
fn in_words(error: &jsonschema::ValidationError<'_>) -> String {
    use jsonschema::error::ValidationErrorKind as Kind;
    let found = shortened(error.instance());
    let length = |value: &Value| match value {
        Value::String(text) => format!("{} characters", text.chars().count()),
        Value::Array(list) => format!("{} entries", list.len()),
        Value::Object(members) => format!("{} members", members.len()),
        other => shortened(other),
    };
    let has = length(error.instance());
    match error.kind() {
        Kind::AdditionalProperties { unexpected } => unknown(unexpected),
        Kind::UnevaluatedProperties { unexpected } => unknown(unexpected),
        Kind::Required { property } => format!("member {property} is missing"),
        Kind::Type { .. } => format!("expected {}, got {found}", expected_kind(error)),
        Kind::Enum { options } => format!("{found} is not one of {}", shortened(options)),
        Kind::Constant { expected_value } => {
            format!("expected {}, got {found}", shortened(expected_value))
        }
        Kind::Minimum { limit } => format!("must be at least {limit}, not {found}"),
        Kind::Maximum { limit } => format!("must be at most {limit}, not {found}"),
        Kind::ExclusiveMinimum { limit } => format!("must be more than {limit}, not {found}"),
        Kind::ExclusiveMaximum { limit } => format!("must be less than {limit}, not {found}"),
        Kind::MultipleOf { multiple_of } => {
            format!("must be a multiple of {multiple_of}, not {found}")
        }
        Kind::MinLength { limit } => format!("must have at least {limit} characters, has {has}"),
        Kind::MaxLength { limit } => format!("must have at most {limit} characters, has {has}"),
        Kind::MinItems { limit } => format!("must have at least {limit} entries, has {has}"),
        Kind::MaxItems { limit } => format!("must have at most {limit} entries, has {has}"),
        Kind::MinProperties { limit } => format!("must have at least {limit} members, has {has}"),
        Kind::MaxProperties { limit } => format!("must have at most {limit} members, has {has}"),
        Kind::UniqueItems => "has an entry twice".to_owned(),
        Kind::PropertyNames { error } => format!("a member's name: {}", in_words(error)),
        Kind::Pattern { .. } | Kind::Format { .. } => {
            format!("{found} is not of the form that is expected here")
        }
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } => forms(error, context),
        Kind::OneOfMultipleValid { .. } => {
            format!("{found} is of more than one of the forms that are allowed here")
        }
        Kind::FalseSchema | Kind::Not { .. } => format!("{found} is not allowed here"),
        _ => format!("{found} is not allowed here; see the policy's schema"),
    }
}

/// What is wrong with a value that may have one of several forms: what keeps it from the forms of
/// its kind, or which kinds there are.
fn forms(
    error: &jsonschema::ValidationError<'_>,
    forms: &[Vec<jsonschema::ValidationError<'static>>],
) -> String {
    use jsonschema::error::ValidationErrorKind as Kind;
    let here = error.instance_path().to_string();
    let is_kind = |problem: &&jsonschema::ValidationError<'static>| {
        matches!(problem.kind(), Kind::Type { .. }) && problem.instance_path().to_string() == here
    };
    let told = |problem: &jsonschema::ValidationError<'static>| {
        let place = problem.instance_path().to_string();
        match place == here {
            true => in_words(problem),
            false => format!("{place}: {}", in_words(problem)),
        }
    };
    let of_its_kind = forms
        .iter()
        .filter(|form| !form.iter().any(|p| is_kind(&p)));
    let first: Vec<_> = of_its_kind
        .filter_map(|form| form.first())
        .map(told)
        .collect();
    if first.is_empty() {
        let kinds = forms.iter().flatten().filter(is_kind).map(expected_kind);
        let kinds = kinds.collect::<Vec<_>>().join(" or ");
        return format!("expected {kinds}, got {}", shortened(error.instance()));
    }
    first.join(", or ")
}

/// The kinds of value that a schema's `type` allows.
fn expected_kind(error: &jsonschema::ValidationError<'_>) -> String {
    let said = error.to_string();
    let names = said.rsplit("of type").next().unwrap_or_default().trim();
    let names = names.replace('"', "");
    kinds(names.strip_prefix("s ").unwrap_or(&names))
}

fn unknown(members: &[String]) -> String {
    match members {
        [one] => format!("there is no member {one:?}"),
        several => format!("there are no members {several:?}"),
    }
}

fn kinds(names: &str) -> String {
    let kind = |name: &str| match name.trim() {
        "string" => "a string".to_owned(),
        "integer" => "a whole number".to_owned(),
        "number" => "a number".to_owned(),
        "boolean" => "true or false".to_owned(),
        "array" => "a list".to_owned(),
        "object" => "an object".to_owned(),
        other => other.to_owned(),
    };
    names.split(',').map(kind).collect::<Vec<_>>().join(" or ")
}

/// A value's JSON, cut where it is long.
fn shortened(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// The bytes that stand for a configuration: no spaces, keys in order.
pub(crate) fn canonical(config: &Value) -> Result<String, ConfigError> {
    let text = sorted(config).to_string();
    if text.len() > POLICY_CONFIG_BYTES_MAX {
        let message = format!(
            "has {} bytes; at most {POLICY_CONFIG_BYTES_MAX}",
            text.len()
        );
        return Err(ConfigError::whole(message));
    }
    Ok(text)
}

/// Returns the SHA-256 of a policy's schema: of its JSON without spaces and with keys in order.
#[must_use]
pub fn schema_digest(schema: &Value) -> Digest {
    Digest::of(sorted(schema).to_string().as_bytes())
}

/// Sorted also where some other crate of the build makes `serde_json` keep the order of insertion.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut rows: Vec<_> = map.iter().collect();
            rows.sort_by_key(|(key, _)| key.as_str());
            let copy = |(key, value): (&String, &Value)| (key.clone(), sorted(value));
            Value::Object(rows.into_iter().map(copy).collect::<Map<_, _>>())
        }
        Value::Array(values) => Value::Array(values.iter().map(sorted).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_schema_cannot_reach_outside_or_run_away() {
        for bad in [
            json!([]),
            json!({"type": "no-such-type"}),
            json!({"$ref": "https://example.com/schema.json"}),
            json!({"$ref": "file:///etc/hostname"}),
            json!({"properties": {"a": {"pattern": "(?=look)ahead"}}}),
            json!({"properties": {"a": {"pattern": "((a{1000}){1000}){1000}"}}}),
        ] {
            assert!(Schema::compile(&bad).is_err(), "{bad} was accepted");
        }
        assert!(Schema::compile(&json!({"$ref": "#/$defs/a", "$defs": {"a": true}})).is_ok());
    }

    #[test]
    fn every_problem_is_told_with_its_place() {
        let schema = Schema::compile(&json!({
            "type": "object",
            "additionalProperties": false,
            "properties": {"max": {"type": "integer"}, "rows": {"items": {"type": "string"}}},
        }));
        let error = schema
            .unwrap()
            .check(&json!({"max": "x", "rows": ["a", 1], "y": 0}))
            .unwrap_err();
        let paths: Vec<_> = error
            .problems
            .iter()
            .map(|problem| problem.path.as_str())
            .collect();
        assert!(
            paths.contains(&"/max") && paths.contains(&"/rows/1"),
            "{error}"
        );
        assert_eq!(paths.len(), 3, "{error}");
    }

    #[test]
    fn problems_are_told_without_the_schemas_own_words() {
        let schema = json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["rules"],
            "properties": {
                "rules": { "type": "array", "maxItems": 2, "items": { "oneOf": [
                    { "type": "object", "required": ["a"] },
                    { "type": "string", "pattern": "^[a-z]{3}$", "maxLength": 3 },
                ] } },
                "name": { "type": "string", "pattern": "^[a-z]+$", "maxLength": 4 },
                "max": { "type": ["integer", "null"], "minimum": 10 },
                "mode": { "enum": ["x", "y"] },
            },
        });
        let schema = Schema::compile(&schema).unwrap();
        for (config, said) in [
            (json!({}), "member \"rules\" is missing"),
            (json!({"rules": [], "x": 1}), "there is no member \"x\""),
            (json!({"rules": {}}), "/rules: expected a list, got {}"),
            (
                json!({"rules": [1, 2, 3]}),
                "must have at most 2 entries, has 3 entries",
            ),
            (
                json!({"rules": [7]}),
                "/rules/0: expected an object or a string, got 7",
            ),
            (json!({"rules": [{}]}), "/rules/0: member \"a\" is missing"),
            (
                json!({"rules": ["AB"]}),
                "/rules/0: \"AB\" is not of the form",
            ),
            (
                json!({"rules": [], "name": "A"}),
                "/name: \"A\" is not of the form",
            ),
            (
                json!({"rules": [], "name": "abcde"}),
                "must have at most 4 characters, has 5",
            ),
            (
                json!({"rules": [], "max": "x"}),
                "/max: expected null or a whole number, got \"x\"",
            ),
            (
                json!({"rules": [], "max": 1}),
                "/max: must be at least 10, not 1",
            ),
            (
                json!({"rules": [], "mode": "z"}),
                "/mode: \"z\" is not one of [\"x\",\"y\"]",
            ),
        ] {
            let error = schema.check(&config).unwrap_err().to_string();
            assert!(error.contains(said), "{config}: {error}");
            for word in ["oneOf", "[a-z]", "anyOf", "schemas listed"] {
                assert!(!error.contains(word), "{config}: {error}");
            }
        }
    }

    #[test]
    fn canonical_bytes_do_not_depend_on_the_order_of_keys() {
        let a: Value = serde_json::from_str(r#"{"b": 1, "a": [ {"d": 1, "c": 2} ]}"#).unwrap();
        assert_eq!(canonical(&a).unwrap(), r#"{"a":[{"c":2,"d":1}],"b":1}"#);
        assert!(canonical(&json!("x".repeat(POLICY_CONFIG_BYTES_MAX))).is_err());
    }
}
