//! The stock policies, built from `policies/stock` and committed, so that a gateway needs no
//! WebAssembly target to start.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use leasehold_domain::Digest;
use serde_json::Value;

use crate::error::ConfigProblem;
use crate::limits::CONFIG_PROBLEMS_MAX;
use crate::names::Kind;
use crate::names::Named;
use crate::names::custom_roles_at;
use crate::names::shadowed;

/// Each stock policy's name and module.
pub const MODULES: &[(&str, &[u8])] = &[
    (
        "freeze-window",
        include_bytes!("../../modules/freeze-window.wasm"),
    ),
    ("ownership", include_bytes!("../../modules/ownership.wasm")),
    ("quota", include_bytes!("../../modules/quota.wasm")),
    (
        "separation-of-duties",
        include_bytes!("../../modules/separation-of-duties.wasm"),
    ),
    (
        "ttl-bounds",
        include_bytes!("../../modules/ttl-bounds.wasm"),
    ),
];

/// The digests of the stock policies of earlier builds, which stores of those still have.
const EARLIER: [&str; 10] = [
    "4c2d98712e89d0f89680008b7920ca22ac20913e00b24a396b7c7cc651a8f04b", // freeze-window 1.0.0
    "084abe9cab03fc3a6c7869b58cfe3699768d5e9af5f6e4fcf8d8e9a620f3e50f", // ownership 1.0.0
    "ce78cb29d02cabcd9a7f89c6b6cac92bcbda1bc9e71b9a6994631d758ec73067", // quota 1.0.0
    "fb7577fb062cdcf0ec40eb95e80901995664cf7e59cdc9eb25bd74309bee1227", // separation-of-duties 1.0.0
    "349473605178e86a6dfe24d50c64c52343a02e28d12d092e2a17f5ccfe29e8df", // ttl-bounds 1.0.0
    // Built for contract 1.2.0.
    "5d3c86f840c5d9badff03d70b19ba85c17336c328cd68a32f7c36e5504c3683b", // freeze-window 1.0.0
    "99366b6ee0cad79ec6f3963eeecaa404b89170bd07abc4474a8abce939b155de", // ownership 1.0.0
    "45e78eb967c9e01a2a1bbf9055cb4a6ea2d2e5ad2aae881227101d1608e90cf0", // quota 2.0.0
    "04c5d5c7217a48ede71a55336d93b705c01cd02d592d23d16f9be065d3cb56ae", // separation-of-duties 1.0.0
    "5f3c8904a106043dc4aae4a59748c2069736bb7ff57a1811ac624e915360d4e4", // ttl-bounds 1.0.0
];

/// Whether a module of that digest is a stock policy of this build or of an earlier one.
#[must_use]
pub fn is_stock(digest: &Digest) -> bool {
    static DIGESTS: OnceLock<Vec<Digest>> = OnceLock::new();
    let digests = || {
        let ours = MODULES.iter().map(|(_, wasm)| Digest::of(wasm));
        let earlier = EARLIER.iter().filter_map(|digest| digest.parse().ok());
        ours.chain(earlier).collect()
    };
    DIGESTS.get_or_init(digests).contains(digest)
}

/// What the stock policies' configurations name, and where. The schema of a module cannot express
/// these grammars, so the host checks them when a binding is written.
const NAMES: &[(&str, &[Named])] = &[
    (
        "freeze-window",
        &[
            Named("/windows/*/locks/*", Kind::LockPattern),
            Named("/windows/*/exceptions/*/role", Kind::Role),
            Named("/windows/*/exceptions/*/team", Kind::Team),
            Named("/windows/*/exceptions/*/subject", Kind::Subject),
            Named("/windows/*/exceptions/*/labels/{}", Kind::LabelKey),
            Named("/windows/*/exceptions/*/labels/*", Kind::LabelPattern),
        ],
    ),
    (
        "ownership",
        &[
            Named("/claims/*/locks", Kind::OwnedLockPattern),
            Named("/claims/*/locks/*", Kind::OwnedLockPattern),
            Named("/claims/*/except/*", Kind::LockPattern),
            Named("/claims/*/teams/*", Kind::TeamPattern),
            Named("/claims/*/subjects/*", Kind::Subject),
        ],
    ),
    (
        "quota",
        &[
            Named("/subjects/{}", Kind::Subject),
            Named("/teams/{}", Kind::Team),
            Named("/rules/*/locks", Kind::LockPattern),
        ],
    ),
    (
        "separation-of-duties",
        &[
            Named("/*/teams/*", Kind::Team),
            Named("/*/roles/*", Kind::Role),
            Named("/*/subjects/*", Kind::Subject),
            Named("/*/ticket", Kind::LabelPattern),
            Named("/*/approvers/*", Kind::Subject),
        ],
    ),
    (
        "ttl-bounds",
        &[
            Named("/rules/*/locks", Kind::LockPattern),
            Named("/rules/*/locks/*", Kind::LockPattern),
            Named("/rules/*/teams/*", Kind::TeamPattern),
            Named("/rules/*/subjects/*", Kind::Subject),
            Named("/rules/*/roles/*", Kind::Role),
        ],
    ),
];

