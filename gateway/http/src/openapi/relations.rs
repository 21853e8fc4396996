//! Rules between the members of one request, and requests that a POST and a PUT share in the code
//! but not in the document.
//!
//! `if` and `then` say such a rule beside the members. Generators of clients ignore them and make
//! one type of a schema, which `oneOf` and `anyOf` would have them split.

use serde_json::Value;
use serde_json::json;

use super::constraints::merge;

/// Schemas of bodies that a POST and a PUT share: the POST's, and what the PUT's is called.
const SHARED: &[(&str, &str)] = &[
    ("NamespaceRequest", "NamespaceChange"),
    ("BindingRequest", "BindingChange"),
];

/// Writes the rules into the document's schemas.
pub(super) fn write(document: &mut Value) {
    let schemas = &mut document["components"]["schemas"];
    for (schema, rule) in rules() {
        merge(&mut schemas[schema], rule);
    }
    for (post, put) in SHARED {
        schemas[put] = change(&schemas[post]);
        creation(&mut schemas[post]);
    }
    // The path of a PUT has the name.
    for path in ["/v1/namespaces/{ns}", "/v1/bindings/{binding}"] {
        let body =
            &mut document["paths"][path]["put"]["requestBody"]["content"]["application/json"];
        let named = body["schema"]["$ref"].as_str().unwrap_or_default();
        let shared = SHARED.iter().find(|(post, _)| named.ends_with(post));
        if let Some((_, put)) = shared {
            body["schema"] = json!({ "$ref": format!("#/components/schemas/{put}") });
        }
    }
}

/// Conditions over whole requests.
fn rules() -> [(&'static str, Value); 6] {
    let permits = json!({
        "if": { "required": ["permits"], "properties": { "permits": { "type": "integer" } } },
        "then": { "required": ["mode"], "properties": { "mode": { "const": "shared" } } },
    });
    let selector = json!({
        "if": { "required": ["handle"], "properties": { "handle": { "type": "string" } } },
        "then": { "properties": { "subject": { "type": "null" } } },
        "else": { "required": ["subject"], "properties": { "subject": { "type": "string" } } },
    });
    let since = json!({
        "if": { "required": ["from_ms"], "properties": { "from_ms": { "type": "integer" } } },
        "then": { "properties": { "since_ms": { "type": "null" } } },
    });
    let either = json!({
        "if": { "required": ["delete"], "properties": { "delete": { "type": "string" } } },
        "then": { "properties": { "binding": { "type": "null" } } },
        "else": { "required": ["binding"], "properties": { "binding": { "type": "object" } } },
    });
    let one_flag = json!({
        "if": { "required": ["remove_flag"], "properties": { "remove_flag": { "const": true } } },
        "then": { "properties": { "flag": { "type": "null" } } },
    });
    [
        ("RolloutEditRequest", one_flag),
        ("ReplayRequest", since.clone()),
        ("PreviewRequest", json!({ "allOf": [since, either] })),
        ("AcquireRequest", permits.clone()),
        ("AcquireManyRequest", permits),
        ("HolderSelector", selector),
    ]
}

/// The body of a POST: it names what it creates, which has no revision yet.
fn creation(schema: &mut Value) {
    let properties = schema["properties"].as_object_mut();
    properties.and_then(|members| members.remove("revision"));
    schema["properties"]["name"]["type"] = json!("string");
    match schema["required"].as_array_mut() {
        Some(required) => required.insert(0, json!("name")),
        None => schema["required"] = json!(["name"]),
    }
}

/// The body of a PUT. The gateway also takes one that repeats the path's name.
fn change(schema: &Value) -> Value {
    let mut change = schema.clone();
    let properties = change["properties"].as_object_mut();
    properties.and_then(|members| members.remove("name"));
    change
}
