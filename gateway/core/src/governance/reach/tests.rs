//! What can never match is refused with its place, and what changes is told.

use crate::failure::FailureKind;
use leasehold_domain::Operation;
use leasehold_policy_guests::Guest;
use serde_json::Value;
use serde_json::json;

use crate::governance::document::DefaultDecision;
use crate::pipeline::fixture::Gate;

/// A gateway with a namespace `demo`, and versions 1.0.0 to 3.0.0 of a policy `rule` that judge
/// other operations each.
async fn gate() -> Gate {
    let gate = Gate::open().await;
    gate.namespace("demo", DefaultDecision::Allow).await;
    for (version, operations) in [
        ("1.0.0", &["acquire", "renew"][..]),
        ("2.0.0", &["acquire", "transfer", "release"]),
        ("3.0.0", &["release", "cancel-wait"]),
    ] {
        let guest = Guest {
            name: "rule".to_owned(),
            version: version.to_owned(),
            operations: operations.iter().map(|name| (*name).to_owned()).collect(),
            ..Guest::default()
        };
        gate.upload(guest.wasm()).await;
    }
    gate
}

/// A binding of `rule` with members replaced.
fn binding(version: &str, members: Value) -> Value {
    let mut binding = json!({ "namespaces": ["demo"],
        "policies": [{ "policy": "rule", "version": version }] });
    for (name, value) in members.as_object().unwrap() {
        binding[name] = value.clone();
    }
    binding
}

/// The message with which a binding is refused as wrong.
async fn refused(gate: &Gate, binding: Value) -> String {
    let failure = match gate.bind(binding.clone()).await {
        Err(failure) => failure,
        Ok(written) => unreachable!("{binding} was written: {written:?}"),
    };
    assert_eq!(failure.kind, FailureKind::Invalid, "{failure:?}");
    failure.message
}

#[tokio::test]
async fn what_can_never_match_is_refused_with_its_place() {
    let gate = gate().await;
    for (members, places) in [
        (
            json!({ "locks": ["ok/**", "prod/{a,b}/**"] }),
            &["locks[1]", "'{'"][..],
        ),
        (
            json!({ "locks": ["/a", "b//c", "d/"] }),
            &["locks[0]", "locks[1]", "locks[2]"],
        ),
        (json!({ "locks": ["a/../b"] }), &["locks[0]", "\"..\""]),
        (json!({ "locks": ["a/b**"] }), &["locks[0]", "**"]),
        (json!({ "locks": ["demo/a?"] }), &["locks[0]", "'?'"]),
        (json!({ "locks": [""] }), &["locks[0]"]),
        (
            json!({ "locks": ["x".repeat(513)] }),
            &["locks[0]", "513 bytes"],
        ),
        (json!({ "locks": [] }), &["locks:"]),
        (
            json!({ "namespaces": ["demo", "de*"] }),
            &["namespaces[1]", "de*"],
        ),
        (json!({ "namespaces": ["**"] }), &["namespaces[0]"]),
        (
            json!({ "namespaces": ["nowhere"] }),
            &["namespaces[0]", "nowhere"],
        ),
        (json!({ "namespaces": [] }), &["namespaces"]),
        (
            json!({ "operations": ["acquire", "release"] }),
            &["operations[1]", "never judged"],
        ),
        (
            json!({ "operations": ["cancel-wait"] }),
            &["operations[0]", "never judged"],
        ),
        (
            json!({ "operations": ["aquire"] }),
            &["operations[0]", "acquire"],
        ),
        (
            json!({ "operations": ["acquire", "revoke"] }),
            &["operations[1]", "revoke", "rule@1.0.0"],
        ),
    ] {
        let message = refused(&gate, binding("1.0.0", members.clone())).await;
        for place in places {
            assert!(message.contains(place), "{place} of {members}: {message}");
        }
    }
    let message = refused(&gate, binding("3.0.0", json!({}))).await;
    assert!(message.contains("policies[0]"), "{message}");
}

#[tokio::test]
async fn a_policy_that_would_never_be_asked_is_refused() {
    let gate = gate().await;
    let policies = json!([{ "policy": "rule", "version": "1.0.0" },
        { "policy": "separation-of-duties", "version": "1.1.0" }]);
    let members = json!({ "operations": ["acquire"], "policies": policies });
    let message = refused(&gate, binding("1.0.0", members)).await;
    assert!(message.contains("policies[1]"), "{message}");
}

#[tokio::test]
async fn a_stock_configuration_that_can_never_match_is_refused_with_its_place() {
    let gate = gate().await;
    let window = json!({ "name": "w", "from": "2026-01-01T00:00:00Z",
        "until": "2036-01-01T00:00:00Z", "locks": ["prod/{a,b}/**"] });
    for (policy, config, place) in [
        (
            "freeze-window",
            json!({ "windows": [window] }),
            "/windows/0/locks/0",
        ),
        (
            "ownership",
            json!({ "unclaimed": "allow", "claims": [{ "locks": "a b/**" }] }),
            "/claims/0/locks",
        ),
        (
            "ttl-bounds",
            json!({ "rules": [{ "locks": "[ab]/**" }] }),
            "/rules/0/locks",
        ),
        ("quota", json!({ "subjects": { " a": 1 } }), "/subjects/ a"),
        (
            "separation-of-duties",
            json!({ "revoke": { "roles": [" admin"] } }),
            "/revoke/roles/0",
        ),
    ] {
        let version = if policy == "quota" { "2.0.1" } else { "1.1.0" };
        let policies = json!([{ "policy": policy, "version": version, "config": config }]);
        let message = refused(&gate, binding("", json!({ "policies": policies }))).await;
        let place = format!("policies[0].config{place}");
        assert!(message.contains(&place), "{place}: {message}");
    }
}

#[tokio::test]
async fn a_version_that_judges_other_operations_is_told_or_refused() {
    let gate = gate().await;
    let first = gate.bind(binding("1.0.0", json!({}))).await.unwrap();
    assert_eq!(first.judges, [Operation::Acquire, Operation::Renew]);
    assert_eq!(first.changes, []);
    let second = gate.bind(binding("2.0.0", json!({}))).await.unwrap();
    assert_eq!(second.judges, [Operation::Acquire, Operation::Transfer]);
    let [change] = &second.changes[..] else {
        unreachable!("{second:?}")
    };
    assert_eq!(change.added, [Operation::Transfer]);
    assert_eq!(change.removed, [Operation::Renew]);
    assert_eq!(
        (&change.from[..], &change.to[..]),
        (&["1.0.0".to_owned()][..], &["2.0.0".to_owned()][..])
    );
    let same = gate
        .bind(binding("2.0.0", json!({ "locks": ["a"] })))
        .await
        .unwrap();
    assert_eq!(same.changes, []);

    // Named operations must stay judged.
    let named = json!({ "operations": ["acquire", "renew"] });
    gate.bind(binding("1.0.0", named.clone())).await.unwrap();
    let message = refused(&gate, binding("2.0.0", named)).await;
    assert!(message.contains("operations[1]"), "{message}");
}
