//! Names in a configuration: a rule about a lock, a team or a subject that cannot exist never
//! matches, and neither does a rule behind one that covers all that it covers.

use std::collections::BTreeSet;

use leasehold_domain::Role;
use leasehold_domain::RoleName;
use leasehold_domain::Subject;
use leasehold_domain::TeamName;
use leasehold_domain::check_lock_pattern;
use leasehold_domain::limits::LABEL_KEY_BYTES_MAX;
use leasehold_domain::limits::LABEL_VALUE_BYTES_MAX;
use serde_json::Value;

use crate::error::ConfigProblem;

/// A place in a configuration, and what the text there names. In the place, which is a JSON Pointer,
/// `*` stands for each item of a list or member of an object, and a last `{}` for each member's name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Named(pub(crate) &'static str, pub(crate) Kind);

/// What a text names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    LockPattern,
    /// A lock pattern of which one segment may stand for the owner.
    OwnedLockPattern,
    Team,
    /// A team, or a pattern in which `*` stands for any text.
    TeamPattern,
    Subject,
    Role,
    LabelKey,
    /// A pattern of a label's value, with the wildcards `*`, `?` and `#`.
    LabelPattern,
}

impl Named {
    /// Finds the texts at this place that can never match.
    pub(crate) fn unmatchable(self, config: &Value, problems: &mut Vec<ConfigProblem>) {
        let Self(place, kind) = self;
        let segments: Vec<&str> = place.split('/').skip(1).collect();
        visit(config, &segments, String::new(), &mut |path, text| {
            if let Err(message) = kind.check(text) {
                problems.push(ConfigProblem { path, message });
            }
        });
    }
}

/// Finds the roles at these places that are not the gateway's.
pub(crate) fn custom_roles_at(places: &[Named], config: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for Named(place, _) in places.iter().filter(|Named(_, kind)| *kind == Kind::Role) {
        let segments: Vec<&str> = place.split('/').skip(1).collect();
        visit(config, &segments, String::new(), &mut |_, text| {
            if Role::from_name(text).is_none() {
                found.insert(text.to_owned());
            }
        });
    }
    found
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
            Self::OwnedLockPattern => {
                // Any owner would do in the place of the placeholder; the module checks the rest.
                let segment = |segment| match segment {
                    "{team}" | "{subject}" => "*",
                    other => other,
                };
                let segments: Vec<&str> = text.split('/').map(segment).collect();
                check_lock_pattern(&segments.join("/")).map_err(|reason| told(&reason))
            }
            Self::TeamPattern if text.contains('*') => {
                // The shortest name that could match: a name does not begin with a dash.
                let first = if text.starts_with('*') { "a" } else { "" };
                let shortest = format!("{first}{}", text.replace('*', ""));
                let shortest = shortest.parse::<TeamName>();
                shortest.map(drop).map_err(|e| told(&e))
            }
            Self::Team | Self::TeamPattern => {
                text.parse::<TeamName>().map(drop).map_err(|e| told(&e))
            }
            Self::Subject => text.parse::<Subject>().map(drop).map_err(|e| told(&e)),
            Self::Role => RoleName::of_caller(text).map(drop).map_err(|e| told(&e)),
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

/// Finds rules behind others that cover all locks, or the same ones. A rule that has one of the
/// members `narrower` covers less than its locks say.
pub(crate) fn shadowed(list: &str, rules: &Value, narrower: &[&str]) -> Vec<ConfigProblem> {
    let rules = rules.as_array().map(Vec::as_slice).unwrap_or_default();
    // What is covered by now, and by which rule.
    let mut covered: Vec<(&str, usize)> = Vec::new();
    let mut problems = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        let own = lock_patterns(rule);
        let by = |own: &&str| {
            let found = covered
                .iter()
                .find(|(pattern, _)| pattern == own || *pattern == "**");
            found.copied()
        };
        let before: Option<Vec<(&str, usize)>> = own.iter().map(by).collect();
        if let Some((pattern, before)) = before.and_then(|before| before.first().copied()) {
            problems.push(ConfigProblem {
                path: format!("/{list}/{index}"),
                message: format!(
                    "can never match: the first rule that covers a lock counts, and \
                     /{list}/{before} ({pattern:?}) covers all that this one covers"
                ),
            });
        }
        if narrower.iter().all(|member| rule[*member].is_null()) {
            covered.extend(own.into_iter().map(|pattern| (pattern, index)));
        }
    }
    problems
}

/// The lock patterns of a rule; without any it covers all locks.
fn lock_patterns(rule: &Value) -> Vec<&str> {
    match &rule["locks"] {
        Value::Array(patterns) => patterns.iter().filter_map(Value::as_str).collect(),
        Value::String(pattern) => vec![pattern],
        _ => vec!["**"],
    }
}
