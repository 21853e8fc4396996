//! Limits, patterns and rules between members, written into the schemas that serde's types alone
//! cannot express. The numbers are the ones that requests are checked against.

mod rollouts;

use leasehold_domain::limits;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use super::patterns;

/// One member of a schema, and what its value must satisfy.
type Rule = (&'static str, &'static str, Value);

/// Writes the rules into the document's schemas.
pub(super) fn write(document: &mut Value) {
    for (schema, member, rule) in rules() {
        let member = &mut document["components"]["schemas"][schema]["properties"][member];
        // A member without a type would be a rule about nothing; the test below finds it.
        merge(member, rule);
    }
}

pub(super) fn merge(into: &mut Value, rule: Value) {
    let Value::Object(rule) = rule else {
        return;
    };
    if !into.is_object() {
        *into = Value::Object(Map::new());
    }
    for (key, value) in rule {
        match (value, into.as_object_mut()) {
            (Value::Null, Some(members)) => {
                members.remove(&key);
            }
            (value, _) => into[key.as_str()] = value,
        }
    }
}

/// A whole number. The format of 64 bits with a sign would say less than the limits.
pub(super) fn range(min: u64, max: u64) -> Value {
    json!({ "minimum": min, "maximum": max, "format": null })
}

/// A name of ASCII characters: as many bytes as characters.
fn ascii(pattern: &str, max: usize) -> Value {
    json!({ "pattern": pattern, "minLength": 1, "maxLength": max })
}

/// Text of any characters, at most so many bytes of UTF-8.
pub(super) fn text(pattern: &str, max: usize) -> Value {
    json!({
        "pattern": pattern,
        "maxLength": max,
        "$comment": format!("at most {max} bytes in UTF-8"),
    })
}

fn subject() -> Value {
    let mut rule = text(&patterns::subject(), limits::SUBJECT_BYTES_MAX);
    rule["minLength"] = json!(1);
    rule
}

fn label() -> Value {
    ascii(patterns::LABEL, limits::NAMESPACE_NAME_BYTES_MAX)
}

fn labels() -> Value {
    let mut key = text(&patterns::name(), limits::LABEL_KEY_BYTES_MAX);
    key["minLength"] = json!(1);
    let mut value = text(&patterns::name(), limits::LABEL_VALUE_BYTES_MAX);
    value["type"] = json!("string");
    json!({
        "maxProperties": limits::LABELS_MAX,
        "propertyNames": key,
        "additionalProperties": value,
    })
}

fn items(min: usize, max: usize, item: Value) -> Value {
    let mut item = item;
    item["type"] = json!("string");
    json!({ "minItems": min, "maxItems": max, "items": item })
}

fn rules() -> Vec<Rule> {
    let mut rules = lock_rules();
    rules.extend(key_rules());
    rules.extend(governance_rules());
    rules.extend(cluster_rules());
    rules.extend(rollouts::replay_rules());
    rules.extend(rollouts::plan_rules());
    rules.extend(rollouts::rollout_rules());
    rules.extend(rollouts::approval_rules());
    rules.extend(signing_rules());
    rules.extend(["locks", "waiters", "ledger_bytes"].map(|name| ("NamespaceCaps", name, cap())));
    rules
}

fn ttl() -> Value {
    range(limits::TTL_MS_MIN, limits::TTL_MS_MAX)
}

fn cap() -> Value {
    range(1, limits::NAMESPACE_CAP_MAX)
}

fn grace() -> Value {
    range(0, limits::GRACE_MS_MAX)
}

fn permits() -> Value {
    range(1, limits::PERMITS_MAX.into())
}

fn request_id() -> Value {
    ascii(patterns::REQUEST_ID, limits::REQUEST_ID_BYTES_MAX)
}

fn lease_id() -> Value {
    json!({ "pattern": patterns::HEX_32 })
}

fn lock() -> Value {
    ascii(&patterns::lock(), limits::LOCK_NAME_BYTES_MAX)
}

fn reason() -> Value {
    text(&patterns::prose(), limits::REASON_BYTES_MAX)
}

fn ticket() -> Value {
    text(&patterns::name(), limits::TICKET_BYTES_MAX)
}

