//! The state as bytes. Indexes and counters are left out, and built again.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use leasehold_domain::Cursor;
use leasehold_domain::Digest;
use leasehold_domain::Millis;
use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;

use super::State;
use super::documents::DocumentTable;
use super::table::LockTable;
use super::table::Records;
use crate::PlantedBug;

/// What of a [`State`] is stored. Its order is part of the stored format.
#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    now: Millis,
    newest: Cursor,
    records: Cow<'a, Records>,
    documents: Cow<'a, DocumentTable>,
    blobs: Cow<'a, BTreeMap<Digest, Arc<[u8]>>>,
}

impl Serialize for State {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let stored = Stored {
            now: self.now,
            newest: self.newest,
            records: Cow::Borrowed(&self.locks.records),
            documents: Cow::Borrowed(&self.documents),
            blobs: Cow::Borrowed(&self.blobs),
        };
        stored.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for State {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = Stored::deserialize(deserializer)?;
        let mut records = stored.records.into_owned();
        if PlantedBug::TokenReset.is_planted() {
            let records = records.values_mut().flat_map(BTreeMap::values_mut);
            records.for_each(|record| record.last_token = 0);
        }
        Ok(Self {
            now: stored.now,
            newest: stored.newest,
            locks: LockTable::index(records),
            documents: stored.documents.into_owned(),
            blobs: stored.blobs.into_owned(),
        })
    }
}

impl State {
    /// The digest of the serialized state. Equal on replicas that applied the same writes. Reads
    /// all of the state, so it is for tests and for checks between replicas.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let bytes = postcard::to_allocvec(self);
        Digest::of(&bytes.unwrap_or_default())
    }
}
