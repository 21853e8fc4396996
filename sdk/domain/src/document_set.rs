//! All governance documents of one store, as of one revision.

use std::sync::Arc;

use imbl::OrdMap;
use imbl::ordmap::DiffItem;
use serde::Deserialize;
use serde::Serialize;

use crate::Document;
use crate::Edit;
use crate::FeatureLevel;

/// All documents of one store as of one revision. A copy shares its parts with the original, so
/// copying takes constant time, a change copies only the path to the changed document, and the
/// differences between two copies are found without reading what both share.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentSet {
    /// The revision of the last write.
    revision: u64,
    collections: OrdMap<Arc<str>, Documents>,
}

type Documents = OrdMap<Arc<str>, Arc<Document>>;

/// One document that differs between two sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DocumentChange<'a> {
    /// The document's kind.
    pub collection: &'a str,
    /// Its name in the collection.
    pub id: &'a str,
    /// The document in the earlier set; `None` if it did not exist.
    pub before: Option<&'a Document>,
    /// The document in the later set; `None` if it was deleted.
    pub after: Option<&'a Document>,
}

impl DocumentSet {
    /// Creates the set of these documents, at that revision of the store.
    #[must_use]
    pub fn of(revision: u64, documents: impl IntoIterator<Item = Document>) -> Self {
        let mut set = Self {
            revision,
            ..Self::default()
        };
        for document in documents {
            set.put(document);
        }
        set
    }

    /// Returns the revision of the last write; 0 before the first.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Records that the set is complete up to `revision`.
    pub fn set_revision(&mut self, revision: u64) {
        self.revision = revision;
    }

    /// Returns the document of that name.
    #[must_use]
    pub fn get(&self, collection: &str, id: &str) -> Option<&Document> {
        Some(self.collections.get(collection)?.get(id)?)
    }

    /// Returns the feature level that a store shared by gateways keeps among its documents; `None` if
    /// it keeps none there.
    #[must_use]
    pub fn feature_level(&self) -> Option<FeatureLevel> {
        let document = self.get(FeatureLevel::COLLECTION, FeatureLevel::DOCUMENT);
        document.map(|document| FeatureLevel::read(&document.body))
    }

    /// Returns the documents of a collection, in the order of their ids.
    pub fn collection(&self, collection: &str) -> impl Iterator<Item = &Document> + use<'_> {
        let documents = self.collections.get(collection);
        documents
            .into_iter()
            .flat_map(|documents| documents.values().map(|document| &**document))
    }

    /// Returns all documents of all collections.
    pub fn iter(&self) -> impl Iterator<Item = &Document> {
        let collections = self.collections.values();
        collections.flat_map(|documents| documents.values().map(|document| &**document))
    }

    /// Adds or replaces a document. The revision of the set stays as it is.
    pub fn put(&mut self, document: Document) {
        let documents = match self.collections.get_mut(&*document.collection) {
            Some(documents) => documents,
            None => {
                let collection: Arc<str> = document.collection.as_ref().into();
                self.collections.entry(collection).or_default()
            }
        };
        documents.insert(document.id.as_ref().into(), Arc::new(document));
    }

    /// Removes a document. The revision of the set stays as it is.
    pub fn remove(&mut self, collection: &str, id: &str) {
        if let Some(documents) = self.collections.get_mut(collection) {
            documents.remove(id);
            if documents.is_empty() {
                self.collections.remove(collection);
            }
        }
    }

    /// Applies one edit, whose write has that revision. Its precondition is not looked at, and the
    /// revision of the set stays as it is.
    pub fn apply(&mut self, edit: &Edit, revision: u64) {
        match &edit.body {
            Some(body) => self.put(Document {
                collection: edit.collection.clone(),
                id: edit.id.clone(),
                revision,
                body: body.clone(),
            }),
            None => self.remove(&edit.collection, &edit.id),
        }
    }

    /// Makes one collection the same as in another set.
    pub fn adopt(&mut self, collection: &str, other: &Self) {
        match other.collections.get_key_value(collection) {
            Some((name, documents)) => {
                self.collections.insert(name.clone(), documents.clone());
            }
            None => {
                self.collections.remove(collection);
            }
        }
    }

    /// Returns every document that differs from an earlier set, by collection and id. Takes time in
    /// proportion to the number of differences if one set was made from the other, or both from
    /// one.
    #[must_use]
    pub fn changes_since<'a>(&'a self, earlier: &'a Self) -> Vec<DocumentChange<'a>> {
        let mut changes = Vec::new();
        for difference in earlier.collections.diff(&self.collections) {
            match difference {
                DiffItem::Add(collection, documents) => {
                    changes.extend(documents.values().map(|after| made(collection, after)));
                }
                DiffItem::Remove(collection, documents) => {
                    changes.extend(documents.values().map(|before| deleted(collection, before)));
                }
                DiffItem::Update { old, new } => {
                    let (collection, old, new) = (new.0, old.1, new.1);
                    changes.extend(old.diff(new).map(|difference| match difference {
                        DiffItem::Add(_, after) => made(collection, after),
                        DiffItem::Remove(_, before) => deleted(collection, before),
                        DiffItem::Update { old, new } => DocumentChange {
                            before: Some(old.1),
                            ..made(collection, new.1)
                        },
                    }));
                }
            }
        }
        changes
    }
}