fn override_ttl() -> Value {
    range(limits::OVERRIDE_TTL_MS_MIN, limits::OVERRIDE_TTL_MS_MAX)
}

fn instance() -> Value {
    text(&patterns::name(), limits::INSTANCE_BYTES_MAX)
}

fn description() -> Value {
    text(&patterns::prose(), limits::DESCRIPTION_BYTES_MAX)
}

fn lock_rules() -> Vec<Rule> {
    let mut rules = acquire_rules();
    rules.extend(lease_rules());
    rules
}

fn acquire_rules() -> Vec<Rule> {
    vec![
        ("AcquireRequest", "ttl_ms", ttl()),
        ("AcquireRequest", "wait_ms", range(0, limits::WAIT_MS_MAX)),
        ("AcquireRequest", "permits", permits()),
        ("AcquireRequest", "request_id", request_id()),
        ("AcquireRequest", "instance", instance()),
        ("AcquireRequest", "labels", labels()),
        ("AcquireRequest", "reason", reason()),
        ("AcquireRequest", "ticket", ticket()),
        ("AcquireRequest", "override_ttl_ms", override_ttl()),
        (
            "AcquireRequest",
            "value",
            text(&patterns::value(), limits::VALUE_BYTES_MAX),
        ),
        ("AcquireManyRequest", "ttl_ms", ttl()),
        ("AcquireManyRequest", "permits", permits()),
        ("AcquireManyRequest", "request_id", request_id()),
        ("AcquireManyRequest", "instance", instance()),
        ("AcquireManyRequest", "labels", labels()),
        ("AcquireManyRequest", "reason", reason()),
        ("AcquireManyRequest", "ticket", ticket()),
        ("AcquireManyRequest", "override_ttl_ms", override_ttl()),
        (
            "AcquireManyRequest",
            "locks",
            unique(items(1, limits::LOCKS_PER_BATCH_MAX, lock())),
        ),
    ]
}

fn lease_rules() -> Vec<Rule> {
    vec![
        ("RenewRequest", "lease_id", lease_id()),
        ("RenewRequest", "ttl_ms", ttl()),
        ("RenewRequest", "request_id", request_id()),
        ("RenewRequest", "reason", reason()),
        ("RenewRequest", "ticket", ticket()),
        ("RenewRequest", "override_ttl_ms", override_ttl()),
        ("LeaseRenewal", "lock", lock()),
        ("LeaseRenewal", "lease_id", lease_id()),
        // Out of range it is one lease's problem, not the request's.
        ("LeaseRenewal", "ttl_ms", range(0, u64::MAX)),
        ("LeaseRenewal", "override_ttl_ms", range(0, u64::MAX)),
        (
            "RenewManyRequest",
            "leases",
            json!({ "minItems": 1, "maxItems": limits::LEASES_PER_RENEWAL_MAX }),
        ),
        ("RenewManyRequest", "request_id", request_id()),
        ("ReleaseRequest", "lease_id", lease_id()),
        ("ReleaseRequest", "request_id", request_id()),
        (
            "ReleaseRequest",
            "cooldown_ms",
            range(0, limits::COOLDOWN_MS_MAX),
        ),
        ("RevokeRequest", "grace_ms", grace()),
        ("RevokeRequest", "reason", reason()),
        ("RevokeRequest", "ticket", ticket()),
        ("RevokeRequest", "labels", labels()),
        ("RevokeRequest", "request_id", request_id()),
        ("HolderSelector", "handle", lease_id()),
        (
            "HolderSelector",
            "subject",
            ascii(&patterns::recorded_subject(), limits::SUBJECT_BYTES_MAX),
        ),
        ("TransferRequest", "lease_id", lease_id()),
        ("TransferRequest", "to", subject()),
        ("TransferRequest", "grace_ms", grace()),
        ("TransferRequest", "reason", reason()),
        ("TransferRequest", "ticket", ticket()),
        ("TransferRequest", "labels", labels()),
        ("TransferRequest", "request_id", request_id()),
        ("ValidateRequest", "fencing_token", range(0, u64::MAX)),
        ("DeclareRequest", "limit", permits()),
        (
            "DeclareRequest",
            "cooldown_ms",
            range(0, limits::COOLDOWN_MS_MAX),
        ),
        ("DeclareRequest", "description", description()),
    ]
}

