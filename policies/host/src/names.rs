//! Names in the configurations of stock policies: a rule about a lock, a team or a subject that
//! cannot exist never matches, and so does a rule behind one that covers all that it covers.

use leasehold_domain::Role;
use leasehold_domain::Subject;
use leasehold_domain::TeamName;
use leasehold_domain::check_lock_pattern;
use leasehold_domain::limits::LABEL_KEY_BYTES_MAX;
use leasehold_domain::limits::LABEL_VALUE_BYTES_MAX;
use serde_json::Value;

use crate::error::ConfigProblem;
use crate::limits::CONFIG_PROBLEMS_MAX;
use crate::stock;

/// A place in a configuration, and what the text there names. In the place, which is a JSON Pointer,
/// `*` stands for each item of a list or member of an object, and a last `{}` for each member's name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Named(pub(crate) &'static str, pub(crate) Kind);

/// What a text names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    LockPattern,
    Team,
    /// A team, or `*` for all.
    TeamOrAll,
    Subject,
    Role,
    LabelKey,
    /// A pattern of a label's value, with the wildcards `*`, `?` and `#`.
    LabelPattern,
}

/// Finds what can never match in a stock policy's configuration, which fits the policy's schema.
pub(crate) fn unmatchable(policy: &str, config: &Value) -> Vec<ConfigProblem> {
    let mut problems = Vec::new();
    let named = stock::NAMES.iter().filter(|(name, _)| *name == policy);
    for Named(place, kind) in named.flat_map(|(_, places)| *places) {
        let segments: Vec<&str> = place.split('/').skip(1).collect();
        visit(config, &segments, String::new(), &mut |path, text| {
            if let Err(message) = kind.check(text) {
                problems.push(ConfigProblem { path, message });
            }
        });
    }
    let lists = stock::FIRST_MATCH
        .iter()
        .filter(|(name, _)| *name == policy);
    for (_, list) in lists {
        problems.extend(shadowed(list, &config[*list]));
    }
    problems.truncate(CONFIG_PROBLEMS_MAX);
    problems
}

/// Shows every text at a place, with its JSON Pointer.
fn visit(value: &Value, place: &[&str], path: String, show: &mut impl FnMut(String, &str)) {
    let Some((first, rest)) = place.split_first() else {
        if let Some(text) = value.as_str() {
            show(path, text);
        }
        return;
    };
    match (*first, value) {
        ("{}", Value::Object(members)) => {
            for name in members.keys() {
                show(format!("{path}/{}", escaped(name)), name);
            }
        }
        ("*", Value::Object(members)) => {
            for (name, member) in members {
                visit(member, rest, format!("{path}/{}", escaped(name)), show);
            }
        }
        ("*", Value::Array(items)) => {
            for (index, item) in items.iter().enumerate() {
                visit(item, rest, format!("{path}/{index}"), show);
            }
        }
        (name, Value::Object(members)) => {
            if let Some(member) = members.get(name) {
                visit(member, rest, format!("{path}/{name}"), show);
            }
        }
        _ => {}
    }
}

/// A member's name in a JSON Pointer.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

impl Kind {
    fn check(self, text: &str) -> Result<(), String> {
        let told = |reason: &dyn std::fmt::Display| format!("{text:?} can never match: {reason}");
        match self {
            Self::LockPattern => check_lock_pattern(text).map_err(|reason| told(&reason)),
            Self::TeamOrAll if text == "*" => Ok(()),
            Self::Team | Self::TeamOrAll => {
                text.parse::<TeamName>().map(drop).map_err(|e| told(&e))
            }
            Self::Subject => text.parse::<Subject>().map(drop).map_err(|e| told(&e)),
            Self::Role => match Role::from_name(text) {
                Some(_) => Ok(()),
                None => {
                    let names = Role::ALL.map(Role::as_str).join(", ");
                    Err(told(&format!("the roles are {names}")))
                }
            },
            Self::LabelKey => label_text(text, text.len(), LABEL_KEY_BYTES_MAX)
                .map_err(|reason| told(&format!("a label's key {reason}"))),
            Self::LabelPattern => {
                let least = text.bytes().filter(|byte| *byte != b'*').count();
                label_text(text, least, LABEL_VALUE_BYTES_MAX)
                    .map_err(|reason| told(&format!("a label's value {reason}")))
            }
        }
    }
}

/// What admission demands of labels.
fn label_text(text: &str, bytes: usize, bytes_max: usize) -> Result<(), String> {
    if text.is_empty() {
        return Err("is not empty".to_owned());
    }
    if bytes > bytes_max {
        return Err(format!("has at most {bytes_max} bytes"));
    }
    let forbidden = |c: char| c.is_control() && c != '\n' && c != '\t';
    match text.chars().any(forbidden) {
        true => Err("holds no control characters".to_owned()),
        false => Ok(()),
    }
}

