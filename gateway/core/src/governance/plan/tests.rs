//! When a lease's rule is another one.

use leasehold_domain::PolicyLimits;
use serde_json::Value;
use serde_json::json;

use super::*;
use crate::governance::document::BindingDocument;
use crate::governance::document::BoundPolicyDocument;
use crate::governance::index::BindingIndex;

/// A binding of namespace `demo`, with members replaced.
fn binding(members: Value) -> BindingDocument {
    let mut binding = json!({ "name": "b", "namespaces": ["demo"], "locks": ["a/**"],
        "policies": [{ "policy": "p", "version": "1.0.0" }] });
    for (name, value) in members.as_object().unwrap() {
        binding[name] = value.clone();
    }
    serde_json::from_value(binding).unwrap()
}

/// The rule of a lease of one lock where these are bound. The modules cannot be loaded here, which
/// is no reason to stop judging.
fn rule(bindings: &[BindingDocument], lock: &str) -> RuleDigest {
    let mut index = BindingIndex::default();
    for binding in bindings {
        let unloaded = |_: &BoundPolicyDocument| Err("none".to_owned());
        let steps = steps_of(binding, &[], unloaded).unwrap();
        index.put(&binding.name, binding.clone(), steps);
    }
    let namespace: NamespaceDocument = serde_json::from_value(json!({ "name": "demo" })).unwrap();
    let mut plan = Plan::default();
    plan.put_namespace(Arc::new(namespace), index.steps("demo"));
    plan.put_steps_everywhere(index.steps("*"));
    let name = "demo".parse().unwrap();
    let namespace = plan.namespace(&name).unwrap();
    namespace.rule(
        &lock.parse().unwrap(),
        (&PolicyLimits::default(), false),
        Some,
    )
}

#[test]
fn what_judges_renewals_of_the_lock_makes_the_rule() {
    let plain = binding(json!({}));
    let before = rule(std::slice::from_ref(&plain), "a/x");
    assert_eq!(rule(std::slice::from_ref(&plain), "a/y"), before);
    let policy = |policy: Value| binding(json!({ "policies": [policy] }));
    let others = [
        binding(json!({ "name": "c" })),
        policy(json!({ "policy": "q", "version": "1.0.0" })),
        policy(json!({ "policy": "p", "version": "1.0.1" })),
        policy(json!({ "policy": "p", "version": "1.0.0", "enforcement": "advisory" })),
        policy(json!({ "policy": "p", "version": "1.0.0", "on_error": { "allow": ["renew"] } })),
        binding(json!({ "operations": ["acquire"] })),
        binding(json!({ "locks": ["b/**"] })),
        binding(json!({ "namespaces": ["other"] })),
    ];
    for other in others {
        assert_ne!(
            rule(std::slice::from_ref(&other), "a/x"),
            before,
            "{other:?}"
        );
    }
}

#[test]
fn what_does_not_judge_renewals_of_the_lock_is_no_part_of_the_rule() {
    let plain = binding(json!({}));
    let before = rule(std::slice::from_ref(&plain), "a/x");
    for beside in [
        json!({ "name": "c", "operations": ["acquire", "transfer"] }),
        json!({ "name": "c", "locks": ["b/**"] }),
        json!({ "name": "c", "namespaces": ["other"] }),
        json!({ "name": "c", "policies": [
            { "policy": "p", "version": "1.0.0", "enforcement": "advisory" }] }),
    ] {
        assert_eq!(rule(&[plain.clone(), binding(beside)], "a/x"), before);
    }
}
