//! What differs between two states of a document, field by field, in the form that the API shows.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde_json::Value;
use serde_json::json;

use super::Revised;

/// A field that differs.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldChange {
    /// A JSON pointer into the document as the API shows it; empty for the whole document. The policies
    /// of a binding are matched by name; the index is the one in the newer binding, or in the older one
    /// for a policy that was removed.
    pub path: String,
    /// The value before; `None` if there was none.
    pub before: Option<Value>,
    /// The value now; `None` if there is none.
    pub after: Option<Value>,
}

/// Returns what differs between two states of a document; `None` is one that does not exist.
pub(crate) fn field_changes<T: Revised>(before: Option<&T>, after: Option<&T>) -> Vec<FieldChange> {
    let (before, after) = (before.map(T::shown), after.map(T::shown));
    value_changes(before.as_ref(), after.as_ref())
}

/// Returns what differs between two states of a document as the API shows it. Members that are lists
/// differ as a whole, except for the policies of a binding.
#[must_use]
pub fn value_changes(before: Option<&Value>, after: Option<&Value>) -> Vec<FieldChange> {
    let mut changes = Vec::new();
    let (Some(Value::Object(before)), Some(Value::Object(after))) = (before, after) else {
        push(String::new(), before, after, &mut changes);
        return changes;
    };
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for name in names {
        let (old, new) = (before.get(name), after.get(name));
        let path = format!("/{name}");
        match (old, new) {
            (Some(old), Some(new)) if name == POLICIES => {
                compare_policies(old, new, &mut changes);
            }
            (Some(Value::Array(_)), Some(Value::Array(_))) => push(path, old, new, &mut changes),
            (old, new) => compare(path, old, new, &mut changes),
        }
    }
    changes
}

/// The member of a binding whose elements have names.
const POLICIES: &str = "policies";

/// Compares the lists of policies. An entry is matched with the entry of the same policy; if a binding
/// names a policy more than once, entries are matched by their places.
fn compare_policies(before: &Value, after: &Value, changes: &mut Vec<FieldChange>) {
    let (old, new) = (entries(before), entries(after));
    let (Some(old_places), Some(new_places)) = (places(old), places(new)) else {
        for at in 0..old.len().max(new.len()) {
            let path = format!("/{POLICIES}/{at}");
            compare(path, old.get(at), new.get(at), changes);
        }
        return;
    };
    let (order_before, order_after) = (
        kept(&old_places, &new_places),
        kept(&new_places, &old_places),
    );
    push(
        "/policies".to_owned(),
        Some(&json!(order_before)),
        Some(&json!(order_after)),
        changes,
    );
    for (at, entry) in new.iter().enumerate() {
        let before = name_of(entry).and_then(|name| old_places.get(name));
        let before = before.and_then(|at| old.get(*at));
        compare(format!("/policies/{at}"), before, Some(entry), changes);
    }
    for (at, entry) in old.iter().enumerate() {
        if !name_of(entry).is_some_and(|name| new_places.contains_key(name)) {
            push(format!("/policies/{at}"), Some(entry), None, changes);
        }
    }
}

/// Returns the names that both lists have, in the order of the first.
fn kept<'n>(names: &BTreeMap<&'n str, usize>, others: &BTreeMap<&str, usize>) -> Vec<&'n str> {
    let mut kept: Vec<_> = names.iter().map(|(name, at)| (*at, *name)).collect();
    kept.retain(|(_, name)| others.contains_key(name));
    kept.sort_unstable();
    kept.into_iter().map(|(_, name)| name).collect()
}

fn entries(policies: &Value) -> &[Value] {
    policies.as_array().map_or(&[], Vec::as_slice)
}

fn name_of(entry: &Value) -> Option<&str> {
    entry["policy"].as_str()
}

/// Returns the places of the entries by the names of their policies; `None` if two have one name.
fn places(entries: &[Value]) -> Option<BTreeMap<&str, usize>> {
    let mut places = BTreeMap::new();
    for (at, entry) in entries.iter().enumerate() {
        if places.insert(name_of(entry)?, at).is_some() {
            return None;
        }
    }
    Some(places)
}

/// Compares two values: objects member by member, lists of the same length element by element, and
/// everything else whole.
fn compare(
    path: String,
    before: Option<&Value>,
    after: Option<&Value>,
    changes: &mut Vec<FieldChange>,
) {
    match (before, after) {
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
            for name in names {
                let escaped = name.replace('~', "~0").replace('/', "~1");
                let member = format!("{path}/{escaped}");
                compare(member, before.get(name), after.get(name), changes);
            }
        }
        (Some(Value::Array(before)), Some(Value::Array(after))) if before.len() == after.len() => {
            for (at, (before, after)) in before.iter().zip(after).enumerate() {
                compare(format!("{path}/{at}"), Some(before), Some(after), changes);
            }
        }
        (before, after) => push(path, before, after, changes),
    }
}

