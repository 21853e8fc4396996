//! The state as bytes. Indexes and counters are left out, and built again.

use std::collections::BTreeMap;

use imbl::OrdMap;
use imbl::Vector;
use leasehold_domain::Cursor;
use leasehold_domain::Digest;
use leasehold_domain::Document;
use leasehold_domain::DocumentSet;
use leasehold_domain::FeatureLevel;
use leasehold_domain::LeasePolicies;
use leasehold_domain::LockName;
use leasehold_domain::Millis;
use leasehold_domain::NamespaceName;
use leasehold_stored::Formed;
use leasehold_stored::Invalid;
use leasehold_stored::decode_next;
use leasehold_stored::encode_into;
use leasehold_stored::lock::LeasePolicies as Listed;
use leasehold_stored::record::Record;
use leasehold_stored::snapshot::Lock;
use leasehold_stored::snapshot::StateHead;
use leasehold_stored::snapshot::StatePiece;

use super::State;
use super::table::LockTable;
use super::table::Records;
use super::table::map_records;
use crate::EndedRequest;
use crate::LockRecord;
use crate::PlantedBug;
use crate::ended::EndedRequests;
use crate::shared_policies::SharedPolicies;

/// Locks, documents or ended requests of one piece.
const PIECE: usize = 64;

/// A [`State`] as it was when [`State::frozen`] was called. Has the same pieces as the state had.
#[derive(Debug)]
pub struct FrozenState {
    level: FeatureLevel,
    now: Millis,
    newest: Cursor,
    records: Records,
    documents: DocumentSet,
    ended: Vector<EndedRequest>,
}

impl FrozenState {
    /// Shows the state in pieces, the head first: in the same order for the same state.
    pub fn pieces(&self, mut show: impl FnMut(StatePiece<'_>)) {
        show(StatePiece {
            head: Some(StateHead {
                now: self.now.0,
                newest: self.newest.0,
                documents_revision: self.documents.revision(),
                level: self.level.form(),
            }),
            ..StatePiece::default()
        });
        for (namespace, locks) in &self.records {
            let mut locks = locks.iter().peekable();
            while locks.peek().is_some() {
                let mut policies = Vec::new();
                let some = locks.by_ref().take(PIECE);
                let some = some.map(|(name, record)| {
                    let mut record = record.form();
                    Lock {
                        namespace: namespace.as_str(),
                        name: name.as_str(),
                        policies: take_policies(&mut record, &mut policies),
                        record,
                    }
                });
                show(StatePiece {
                    locks: some.collect(),
                    policies,
                    ..StatePiece::default()
                });
            }
        }
        let mut documents = self.documents.iter().peekable();
        while documents.peek().is_some() {
            let some = documents.by_ref().take(PIECE);
            show(StatePiece {
                documents: some.map(Document::form).collect(),
                ..StatePiece::default()
            });
        }
        let mut ended = self.ended.iter().peekable();
        while ended.peek().is_some() {
            let some = ended.by_ref().take(PIECE);
            show(StatePiece {
                ended: some.map(EndedRequest::form).collect(),
                ..StatePiece::default()
            });
        }
    }
}

/// Moves the policies of a record to the list of its piece, where most records have the same.
/// Returns their places there.
fn take_policies<'a>(record: &mut Record<'a>, list: &mut Vec<Listed<'a>>) -> Vec<u32> {
    let place = |policies| {
        let known = list.iter().position(|known| *known == policies);
        let place = known.unwrap_or_else(|| {
            list.push(policies);
            list.len() - 1
        });
        u32::try_from(place).unwrap_or(u32::MAX)
    };
    std::mem::take(&mut record.policies)
        .into_iter()
        .map(place)
        .collect()
}

/// Builds a [`State`] from its pieces.
#[derive(Debug, Default)]
pub struct StateBuilder {
    head: Option<StateHead>,
    records: BTreeMap<NamespaceName, OrdMap<LockName, LockRecord>>,
    documents: Vec<Document>,
    ended: Vec<EndedRequest>,
    policies: SharedPolicies,
}

impl StateBuilder {
    /// Adds the next piece.
    ///
    /// # Errors
    /// A part of it is not valid for its type.
    pub fn add(&mut self, piece: StatePiece<'_>) -> Result<(), Invalid> {
        self.head = piece.head.or(self.head.take());
        let policies: Vec<LeasePolicies> = Vec::restore(piece.policies)?;
        let policies = policies.into_iter().map(|one| self.policies.share(one));
        let policies: Vec<_> = policies.collect();
        for lock in piece.locks {
            let missing = || Invalid::new("a lock has policies that its piece does not list");
            let of_lock = lock.policies.iter().map(|place| {
                let shared = policies.get(*place as usize);
                shared.cloned().ok_or_else(missing)
            });
            let of_lock = of_lock.collect::<Result<Vec<_>, _>>()?;
            let mut record = LockRecord::restore_with(lock.record, &of_lock)?;
            record.share_policies_of_waiters(&mut self.policies);
            let name = lock.name.parse()?;
            // Locks of a namespace come one after the other.
            match self.records.get_mut(lock.namespace) {
                Some(locks) => locks.insert(name, record),
                None => {
                    let locks = OrdMap::unit(name, record);
                    self.records.insert(lock.namespace.parse()?, locks);
                    None
                }
            };
        }
        let documents: Vec<Document> = Vec::restore(piece.documents)?;
        self.documents.extend(documents);
        let ended: Vec<EndedRequest> = Vec::restore(piece.ended)?;
        self.ended.extend(ended);
        Ok(())
    }

    /// Returns the state.
    ///
    /// # Errors
    /// There was no head.
    pub fn build(self) -> Result<State, Invalid> {
        let head = self
            .head
            .ok_or_else(|| Invalid::new("a state without a head"))?;
        let mut records = self.records;
        if PlantedBug::TokenReset.is_planted() {
            records = map_records(records, |record| record.last_token = 0);
        }
        let mut state = State {
            level: FeatureLevel::restore(head.level)?,
            now: Millis(head.now),
            newest: Cursor(head.newest),
            locks: LockTable::index(records, self.policies),
            documents: DocumentSet::of(head.documents_revision, self.documents),
            seats: BTreeMap::new(),
            ended: EndedRequests::of(self.ended),
        };
        state.read_seats();
        Ok(state)
    }
}

impl State {
    /// The state as it is now, to be stored while commands go on changing it.
    /// Records and documents are shared until they change, so the call takes microseconds for any
    /// number of them.
    #[must_use]
    pub fn frozen(&self) -> FrozenState {
        FrozenState {
            level: self.level,
            now: self.now,
            newest: self.newest,
            records: self.locks.records.clone(),
            documents: self.documents.clone(),
            ended: self.ended.order().clone(),
        }
    }

    /// The state as bytes, for a backend that stores it as a whole.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.frozen().to_bytes()
    }

    /// The state that [`State::to_bytes`] was called on.
    ///
    /// # Errors
    /// The bytes are no such state.
    pub fn from_bytes(mut bytes: &[u8]) -> Result<Self, Invalid> {
        let mut builder = StateBuilder::default();
        while let Some(piece) = decode_next(&mut bytes)? {
            builder.add(piece)?;
        }
        builder.build()
    }

    /// The digest of the state's bytes. Equal on replicas that applied the same writes. Reads all
    /// of the state, so it is for tests and for checks between replicas.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.to_bytes())
    }
}

impl FrozenState {
    /// The state's bytes as they were then.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.pieces(|piece| encode_into(&piece, &mut bytes));
        bytes
    }
}
