//! What is to be done, and the difference that people are shown.

use leasehold_core::governance::value_changes;
use leasehold_wire::v1::bindings as bind;
use leasehold_wire::v1::namespaces as ns;
use leasehold_wire::v1::revisions::FieldChange;
use serde::Serialize;
use serde_json::Value;

use super::file::Declared;

/// What is to be done, in order: policies, namespaces, bindings, deletions.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) items: Vec<Item>,
}

/// One thing that is declared, or is to be deleted because it is not.
#[derive(Debug, Serialize)]
pub(super) struct Item {
    pub(super) action: Action,
    /// `policy`, `namespace` or `binding`.
    pub(super) kind: &'static str,
    pub(super) name: String,
    /// The file that declares it.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    /// The fields that differ.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changes: Vec<FieldChange>,
    #[serde(skip)]
    pub(super) write: Write,
}

/// What is to be done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Action {
    Create,
    Update,
    Delete,
    Unchanged,
}

/// The write.
#[derive(Debug)]
pub(super) enum Write {
    Nothing,
    Policy {
        path: String,
        wasm: Vec<u8>,
        signatures: Vec<String>,
    },
    Namespace(ns::NamespaceRequest),
    Binding(bind::BindingRequest),
    /// Deletes a member of this collection if it has this revision.
    Delete(&'static str, u64),
}

/// Returns what is to be done with a declared thing, given its state before and after.
pub(super) fn item(
    declared: &Declared,
    (kind, name): (&'static str, String),
    (before, after): (Option<Value>, Option<Value>),
    write: Write,
) -> Item {
    let is_new = before.is_none() && after.is_some();
    let changes = value_changes(before.as_ref(), after.as_ref());
    let action = match (changes.is_empty(), is_new) {
        (true, _) => Action::Unchanged,
        (false, true) => Action::Create,
        (false, false) => Action::Update,
    };
    Item {
        action,
        kind,
        name,
        file: Some(declared.file.display().to_string()),
        changes: changes.into_iter().map(shown).collect(),
        write: match action {
            Action::Unchanged => Write::Nothing,
            Action::Create | Action::Update | Action::Delete => write,
        },
    }
}

/// Returns the deletion of something that no file declares, given its state.
pub(super) fn deletion((kind, name): (&'static str, String), before: &Value, write: Write) -> Item {
    let changes = value_changes(Some(before), None).into_iter();
    Item {
        action: Action::Delete,
        kind,
        name,
        file: None,
        changes: changes.map(shown).collect(),
        write,
    }
}

fn shown(change: leasehold_core::governance::FieldChange) -> FieldChange {
    FieldChange {
        path: change.path,
        before: change.before,
        after: change.after,
    }
}

impl Plan {
    /// Returns how many things differ.
    pub(super) fn differences(&self) -> usize {
        let items = self.items.iter();
        items
            .filter(|item| item.action != Action::Unchanged)
            .count()
    }

    /// Returns how many things are deleted.
    pub(super) fn deletions(&self) -> usize {
        let items = self.items.iter();
        items.filter(|item| item.action == Action::Delete).count()
    }

    /// Returns the difference for people.
    pub(super) fn told(&self) -> String {
        let mut told = String::new();
        for item in &self.items {
            let action = match item.action {
                Action::Create => "create",
                Action::Update => "update",
                Action::Delete => "delete",
                Action::Unchanged => "unchanged",
            };
            told += &format!("{action:9}  {:9}  {}\n", item.kind, item.name);
            for change in &item.changes {
                let text = |value: &Option<Value>| match value {
                    Some(value) => value.to_string(),
                    None => "-".to_owned(),
                };
                told += &match (&*change.path, item.action) {
                    ("", Action::Delete) => format!("             {}\n", text(&change.before)),
                    ("", _) => format!("             {}\n", text(&change.after)),
                    (path, _) => format!(
                        "             {path}: {} -> {}\n",
                        text(&change.before),
                        text(&change.after)
                    ),
                };
            }
        }
        if self.differences() == 0 {
            told += "nothing to do\n";
        }
        told
    }
}