fn push(
    path: String,
    before: Option<&Value>,
    after: Option<&Value>,
    changes: &mut Vec<FieldChange>,
) {
    if before != after {
        changes.push(FieldChange {
            path,
            before: before.cloned(),
            after: after.cloned(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::governance::document::BindingDocument;
    use crate::governance::document::NamespaceSettings;

    fn binding(members: Value) -> BindingDocument {
        let mut binding = json!({ "name": "b", "namespaces": ["demo"], "policies": [
            { "policy": "p", "version": "1.0.0", "config": { "rules": [{ "ttl": 1 }, 2] } },
            { "policy": "q", "version": "1.0.0" }] });
        for (name, value) in members.as_object().unwrap() {
            binding[name] = value.clone();
        }
        serde_json::from_value(binding).unwrap()
    }

    fn told(before: &BindingDocument, after: &BindingDocument) -> Vec<String> {
        let text = |value: &Option<Value>| value.as_ref().map_or("-".to_owned(), Value::to_string);
        let changes = field_changes(Some(before), Some(after));
        let told = changes.iter().map(|change| {
            let (before, after) = (text(&change.before), text(&change.after));
            format!("{} {before} {after}", change.path)
        });
        told.collect()
    }

    #[test]
    fn each_field_that_differs_is_told_with_its_place() {
        let before = binding(json!({}));
        assert_eq!(told(&before, &before), Vec::<String>::new());
        let after = binding(json!({ "order": 7, "locks": ["a/**"], "policies": [
            { "policy": "p", "version": "1.1.0", "enforcement": "advisory",
              "config": { "rules": [{ "ttl": 3 }, 2], "a/b~c": true } },
            { "policy": "q", "version": "1.0.0", "on_error": { "allow": ["renew"] } }] }));
        let expected = [
            r#"/locks ["**"] ["a/**"]"#,
            "/order 0 7",
            "/policies/0/config/a~1b~0c - true",
            "/policies/0/config/rules/0/ttl 1 3",
            r#"/policies/0/enforcement "mandatory" "advisory""#,
            r#"/policies/0/version "1.0.0" "1.1.0""#,
            r#"/policies/1/on_error_allow [] ["renew"]"#,
        ];
        assert_eq!(told(&before, &after), expected);
    }

    #[test]
    fn policies_are_matched_by_name_so_that_an_insertion_is_one_change() {
        let before = binding(json!({}));
        let inserted = binding(json!({ "policies": [
            { "policy": "new", "version": "2.0.0" },
            { "policy": "p", "version": "1.0.0", "config": { "rules": [{ "ttl": 1 }, 2] } },
            { "policy": "q", "version": "1.0.0" }] }));
        let changes = told(&before, &inserted);
        assert_eq!(changes.len(), 1, "{changes:?}");
        assert!(changes[0].starts_with("/policies/0 - {"), "{changes:?}");
        let removed = told(&inserted, &before);
        assert_eq!(removed.len(), 1, "{removed:?}");
        assert!(removed[0].ends_with(" -"), "{removed:?}");
        let turned = binding(json!({ "policies": [
            { "policy": "q", "version": "1.0.0" },
            { "policy": "p", "version": "1.0.0", "config": { "rules": [{ "ttl": 1 }, 2] } }] }));
        let changes = told(&before, &turned);
        assert_eq!(changes, [r#"/policies ["p","q"] ["q","p"]"#]);
        let twice = binding(json!({ "policies": [
            { "policy": "q", "version": "1.0.0" }, { "policy": "q", "version": "2.0.0" }] }));
        let once = binding(json!({ "policies": [{ "policy": "q", "version": "1.0.0" }] }));
        let changes = told(&twice, &once);
        assert_eq!(changes.len(), 1, "{changes:?}");
        assert!(changes[0].starts_with("/policies/1 {"), "{changes:?}");
    }

    #[test]
    fn a_binding_that_did_not_exist_differs_as_a_whole() {
        let only = binding(json!({}));
        for (before, after) in [(None, Some(&only)), (Some(&only), None)] {
            let changes = field_changes(before, after);
            assert_eq!(changes.len(), 1);
            assert_eq!(
                (&*changes[0].path, changes[0].before.is_some()),
                ("", before.is_some())
            );
        }
        assert_eq!(field_changes(None::<&BindingDocument>, None), []);
    }

    #[test]
    fn each_setting_of_a_namespace_that_differs_is_told_as_the_api_names_it() {
        let settings = |members: Value| -> NamespaceSettings {
            let mut settings = json!({ "name": "demo" });
            for (name, value) in members.as_object().unwrap() {
                settings[name] = value.clone();
            }
            serde_json::from_value(settings).unwrap()
        };
        let before = settings(json!({}));
        let after = settings(json!({ "team": "ci", "default_decision": "allow",
            "visibility": { "teams": ["ops"] }, "caps": { "locks": 7 }, "description": "d" }));
        let changes = field_changes(Some(&before), Some(&after));
        let told = changes
            .into_iter()
            .map(|one| (one.path, one.before, one.after));
        let expected = [
            ("/caps/locks", None, Some(json!(7))),
            (
                "/default_decision",
                Some(json!("deny")),
                Some(json!("allow")),
            ),
            ("/description", Some(json!("")), Some(json!("d"))),
            ("/team", None, Some(json!("ci"))),
            ("/visible_to", Some(json!([])), Some(json!(["ops"]))),
        ];
        let expected = expected.map(|(path, before, after)| (path.to_owned(), before, after));
        assert_eq!(told.collect::<Vec<_>>(), expected);
    }
}