/// Finds rules behind another that covers all locks, or the same ones.
fn shadowed(list: &str, rules: &Value) -> Vec<ConfigProblem> {
    let rules = rules.as_array().map(Vec::as_slice).unwrap_or_default();
    let pattern = |rule: &Value| rule["locks"].as_str().unwrap_or("**").to_owned();
    let patterns: Vec<String> = rules.iter().map(pattern).collect();
    let mut problems = Vec::new();
    for (index, own) in patterns.iter().enumerate() {
        let covers = |earlier: &String| *earlier == "**" || earlier == own;
        if let Some(before) = patterns[..index].iter().position(covers) {
            problems.push(ConfigProblem {
                path: format!("/{list}/{index}"),
                message: format!(
                    "can never match: the first rule that covers a lock counts, and \
                     /{list}/{before} ({:?}) covers all that this one covers",
                    patterns[before]
                ),
            });
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn paths(policy: &str, config: &Value) -> Vec<String> {
        let problems = unmatchable(policy, config).into_iter();
        let mut paths: Vec<String> = problems.map(|problem| problem.path).collect();
        paths.sort();
        paths
    }

    #[test]
    fn every_text_of_a_stock_configuration_that_can_never_match_is_found() {
        let long = "x".repeat(LABEL_VALUE_BYTES_MAX + 1);
        let freeze = json!({ "windows": [
            { "name": "a", "locks": ["ok/**", "prod/{a,b}/**"] },
            { "name": "b", "exceptions": [
                { "team": "Not A Team", "subject": "ok" },
                { "subject": " padded ", "labels": { "ticket": "CHG-##\u{7}", "a/b": long } } ] },
        ] });
        assert_eq!(
            paths("freeze-window", &freeze),
            [
                "/windows/0/locks/1",
                "/windows/1/exceptions/0/team",
                "/windows/1/exceptions/1/labels/a~1b",
                "/windows/1/exceptions/1/labels/ticket",
                "/windows/1/exceptions/1/subject",
            ]
        );
        let claims = json!({ "unclaimed": "deny", "claims": [
            { "locks": "a//b", "teams": ["*", "a*"] }, { "locks": "b/?", "subjects": [""] } ] });
        assert_eq!(
            paths("ownership", &claims),
            [
                "/claims/0/locks",
                "/claims/0/teams/1",
                "/claims/1/locks",
                "/claims/1/subjects/0"
            ]
        );
        let quota = json!({ "subjects": { "ok": 1, " x": 1 }, "teams": { "*": 1, "web": 2 } });
        assert_eq!(paths("quota", &quota), ["/subjects/ x", "/teams/*"]);
        let duties = json!({ "revoke": { "roles": ["operator", "admin"], "ticket": "\u{1}" },
            "transfer": { "teams": ["a b"], "subjects": ["ok"] } });
        assert_eq!(
            paths("separation-of-duties", &duties),
            ["/revoke/roles/1", "/revoke/ticket", "/transfer/teams/0"]
        );
        let bounds = json!({ "rules": [{ "locks": "a/../b" }, { "max_ttl_ms": 1_000 }] });
        assert_eq!(paths("ttl-bounds", &bounds), ["/rules/0/locks"]);
    }

    #[test]
    fn a_rule_behind_one_that_covers_it_is_found() {
        let bounds = json!({ "rules": [{ "locks": "a/**" }, { "locks": "b" }, { "locks": "a/**" },
            { "max_ttl_ms": 1_000 }, { "locks": "c" }] });
        assert_eq!(paths("ttl-bounds", &bounds), ["/rules/2", "/rules/4"]);
        let claims = json!({ "claims": [{ "locks": "a/b" }, { "locks": "a/**" }] });
        assert_eq!(paths("ownership", &claims), [""; 0]);
    }

    #[test]
    fn the_table_names_places_that_the_schemas_have() {
        let engine = crate::PolicyEngine::new(crate::EngineLimits {
            instances: 1,
            ..crate::EngineLimits::default()
        });
        let engine = engine.unwrap();
        for (policy, wasm) in stock::MODULES {
            let module = engine.compile(wasm).unwrap();
            let schema = &module.manifest().config_schema;
            let places = stock::NAMES.iter().filter(|(name, _)| name == policy);
            let places: Vec<_> = places.flat_map(|(_, places)| *places).collect();
            assert!(!places.is_empty(), "{policy}");
            for Named(place, _) in places {
                assert!(
                    has(
                        schema,
                        schema,
                        &place.split('/').skip(1).collect::<Vec<_>>()
                    ),
                    "{policy} {place}"
                );
            }
        }
    }

    /// Whether a schema knows a place.
    fn has(whole: &Value, schema: &Value, place: &[&str]) -> bool {
        let schema = match schema["$ref"].as_str() {
            Some(at) => whole.pointer(at.trim_start_matches('#')).unwrap(),
            None => schema,
        };
        let Some((first, rest)) = place.split_first() else {
            return schema["type"] == "string";
        };
        match *first {
            "{}" => schema["additionalProperties"].is_object(),
            "*" if schema["items"].is_object() => has(whole, &schema["items"], rest),
            "*" if schema["additionalProperties"].is_object() => {
                has(whole, &schema["additionalProperties"], rest)
            }
            "*" => schema["properties"]
                .as_object()
                .is_some_and(|members| members.values().all(|member| has(whole, member, rest))),
            name => has(whole, &schema["properties"][name], rest),
        }
    }
}
