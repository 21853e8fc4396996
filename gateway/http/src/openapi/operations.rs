//! What all operations have in common: names in paths and queries, bodies of bytes, and the answers
//! to requests that fail.

use leasehold_domain::limits;
use serde_json::Value;
use serde_json::json;

use super::constraints::merge;
use super::constraints::range;
use super::patterns;

/// The content type of an error.
const PROBLEM: &str = "application/problem+json";

/// Errors that every operation with a key may answer, with their cause.
const ALWAYS: &[(&str, &str)] = &[
    ("400", "The request is not valid HTTP or JSON"),
    (
        "401",
        "The key or token is missing, unknown, revoked or expired",
    ),
    ("403", "A role is missing, or a policy denied the request"),
    ("404", "There is no such thing"),
    ("408", "The request did not arrive in time"),
    ("415", "The content type or encoding is not accepted"),
    ("422", "A member is missing, unknown or out of range"),
    ("429", "Too many requests, or the queue is full"),
    ("500", "The gateway failed"),
    ("503", "The gateway or its store cannot answer now"),
];
/// Errors of operations that change something.
const CHANGES: &[(&str, &str)] = &[
    ("409", "The request contradicts what exists"),
    ("410", "The lease has ended"),
    ("412", "The document has another revision"),
    ("413", "The body is too large"),
];

/// Completes every operation.
pub(super) fn write(document: &mut Value) {
    document["paths"]["/openapi.json"] = own_path();
    let Some(paths) = document["paths"].as_object_mut() else {
        return;
    };
    for (path, methods) in paths {
        let Some(methods) = methods.as_object_mut() else {
            continue;
        };
        for (method, operation) in methods {
            parameters(operation);
            answers(path, method, operation);
            bodies(path, method, operation);
        }
    }
}

/// The document itself.
fn own_path() -> Value {
    json!({ "get": {
        "tags": ["operation"],
        "summary": "This document.",
        "operationId": "get_openapi",
        "security": [],
        "responses": { "200": {
            "description": "The document",
            "content": { "application/json": { "schema": { "type": "object" } } },
        } },
    } })
}

fn parameters(operation: &mut Value) {
    let parameters = operation.get_mut("parameters");
    let Some(parameters) = parameters.and_then(Value::as_array_mut) else {
        return;
    };
    for parameter in parameters {
        let name = parameter["name"].as_str().unwrap_or_default();
        let rule = parameter_rule(parameter["in"].as_str().unwrap_or_default(), name);
        // A query cannot hold null: the parameter is absent instead.
        if parameter["schema"]["type"].is_array() {
            let kind = parameter["schema"]["type"][0].take();
            parameter["schema"]["type"] = kind;
        }
        merge(&mut parameter["schema"], rule);
        if parameter["schema"]["type"] == "integer" && parameter["schema"].get("maximum").is_none()
        {
            merge(&mut parameter["schema"], range(0, u64::MAX));
        }
    }
}

fn parameter_rule(place: &str, name: &str) -> Value {
    let label =
        |max: usize| json!({ "pattern": patterns::LABEL, "minLength": 1, "maxLength": max });
    let lock = |pattern: String, max: usize| json!({ "pattern": pattern, "minLength": 1, "maxLength": max });
    let lock_max = limits::LOCK_NAME_BYTES_MAX;
    match (place, name) {
        ("path", "ns") | (_, "namespace") => label(limits::NAMESPACE_NAME_BYTES_MAX),
        (_, "team") => label(limits::TEAM_NAME_BYTES_MAX),
        (_, "store") => label(limits::STORE_NAME_BYTES_MAX),
        ("path", "lock") | (_, "cursor") => lock(patterns::lock(), lock_max),
        // How long the whole may be depends on the namespace in it.
        ("query", "lock") => json!({
            "pattern": patterns::lock_ref(),
            "allOf": [{ "pattern": format!("^[^/]+/.{{1,{lock_max}}}$") }],
        }),
        ("path", "binding") => label(limits::NAMESPACE_NAME_BYTES_MAX),
        ("path", "policy") => json!({ "pattern": patterns::POLICY }),
        ("path", "version") => json!({ "pattern": patterns::version(), "maxLength": 64 }),
        ("path", "number") | ("query", "from_size") => range(1, u64::MAX),
        ("path", _) => json!({ "minLength": 1 }),
        (_, "reason") => {
            super::constraints::text(&patterns::prose(), limits::REVISION_REASON_BYTES_MAX)
        }
        (_, "subject" | "holder") => json!({
            "pattern": patterns::recorded_subject(), "minLength": 1, "maxLength": limits::SUBJECT_BYTES_MAX,
        }),
        (_, "from" | "until" | "at") => json!({ "format": "date-time" }),
        (_, "limit") => json!({ "minimum": 1, "maximum": limits::PAGE_ROWS_MAX }),
        (_, "cursors") => json!({ "pattern": patterns::cursors() }),
        (_, "freshness") => json!({ "enum": ["linearizable", "stale"] }),
        (_, "state") => {
            let states = [
                "held",
                "free",
                "contended",
                "draining",
                "cooling-down",
                "reserved",
            ];
            json!({ "enum": states })
        }
        (_, "evaluated_operation") => {
            let all = leasehold_domain::Operation::ALL.into_iter();
            let judged = all.filter(|operation| operation.is_judged());
            let names: Vec<&str> = judged.map(leasehold_domain::Operation::as_str).collect();
            json!({ "enum": names })
        }
        (_, "operation") => {
            let others = crate::audit::OTHER_OPERATIONS;
            let all: Vec<_> = patterns::OPERATIONS.iter().chain(&others).collect();
            json!({ "enum": all })
        }
        (_, "verdict") => json!({ "enum": crate::audit::VERDICTS }),
        _ => json!({}),
    }
}

fn answers(path: &str, method: &str, operation: &mut Value) {
    let is_open = operation["security"] == json!([]);
    let changes = if method == "get" { &[][..] } else { CHANGES };
    if !is_open {
        for (status, description) in ALWAYS.iter().chain(changes) {
            operation["responses"][status] = problem(description);
        }
    }
    if path == "/v1/audit/events" {
        let description = "The page begins after the newest event";
        operation["responses"]["410"] = problem(description);
    }
    let Some(responses) = operation["responses"].as_object_mut() else {
        return;
    };
    for (status, response) in responses {
        if response["description"]
            .as_str()
            .unwrap_or_default()
            .is_empty()
        {
            let description = match status.as_str() {
                "200" => "Done",
                "201" => "Created",
                "503" => "Not now",
                _ => "Any other error",
            };
            response["description"] = json!(description);
        }
        if response["content"].get("application/json").is_some() || status == "default" {
            response["headers"] = json!({ "x-request-id": {
                "description": "The request's id, to be found in log and ledger",
                "schema": { "type": "string" },
            } });
        }
    }
}

fn problem(description: &str) -> Value {
    json!({
        "description": description,
        "content": { PROBLEM: { "schema": { "$ref": "#/components/schemas/Problem" } } },
    })
}

/// Bodies that are bytes.
fn bodies(path: &str, method: &str, operation: &mut Value) {
    let bytes = json!({ "type": "string", "format": "binary" });
    match (path, method) {
        ("/v1/policies/{policy}/versions/{version}", "put") => {
            let content = &mut operation["requestBody"]["content"];
            content["application/wasm"]["schema"] = bytes.clone();
            content["application/octet-stream"]["schema"] = bytes;
        }
        ("/v1/backup", "get") => {
            let content = &mut operation["responses"]["200"]["content"];
            content["application/octet-stream"]["schema"] = bytes;
        }
        _ => {}
    }
}
