//! The state as bytes. Indexes and counters are left out, and built again.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use imbl::Vector;
use leasehold_domain::Cursor;
use leasehold_domain::Digest;
use leasehold_domain::DocumentSet;
use leasehold_domain::Millis;
use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;

use super::State;
use super::table::LockTable;
use super::table::Records;
use super::table::map_records;
use crate::EndedRequest;
use crate::PlantedBug;
use crate::ended::EndedRequests;

/// What of a [`State`] is stored. Its order is part of the stored format: a state is these fields,
/// and then the acquires whose leases have ended.
#[derive(Debug, Serialize, Deserialize)]
struct Stored<'a> {
    now: Millis,
    newest: Cursor,
    records: Cow<'a, Records>,
    documents: Cow<'a, DocumentSet>,
    blobs: Cow<'a, BTreeMap<Digest, Arc<[u8]>>>,
}

/// A [`State`] as it was when [`State::frozen`] was called. Has the same bytes as the state had.
#[derive(Debug)]
pub struct FrozenState(Stored<'static>, Vector<EndedRequest>);

impl Serialize for FrozenState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.0, &self.1).serialize(serializer)
    }
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
        (stored, self.ended.order()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for State {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = <(Stored<'_>, Vec<EndedRequest>)>::deserialize(deserializer)?;
        let (stored, ended) = stored;
        let mut state = Self::of(stored);
        state.ended = EndedRequests::of(ended);
        Ok(state)
    }
}

/// A [`State`] as builds stored it that did not remember acquires whose leases have ended.
#[derive(Debug)]
pub struct StateBeforeEnded(pub State);

impl<'de> Deserialize<'de> for StateBeforeEnded {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(State::of(Stored::deserialize(deserializer)?)))
    }
}

impl From<StateBeforeEnded> for State {
    fn from(before: StateBeforeEnded) -> Self {
        before.0
    }
}

impl State {
    fn of(stored: Stored<'_>) -> Self {
        let mut records = stored.records.into_owned();
        if PlantedBug::TokenReset.is_planted() {
            records = map_records(records, |record| record.last_token = 0);
        }
        let mut state = Self {
            now: stored.now,
            newest: stored.newest,
            locks: LockTable::index(records),
            documents: stored.documents.into_owned(),
            seats: BTreeMap::new(),
            blobs: stored.blobs.into_owned(),
            ended: EndedRequests::default(),
        };
        state.read_seats();
        state
    }
}

impl State {
    /// The state as it is now, to be stored while commands go on changing it.
    /// Records and documents are shared until they change, so the call takes microseconds for any
    /// number of them.
    #[must_use]
    pub fn frozen(&self) -> FrozenState {
        let stored = Stored {
            now: self.now,
            newest: self.newest,
            records: Cow::Owned(self.locks.records.clone()),
            documents: Cow::Owned(self.documents.clone()),
            blobs: Cow::Owned(self.blobs.clone()),
        };
        FrozenState(stored, self.ended.order().clone())
    }

    /// The digest of the serialized state. Equal on replicas that applied the same writes. Reads
    /// all of the state, so it is for tests and for checks between replicas.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let bytes = postcard::to_allocvec(self);
        Digest::of(&bytes.unwrap_or_default())
    }
}