fn unique(mut items: Value) -> Value {
    items["uniqueItems"] = json!(true);
    items
}

fn key_rules() -> Vec<Rule> {
    let roles: Vec<&str> = leasehold_domain::Role::ALL
        .iter()
        .map(|role| role.as_str())
        .collect();
    let roles = json!({ "items": { "type": "string", "enum": roles } });
    let mut name = label();
    name["type"] = json!("string");
    let names = || json!({ "maxItems": limits::KEY_SCOPE_NAMES_MAX, "items": name });
    let lifetime = range(limits::KEY_LIFETIME_MS_MIN, limits::KEY_LIFETIME_MS_MAX);
    let overlap = range(0, limits::KEY_OVERLAP_MS_MAX);
    vec![
        ("CreateKeyRequest", "expires_in_ms", lifetime),
        ("RotateKeyRequest", "overlap_ms", overlap),
        ("CreateKeyRequest", "subject", subject()),
        ("CreateKeyRequest", "team", label()),
        ("CreateKeyRequest", "description", description()),
        ("CreateKeyRequest", "roles", roles),
        ("KeyScope", "namespaces", names()),
        ("KeyScope", "teams", names()),
    ]
}

fn governance_rules() -> Vec<Rule> {
    let operations = || json!({ "items": { "type": "string", "enum": patterns::OPERATIONS } });
    let name_or_all = json!({ "type": "string", "pattern": "^(?:\\*|[a-z0-9][a-z0-9-]{0,62})$" });
    let namespaces = json!({ "minItems": 1, "items": name_or_all });
    let teams = json!({ "maxItems": limits::VISIBLE_TO_TEAMS_MAX, "items": name_or_all });
    let mut lock_pattern = ascii(&patterns::lock_pattern(), limits::LOCK_NAME_BYTES_MAX);
    lock_pattern["type"] = json!("string");
    let judged: Vec<_> = leasehold_domain::Operation::ALL
        .into_iter()
        .filter(|operation| operation.is_judged())
        .map(leasehold_domain::Operation::as_str)
        .collect();
    let judged = json!({ "items": { "type": "string", "enum": judged } });
    let note = text(&patterns::prose(), limits::INCIDENT_NOTE_BYTES_MAX);
    let why = || text(&patterns::prose(), limits::REVISION_REASON_BYTES_MAX);
    vec![
        ("NamespaceRequest", "name", label()),
        ("NamespaceRequest", "team", label()),
        ("NamespaceRequest", "visible_to", teams),
        ("NamespaceRequest", "store", label()),
        ("NamespaceRequest", "description", description()),
        (
            "NamespaceRequest",
            "default_decision",
            json!({ "enum": ["deny", "allow", null] }),
        ),
        ("NamespaceRequest", "revision", range(0, u64::MAX)),
        ("NamespaceRequest", "reason", why()),
        ("MoveRequest", "to", label()),
        ("BindingRequest", "name", label()),
        ("BindingRequest", "namespaces", namespaces),
        (
            "BindingRequest",
            "locks",
            json!({ "minItems": 1, "items": lock_pattern }),
        ),
        ("BindingRequest", "operations", judged),
        (
            "BindingRequest",
            "order",
            json!({ "minimum": i32::MIN, "maximum": i32::MAX }),
        ),
        ("BindingRequest", "revision", range(0, u64::MAX)),
        ("BindingRequest", "reason", why()),
        ("RestoreRequest", "revision", range(1, u64::MAX)),
        ("RestoreRequest", "reason", why()),
        (
            "BindingRequest",
            "policies",
            json!({ "minItems": 1, "maxItems": limits::POLICIES_PER_DECISION_MAX }),
        ),
        (
            "BoundPolicy",
            "policy",
            json!({ "pattern": patterns::POLICY }),
        ),
        (
            "BoundPolicy",
            "version",
            json!({ "pattern": patterns::version(), "maxLength": 64 }),
        ),
        (
            "BoundPolicy",
            "enforcement",
            json!({ "enum": ["advisory", "mandatory", "overridable", null] }),
        ),
        ("BoundPolicy", "on_error_allow", operations()),
        ("AcknowledgeRequest", "note", note),
    ]
}

