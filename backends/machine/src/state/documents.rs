//! Governance documents: all edits of a write, or none.

use std::collections::BTreeMap;

use leasehold_domain::Document;
use leasehold_domain::Edit;
use leasehold_domain::EditOutcome;
use leasehold_domain::Event;
use leasehold_domain::EventKind;
use leasehold_domain::Precondition;
use leasehold_domain::Seat;

use super::State;
use crate::Moment;

/// The documents, by collection and id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DocumentTable {
    /// Grows by one with each write.
    revision: u64,
    collections: BTreeMap<Box<str>, BTreeMap<Box<str>, Document>>,
}

impl State {
    /// Applies all edits at one new revision, with an event each; or none, if a precondition does
    /// not hold. Preconditions look at the documents as they were before the write. No edits
    /// change nothing.
    pub fn edit(&mut self, edits: &[Edit], at: Moment) -> (EditOutcome, Vec<Event>) {
        let at = self.begin(at);
        for (index, edit) in edits.iter().enumerate() {
            let current = self.documents.get(&edit.collection, &edit.id);
            let current = current.map(|document| document.revision);
            let holds = match edit.precondition {
                Precondition::Any => true,
                Precondition::Absent => current.is_none(),
                Precondition::Revision(revision) => current == Some(revision),
            };
            if !holds {
                return (EditOutcome::Conflict { index, current }, Vec::new());
            }
        }
        if !edits.is_empty() {
            self.documents.revision += 1;
        }
        let mut events = Vec::with_capacity(edits.len());
        for edit in edits {
            self.documents.put(edit);
            let change = Box::new(edit.change.clone());
            events.push(self.event(at, EventKind::Governance(change)));
        }
        if edits
            .iter()
            .any(|edit| &*edit.collection == Seat::COLLECTION)
        {
            self.read_seats();
        }
        (EditOutcome::Done(self.documents.revision), events)
    }

    /// The document of that name.
    #[must_use]
    pub fn document(&self, collection: &str, id: &str) -> Option<Document> {
        self.documents.get(collection, id).cloned()
    }

    /// All documents of a collection, in the order of their ids.
    #[must_use]
    pub fn documents(&self, collection: &str) -> Vec<Document> {
        self.documents.of_collection(collection).cloned().collect()
    }

    /// Grows with every write of documents; 0 before the first.
    #[must_use]
    pub fn documents_revision(&self) -> u64 {
        self.documents.revision
    }
}

impl DocumentTable {
    /// Those documents, at that revision of the store.
    pub(super) fn of(revision: u64, documents: Vec<Document>) -> Self {
        let mut table = Self {
            revision,
            ..Self::default()
        };
        for document in documents {
            let ids = table
                .collections
                .entry(document.collection.clone())
                .or_default();
            ids.insert(document.id.clone(), document);
        }
        table
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Document> {
        self.collections.values().flat_map(BTreeMap::values)
    }

    pub(super) fn of_collection(&self, collection: &str) -> impl Iterator<Item = &Document> {
        let documents = self.collections.get(collection);
        documents.into_iter().flat_map(BTreeMap::values)
    }

    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    fn get(&self, collection: &str, id: &str) -> Option<&Document> {
        self.collections.get(collection)?.get(id)
    }

    fn put(&mut self, edit: &Edit) {
        let Some(body) = &edit.body else {
            if let Some(documents) = self.collections.get_mut(&edit.collection) {
                documents.remove(&edit.id);
                if documents.is_empty() {
                    self.collections.remove(&edit.collection);
                }
            }
            return;
        };
        let documents = self.collections.entry(edit.collection.clone()).or_default();
        let document = Document {
            collection: edit.collection.clone(),
            id: edit.id.clone(),
            revision: self.revision,
            body: body.clone(),
        };
        documents.insert(edit.id.clone(), document);
    }
}
