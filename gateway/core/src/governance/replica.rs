//! The governance documents in memory: as they were last loaded, and over that what this gateway
//! has written since. The plan and the key ring are made from them.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

use leasehold_domain::Document;
use leasehold_domain::Edit;
use serde::de::DeserializeOwned;

use super::documents_of;

/// The documents of one gateway.
#[derive(Debug, Default)]
pub(super) struct Replica {
    /// The revision that the loaded documents are complete up to; they may be newer.
    pub(super) revision: u64,
    /// Why modules cannot be used, by digest.
    pub(super) broken: HashMap<String, String>,
    loaded: BTreeMap<&'static str, BTreeMap<Box<str>, Document>>,
    /// The newest write of this gateway to each document that may be missing in `loaded`.
    written: BTreeMap<(Box<str>, Box<str>), Written>,
}

#[derive(Debug)]
struct Written {
    revision: u64,
    /// None after a deletion.
    body: Option<Arc<[u8]>>,
}

impl Replica {
    /// Replaces one collection with what the store has now.
    pub(super) fn load(&mut self, collection: &'static str, rows: Vec<Document>) {
        let rows = rows.into_iter().map(|row| (row.id.clone(), row));
        self.loaded.insert(collection, rows.collect());
    }

    /// Records that all collections were loaded after the store was at `revision`.
    pub(super) fn complete(&mut self, revision: u64) {
        self.revision = revision;
        self.written
            .retain(|_, written| written.revision > revision);
    }

    /// Records a write of this gateway, which took effect at `revision`.
    pub(super) fn record(&mut self, edits: &[Edit], revision: u64) {
        if revision <= self.revision {
            return;
        }
        for edit in edits {
            let document = (edit.collection.clone(), edit.id.clone());
            let newest = self.written.get(&document).map_or(0, |w| w.revision);
            if newest < revision {
                let body = edit.body.clone();
                self.written.insert(document, Written { revision, body });
            }
        }
    }

    /// Returns all documents of a collection that can be parsed.
    pub(super) fn documents<T: DeserializeOwned>(&self, collection: &'static str) -> Vec<T> {
        let nothing = BTreeMap::new();
        let loaded = self.loaded.get(collection).unwrap_or(&nothing);
        let is_newer = |id: &str, written: &Written| {
            let loaded = loaded.get(id);
            loaded.is_none_or(|loaded| loaded.revision < written.revision)
        };
        let written: BTreeMap<&str, &Written> = self
            .written
            .iter()
            .filter(|((of, id), written)| **of == *collection && is_newer(id, written))
            .map(|((_, id), written)| (&**id, written))
            .collect();
        let unchanged = loaded
            .values()
            .filter(|row| !written.contains_key(&*row.id));
        let own = written.iter().filter_map(|(id, written)| {
            Some(Document {
                collection: collection.into(),
                id: (*id).into(),
                revision: written.revision,
                body: written.body.clone()?,
            })
        });
        documents_of(unchanged.cloned().chain(own).collect())
    }
}