fn cluster_rules() -> Vec<Rule> {
    vec![
        ("LeaveRequest", "node", range(0, u64::MAX)),
        ("ReplaceRequest", "node", range(0, u64::MAX)),
        ("TransferLeaderRequest", "to", range(0, u64::MAX)),
        ("RaiseLevelRequest", "to", range(1, u16::MAX.into())),
        ("RaiseLevelRequest", "store", label()),
        ("ForgetGatewayRequest", "store", label()),
        (
            "ForgetGatewayRequest",
            "gateway",
            json!({ "pattern": "^[0-9a-f]{16}$" }),
        ),
    ]
}

/// Text of people that must not be empty.
fn given(max: usize) -> Value {
    let mut rule = text(&patterns::prose(), max);
    rule["minLength"] = json!(1);
    rule["allOf"] = json!([{ "pattern": "\\S" }]);
    rule
}

fn signing_rules() -> Vec<Rule> {
    let why = || given(limits::REASON_BYTES_MAX);
    let most = u64::from(limits::POLICY_SIGNATURES_REQUIRED_MAX);
    let pem = json!({ "minLength": 1, "maxLength": limits::TRUSTED_KEY_PEM_BYTES_MAX });
    vec![
        ("PolicyMarkRequest", "reason", why()),
        ("RevokeTrustedKeyRequest", "reason", why()),
        ("RequireSignaturesRequest", "reason", why()),
        (
            "RequireSignaturesRequest",
            "required_signatures",
            range(0, most),
        ),
        ("RequireSignaturesRequest", "revision", range(0, u64::MAX)),
        (
            "TrustKeyRequest",
            "name",
            given(limits::TRUSTED_KEY_NAME_BYTES_MAX),
        ),
        ("TrustKeyRequest", "public_key", pem),
        ("TrustKeyRequest", "reason", reason()),
    ]
}

#[cfg(test)]
mod tests {
    use utoipa::OpenApi;

    use super::*;

    fn schemas() -> Value {
        let document = super::super::Document::openapi();
        let mut document = serde_json::to_value(document).unwrap();
        super::super::names::write(&mut document);
        document["components"]["schemas"].take()
    }

    #[test]
    fn every_rule_is_about_a_member_that_exists() {
        let schemas = schemas();
        for (schema, member, _) in rules() {
            let member_of = &schemas[schema]["properties"][member];
            assert!(member_of.is_object(), "{schema}.{member}");
        }
    }

    /// Who adds a member to a request says here what it may be.
    #[test]
    fn every_text_number_and_list_of_a_request_has_a_rule() {
        // Checked against what the gateway holds, which no schema can know.
        let free = [
            ("LeaseRenewal", "reason"),
            ("LeaseRenewal", "ticket"),
            ("BoundPolicy", "config"),
            ("ReplayRequest", "config"),
            ("RolloutRequest", "config"),
            ("JoinRequest", "address"),
            ("ReplaceRequest", "address"),
        ];
        let requests = |name: &&String| {
            name.ends_with("Request")
                || ["HolderSelector", "LeaseRenewal", "BoundPolicy"].contains(&name.as_str())
        };
        let schemas = schemas();
        for (schema, shape) in schemas.as_object().unwrap() {
            if !requests(&schema) {
                continue;
            }
            assert_eq!(shape["additionalProperties"], json!(false), "{schema}");
            for (member, shape) in shape["properties"].as_object().unwrap() {
                let known = |rule: &Rule| rule.0 == schema && rule.1 == member;
                let is_free = free.contains(&(schema.as_str(), member.as_str()));
                let booleans = [json!("boolean"), json!(["boolean", "null"])];
                let is_plain = booleans.contains(&shape["type"]) || shape["type"].is_null();
                assert!(
                    is_free || is_plain || rules().iter().any(known),
                    "{schema}.{member} has no rule: {shape}"
                );
            }
        }
    }
}
