//! The documents whose revisions are kept.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::json;

use crate::failure::FailureKind;
use crate::governance::document::BINDING_HISTORIES;
use crate::governance::document::BINDING_REVISIONS;
use crate::governance::document::BINDINGS;
use crate::governance::document::BindingDocument;
use crate::governance::document::DefaultDecision;
use crate::governance::document::NAMESPACE_HISTORIES;
use crate::governance::document::NAMESPACE_REVISIONS;
use crate::governance::document::NAMESPACES;
use crate::governance::document::NamespaceDocument;
use crate::governance::document::NamespaceSettings;
use crate::governance::document::Visibility;

/// What the revisions of a kind of document keep.
pub trait Revised: Clone + PartialEq + Serialize + DeserializeOwned + Send + Sync {
    /// The document that the store has. A revision keeps the part of it that people set.
    type Document: Serialize + DeserializeOwned + Send + Sync;
    /// What it is called in messages.
    const NOUN: &'static str;
    /// The failure if there is, and was, none of a name.
    const MISSING: FailureKind;
    /// The collection of the documents, by name.
    const COLLECTION: &'static str;
    /// The collection that says which revisions there are, by the names of the documents.
    const HISTORIES: &'static str;
    /// The collection of the revisions, by `name@number`.
    const REVISIONS: &'static str;

    /// Returns what a revision keeps of a document.
    fn of(document: &Self::Document) -> Self;

    /// Returns it as the API shows it, without its name.
    fn shown(&self) -> Value;
}

impl Revised for BindingDocument {
    type Document = Self;
    const NOUN: &'static str = "binding";
    const MISSING: FailureKind = FailureKind::NotFound;
    const COLLECTION: &'static str = BINDINGS;
    const HISTORIES: &'static str = BINDING_HISTORIES;
    const REVISIONS: &'static str = BINDING_REVISIONS;

    fn of(document: &Self) -> Self {
        document.clone()
    }

    fn shown(&self) -> Value {
        let policies = self.policies.iter().map(|bound| {
            json!({
                "policy": bound.policy,
                "version": bound.version,
                "config": bound.config,
                "enforcement": bound.enforcement,
                "on_error_allow": bound.on_error.allow,
            })
        });
        json!({
            "namespaces": self.namespaces,
            "locks": self.locks,
            "operations": self.operations,
            "order": self.order,
            "policies": policies.collect::<Vec<_>>(),
        })
    }
}

impl Revised for NamespaceSettings {
    type Document = NamespaceDocument;
    const NOUN: &'static str = "namespace";
    const MISSING: FailureKind = FailureKind::NamespaceNotFound;
    const COLLECTION: &'static str = NAMESPACES;
    const HISTORIES: &'static str = NAMESPACE_HISTORIES;
    const REVISIONS: &'static str = NAMESPACE_REVISIONS;

    fn of(document: &NamespaceDocument) -> Self {
        document.settings()
    }

    fn shown(&self) -> Value {
        let visible_to = match &self.visibility {
            Visibility::Team => json!([]),
            Visibility::Everyone => json!(["*"]),
            Visibility::Teams(teams) => json!(teams),
        };
        let default_decision = match self.default_decision {
            DefaultDecision::Deny => "deny",
            DefaultDecision::Allow => "allow",
        };
        let mut shown = json!({
            "visible_to": visible_to,
            "description": self.description,
            "default_decision": default_decision,
            "caps": self.caps,
        });
        if let Some(team) = &self.team {
            shown["team"] = json!(team);
        }
        shown
    }
}
