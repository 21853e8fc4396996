//! The schemas of generic types. The generator makes their names of those of all types that take part,
//! which clients would show, and writes out the types that they contain.

use serde_json::Value;
use serde_json::json;

/// The generated name, the name in the document, and the schema of `body`.
const NAMES: &[(&str, &str, Option<&str>)] = &[
    (
        "Revision_BindingRequest",
        "BindingRevision",
        Some("BindingRequest"),
    ),
    ("RevisionList_BindingRequest", "BindingRevisionList", None),
    (
        "Revision_NamespaceRequest",
        "NamespaceRevision",
        Some("NamespaceRequest"),
    ),
    (
        "RevisionList_NamespaceRequest",
        "NamespaceRevisionList",
        None,
    ),
];
/// Where references point to.
const SCHEMAS: &str = "#/components/schemas/";

/// Renames the schemas, and the references to them.
pub(super) fn write(document: &mut Value) {
    for (generated, name, body) in NAMES {
        let schemas = &mut document["components"]["schemas"];
        let mut schema = schemas[generated].take();
        if let Some(body) = body {
            let written_out = &mut schema["properties"]["body"];
            let reference = json!({ "$ref": format!("{SCHEMAS}{body}") });
            *written_out = json!({ "oneOf": [{ "type": "null" }, reference] });
        }
        schemas[name] = schema;
        let removed = schemas.as_object_mut();
        removed.and_then(|schemas| schemas.remove(*generated));
    }
    refer(document);
}

/// Renames the references.
fn refer(value: &mut Value) {
    match value {
        Value::Object(members) => members.values_mut().for_each(refer),
        Value::Array(entries) => entries.iter_mut().for_each(refer),
        Value::String(text) => {
            let named = text.strip_prefix(SCHEMAS);
            let mut names = NAMES.iter();
            if let Some((_, name, _)) = names.find(|(generated, ..)| named == Some(*generated)) {
                *text = format!("{SCHEMAS}{name}");
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
