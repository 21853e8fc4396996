//! Governance documents: all edits of a write, or none.

use leasehold_domain::Document;
use leasehold_domain::DocumentSet;
use leasehold_domain::Edit;
use leasehold_domain::EditOutcome;
use leasehold_domain::Event;
use leasehold_domain::EventKind;
use leasehold_domain::Precondition;
use leasehold_domain::Seat;

use super::State;
use crate::Moment;

impl State {
    /// Applies all edits at one new revision, with an event for each that has a change for the
    /// ledger; or none, if a precondition does not hold. Preconditions look at the documents as they
    /// were before the write. No edits change nothing.
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
        let mut revision = self.documents.revision();
        if !edits.is_empty() {
            revision += 1;
            self.documents.set_revision(revision);
        }
        let mut events = Vec::with_capacity(edits.len());
        for edit in edits {
            self.documents.apply(edit, revision);
            if let Some(change) = &edit.change {
                let change = Box::new(change.clone());
                events.push(self.event(at, EventKind::Governance(change)));
            }
        }
        if edits
            .iter()
            .any(|edit| &*edit.collection == Seat::COLLECTION)
        {
            self.read_seats();
        }
        if let Some(level) = self.documents.feature_level() {
            self.level = level;
        }
        (EditOutcome::Done(revision), events)
    }

    /// The document of that name.
    #[must_use]
    pub fn document(&self, collection: &str, id: &str) -> Option<Document> {
        self.documents.get(collection, id).cloned()
    }

    /// All documents of a collection, in the order of their ids.
    #[must_use]
    pub fn documents(&self, collection: &str) -> Vec<Document> {
        self.documents.collection(collection).cloned().collect()
    }

    /// Grows with every write of documents; 0 before the first.
    #[must_use]
    pub fn documents_revision(&self) -> u64 {
        self.documents.revision()
    }

    /// All documents as they are now. The copy shares its parts with the state.
    #[must_use]
    pub fn all_documents(&self) -> &DocumentSet {
        &self.documents
    }
}