/// The lists of which only the first rule that covers a lock counts, and what makes a rule cover less
/// than its locks say.
const FIRST_MATCH: &[(&str, &str, &[&str])] = &[
    ("ownership", "claims", &["except"]),
    ("quota", "rules", &[]),
    ("ttl-bounds", "rules", &["teams", "subjects", "roles"]),
];

/// Finds what can never match in a stock policy's configuration, which fits the policy's schema.
pub(crate) fn unmatchable(policy: &str, config: &Value) -> Vec<ConfigProblem> {
    let mut problems = Vec::new();
    let named = NAMES.iter().filter(|(name, _)| *name == policy);
    for named in named.flat_map(|(_, places)| *places) {
        named.unmatchable(config, &mut problems);
    }
    let lists = FIRST_MATCH.iter().filter(|(name, ..)| *name == policy);
    for (_, list, narrower) in lists {
        problems.extend(shadowed(list, &config[*list], narrower));
    }
    problems.truncate(CONFIG_PROBLEMS_MAX);
    problems
}

/// Finds the roles that a stock policy's configuration names and that are not the gateway's.
pub(crate) fn custom_roles(policy: &str, config: &Value) -> BTreeSet<String> {
    let named = NAMES.iter().find(|(name, _)| *name == policy);
    named.map_or_else(BTreeSet::new, |(_, places)| custom_roles_at(places, config))
}

#[cfg(test)]
mod tests {
    use leasehold_domain::limits::LABEL_VALUE_BYTES_MAX;
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
            { "locks": "a//b", "teams": ["*", "a*", "A*", { "like": "A" }] },
            { "locks": "b/?", "subjects": ["", { "like": "" }] },
            { "locks": ["c/{team}/**", "c/{group}", "d/{team}?"], "except": ["c/{team}"] } ] });
        assert_eq!(
            paths("ownership", &claims),
            [
                "/claims/0/locks",
                "/claims/0/teams/2",
                "/claims/1/locks",
                "/claims/1/subjects/0",
                "/claims/2/except/0",
                "/claims/2/locks/1",
                "/claims/2/locks/2",
            ]
        );
        let quota = json!({ "subjects": { "ok": 1, " x": 1 }, "teams": { "*": 1, "web": 2 } });
        assert_eq!(paths("quota", &quota), ["/subjects/ x", "/teams/*"]);
        let duties = json!({ "revoke": { "roles": ["operator", "deployer", " admin", "s\u{200b}re"], "ticket": "\u{1}" },
            "transfer": { "teams": ["a b"], "subjects": ["ok"] } });
        assert_eq!(
            paths("separation-of-duties", &duties),
            [
                "/revoke/roles/2",
                "/revoke/roles/3",
                "/revoke/ticket",
                "/transfer/teams/0"
            ]
        );
        let duties = json!({ "revoke": { "roles": ["operator", "deployer"] } });
        let custom = custom_roles("separation-of-duties", &duties);
        assert_eq!(custom.into_iter().collect::<Vec<_>>(), ["deployer"]);
        let bounds = json!({ "rules": [{ "locks": "a/../b" },
            { "locks": ["a", "b c"], "teams": ["a b"], "roles": [" x"] }, { "max_ttl_ms": 1_000 }] });
        assert_eq!(
            paths("ttl-bounds", &bounds),
            [
                "/rules/0/locks",
                "/rules/1/locks/1",
                "/rules/1/roles/0",
                "/rules/1/teams/0"
            ]
        );
    }

    #[test]
    fn a_rule_behind_one_that_covers_it_is_found() {
        let bounds = json!({ "rules": [{ "locks": "a/**" }, { "locks": "b" }, { "locks": "a/**" },
            { "max_ttl_ms": 1_000 }, { "locks": "c" }] });
        assert_eq!(paths("ttl-bounds", &bounds), ["/rules/2", "/rules/4"]);
        let claims = json!({ "claims": [{ "locks": "a/b" }, { "locks": "a/**" }] });
        assert_eq!(paths("ownership", &claims), [""; 0]);
        let lists = json!({ "claims": [{ "locks": ["a", "b"] }, { "locks": ["a", "c"] },
            { "locks": ["c", "b"] }, { "locks": [] }] });
        assert_eq!(paths("ownership", &lists), ["/claims/2"]);
    }

    #[test]
    fn a_rule_for_some_does_not_cover_what_follows() {
        let claims = json!({ "claims": [{ "locks": "**", "except": ["a"] }, { "locks": "**" },
            { "locks": "a" }] });
        assert_eq!(paths("ownership", &claims), ["/claims/2"]);
        let bounds = json!({ "rules": [{ "roles": ["operator"] }, { "locks": "a", "teams": ["x"] },
            { "locks": "a" }, { "locks": "a", "subjects": ["y"] }] });
        assert_eq!(paths("ttl-bounds", &bounds), ["/rules/3"]);
    }

    #[test]
    fn the_table_names_places_that_the_schemas_have() {
        let engine = crate::PolicyEngine::new(crate::EngineLimits {
            instances: 1,
            ..crate::EngineLimits::default()
        });
        let engine = engine.unwrap();
        for (policy, wasm) in MODULES {
            let module = engine.compile(wasm).unwrap();
            let schema = &module.manifest().config_schema;
            let places = NAMES.iter().filter(|(name, _)| name == policy);
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
        if let Some(kinds) = schema["anyOf"].as_array() {
            return kinds.iter().any(|kind| has(whole, kind, place));
        }
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
