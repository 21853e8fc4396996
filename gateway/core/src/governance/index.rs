//! The bindings in force, and in which namespaces each applies.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::sync::Arc;

use super::document::BindingDocument;
use super::plan::PlanStep;
use super::plan::Steps;

/// What a binding names instead of all namespaces.
pub(super) const ALL_NAMESPACES: &str = "*";

/// The bindings in force, by the ids of their documents.
#[derive(Debug, Default)]
pub(super) struct BindingIndex {
    bindings: BTreeMap<Box<str>, Indexed>,
    /// The ids of the bindings that name a namespace. Those that name all namespaces are under
    /// [`ALL_NAMESPACES`] alone.
    by_namespace: HashMap<Box<str>, BTreeSet<Box<str>>>,
}

#[derive(Debug)]
struct Indexed {
    document: BindingDocument,
    steps: Vec<Arc<PlanStep>>,
}

impl BindingIndex {
    /// Adds or replaces a binding with its steps. Returns the names of the namespaces whose steps
    /// differ since.
    pub(super) fn put(
        &mut self,
        id: &str,
        document: BindingDocument,
        steps: Vec<PlanStep>,
    ) -> BTreeSet<Box<str>> {
        let mut touched = self.remove(id);
        for name in names(&document) {
            let bindings = self.by_namespace.entry(name.into()).or_default();
            bindings.insert(id.into());
            touched.insert(name.into());
        }
        let steps = steps.into_iter().map(Arc::new).collect();
        let indexed = Indexed { document, steps };
        self.bindings.insert(id.into(), indexed);
        touched
    }

    /// Removes a binding. Returns the names of the namespaces whose steps differ since.
    pub(super) fn remove(&mut self, id: &str) -> BTreeSet<Box<str>> {
        let Some(removed) = self.bindings.remove(id) else {
            return BTreeSet::new();
        };
        let mut touched = BTreeSet::new();
        for name in names(&removed.document) {
            if let Some(bindings) = self.by_namespace.get_mut(name) {
                bindings.remove(id);
                if bindings.is_empty() {
                    self.by_namespace.remove(name);
                }
            }
            touched.insert(name.into());
        }
        touched
    }

    /// Returns the steps of the bindings that name a namespace, or of those that name all.
    pub(super) fn steps(&self, namespace: &str) -> Steps {
        let ids = self.by_namespace.get(namespace).into_iter().flatten();
        let bindings = ids.filter_map(|id| self.bindings.get(id));
        Steps::of(bindings.flat_map(|binding| &binding.steps))
    }

    /// Returns the binding in force with that id.
    pub(super) fn get(&self, id: &str) -> Option<&BindingDocument> {
        self.bindings.get(id).map(|indexed| &indexed.document)
    }

    /// Returns the bindings in force, by id.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &BindingDocument)> {
        let bindings = self.bindings.iter();
        bindings.map(|(id, indexed)| (&**id, &indexed.document))
    }
}

/// Returns the namespaces that a binding names, or the name for all.
fn names(binding: &BindingDocument) -> BTreeSet<&str> {
    let names = binding.namespaces.iter().map(String::as_str);
    let names: BTreeSet<&str> = names.collect();
    match names.contains(ALL_NAMESPACES) {
        true => BTreeSet::from([ALL_NAMESPACES]),
        false => names,
    }
}