fn made<'a>(collection: &'a str, after: &'a Document) -> DocumentChange<'a> {
    DocumentChange {
        collection,
        id: &after.id,
        before: None,
        after: Some(after),
    }
}

fn deleted<'a>(collection: &'a str, before: &'a Document) -> DocumentChange<'a> {
    DocumentChange {
        collection,
        id: &before.id,
        before: Some(before),
        after: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(collection: &str, id: &str, revision: u64) -> Document {
        Document {
            collection: collection.into(),
            id: id.into(),
            revision,
            body: revision.to_string().into_bytes().into(),
        }
    }

    #[test]
    fn a_set_tells_what_was_made_changed_and_deleted() {
        let many = (0..1_000).map(|n| document("key", &format!("{n:04}"), 1));
        let before = DocumentSet::of(1, many.chain([document("binding", "b", 1)]));
        let mut after = before.clone();
        assert!(after.changes_since(&before).is_empty());
        after.put(document("key", "0500", 2));
        after.put(document("key", "0000a", 2));
        after.remove("key", "0999");
        after.remove("binding", "b");
        after.put(document("policy", "p", 2));
        after.set_revision(2);
        let changes = after.changes_since(&before);
        let told: Vec<_> = changes
            .iter()
            .map(|change| {
                let revision = |document: Option<&Document>| document.map(|d| d.revision);
                let (before, after) = (revision(change.before), revision(change.after));
                (change.collection, change.id, before, after)
            })
            .collect();
        assert_eq!(
            told,
            [
                ("binding", "b", Some(1), None),
                ("key", "0000a", None, Some(2)),
                ("key", "0500", Some(1), Some(2)),
                ("key", "0999", Some(1), None),
                ("policy", "p", None, Some(2)),
            ]
        );
        assert!(
            before.get("binding", "b").is_some(),
            "the copy is as it was"
        );
        assert_eq!(after.collection("binding").count(), 0);
        assert_eq!(after.iter().count(), 1_001);
    }

    #[test]
    fn one_collection_can_be_adopted() {
        let mut set = DocumentSet::of(1, [document("key", "a", 1), document("policy", "p", 1)]);
        let other = DocumentSet::of(2, [document("key", "b", 2), document("policy", "q", 2)]);
        set.adopt("key", &other);
        set.adopt("binding", &other);
        let ids: Vec<&str> = set.iter().map(|document| &*document.id).collect();
        assert_eq!(ids, ["b", "p"]);
        set.adopt("key", &DocumentSet::default());
        assert_eq!(set.iter().count(), 1);
    }
}
