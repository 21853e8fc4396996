//! The answer of OFREP's bulk evaluation.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use leasehold_domain::limits::FLAG_TEXT_BYTES_MAX;
use serde::Deserialize;
use serde_json::Value;

use super::limit::FlagLimit;

/// What the service says of one flag.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Evaluation {
    /// What it allows.
    pub(super) limit: FlagLimit,
    /// Its value, as JSON.
    pub(super) value: String,
    /// The name of the value in the service.
    pub(super) variant: Option<String>,
    /// Why the service chose it.
    pub(super) reason: Option<String>,
}

/// The wanted flags, each with its evaluation or why it has none.
pub(super) type Evaluations = BTreeMap<String, Result<Evaluation, String>>;

#[derive(Deserialize)]
struct RawAnswer {
    flags: Vec<RawFlag>,
}

/// Members that may be of any type are [`Value`]s: one flag that is not asked for must not spoil the
/// others.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawFlag {
    key: String,
    value: Option<Value>,
    variant: Option<Value>,
    reason: Option<Value>,
    error_code: Option<Value>,
    error_details: Option<Value>,
}

/// Reads the evaluations of the wanted flags.
///
/// # Errors
/// The body is not an answer of OFREP.
pub(super) fn evaluations(body: &[u8], wanted: &BTreeSet<String>) -> Result<Evaluations, String> {
    let answer: RawAnswer = serde_json::from_slice(body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        format!("the answer is not one of OFREP, at line {line}, column {column}")
    })?;
    let mut all = Evaluations::new();
    for flag in answer.flags {
        if !wanted.contains(&flag.key) {
            continue;
        }
        let read = match all.contains_key(&flag.key) {
            true => Err("the answer has the flag more than once".to_owned()),
            false => evaluation(&flag),
        };
        all.insert(flag.key, read);
    }
    for key in wanted {
        let missing = || Err("the flag service does not have the flag".to_owned());
        all.entry(key.clone()).or_insert_with(missing);
    }
    Ok(all)
}

fn evaluation(flag: &RawFlag) -> Result<Evaluation, String> {
    if let Some(code) = &flag.error_code {
        let details = flag.error_details.as_ref().map(kept);
        let details = details.map_or_else(String::new, |details| format!(": {details}"));
        return Err(format!("the flag service answers {}{details}", kept(code)));
    }
    let Some(value) = &flag.value else {
        return Err("the answer has no value for the flag".to_owned());
    };
    Ok(Evaluation {
        limit: FlagLimit::of(value)?,
        value: kept(value),
        variant: flag.variant.as_ref().map(kept),
        reason: flag.reason.as_ref().map(kept),
    })
}

/// Returns a text, or other JSON as text, without control characters and cut to what is kept.
fn kept(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut text: String = text.chars().filter(|c| !c.is_control()).collect();
    text.truncate(text.floor_char_boundary(FLAG_TEXT_BYTES_MAX));
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(body: &Value) -> Result<Evaluations, String> {
        let wanted = ["a", "b"].map(str::to_owned).into();
        evaluations(body.to_string().as_bytes(), &wanted)
    }

    #[test]
    fn a_flag_has_its_evaluation_or_a_problem() {
        let flags = json!({ "flags": [
            { "key": "other", "value": { "any": [1] }, "variant": 7 },
            { "key": "a", "value": 10, "variant": "ten", "reason": "STATIC", "metadata": {} },
        ], "metadata": { "version": "3" } });
        let all = read(&flags).unwrap();
        let evaluation = all["a"].clone().unwrap();
        assert_eq!(evaluation.limit.share, 10_000);
        assert_eq!(evaluation.value, "10");
        assert_eq!(evaluation.variant.as_deref(), Some("ten"));
        assert_eq!(evaluation.reason.as_deref(), Some("STATIC"));
        assert_eq!(all.len(), 2);
        assert!(all["b"].clone().unwrap_err().contains("does not have"));
    }

    #[test]
    fn a_flag_without_a_usable_value_is_a_problem_of_that_flag_alone() {
        for (flag, problem) in [
            (json!({ "key": "a" }), "no value"),
            (json!({ "key": "a", "value": null }), "no value"),
            (json!({ "key": "a", "value": "wide" }), "is not a number"),
            (json!({ "key": "a", "value": 101 }), "is not a number"),
            (
                json!({ "key": "a", "errorCode": "FLAG_NOT_FOUND", "errorDetails": "gone\n" }),
                "FLAG_NOT_FOUND: gone",
            ),
        ] {
            let all = read(&json!({ "flags": [flag, { "key": "b", "value": true }] })).unwrap();
            let told = all["a"].clone().unwrap_err();
            assert!(told.contains(problem), "{told}");
            assert_eq!(all["b"].clone().unwrap().limit, FlagLimit::NONE);
        }
        let twice = json!({ "flags": [{ "key": "a", "value": 1 }, { "key": "a", "value": 2 }] });
        assert!(read(&twice).unwrap()["a"].is_err());
    }

    #[test]
    fn texts_are_cut_and_other_bodies_are_refused() {
        let long = "ü".repeat(1_000);
        let all = read(&json!({ "flags": [{ "key": "a", "value": 1, "variant": long }] })).unwrap();
        let variant = all["a"].clone().unwrap().variant.unwrap();
        assert_eq!(variant.len(), FLAG_TEXT_BYTES_MAX);
        for body in [
            "",
            "[]",
            "{}",
            "{\"flags\":{}}",
            "{\"flags\":[1]}",
            "<html>",
        ] {
            assert!(evaluations(body.as_bytes(), &["a".to_owned()].into()).is_err());
        }
    }
}
