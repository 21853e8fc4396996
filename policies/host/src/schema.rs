//! Configurations against their policy's schema.

use jsonschema::PatternOptions;
use jsonschema::Validator;
use leasehold_domain::limits::POLICY_CONFIG_BYTES_MAX;
use serde_json::Map;
use serde_json::Value;

use crate::error::ConfigError;
use crate::error::ConfigProblem;
use crate::limits::CONFIG_PROBLEMS_MAX;

/// Limits on what a schema's patterns may make of a regular expression, in bytes.
const PATTERN_BYTES_MAX: usize = 1 << 20;

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
            message: error.to_string(),
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
    fn canonical_bytes_do_not_depend_on_the_order_of_keys() {
        let a: Value = serde_json::from_str(r#"{"b": 1, "a": [ {"d": 1, "c": 2} ]}"#).unwrap();
        assert_eq!(canonical(&a).unwrap(), r#"{"a":[{"c":2,"d":1}],"b":1}"#);
        assert!(canonical(&json!("x".repeat(POLICY_CONFIG_BYTES_MAX))).is_err());
    }
}
