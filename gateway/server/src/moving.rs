//! Moves a live namespace from one store to another.
//!
//! Each store has a seat for a namespace that is moved ([`Seat`]), and checks every command against
//! it in the same write that carries it out, so that also a gateway which has heard of nothing
//! cannot grant a lock in two stores. The order of a move:
//!
//! 1. governance says where the namespace goes, and by the how manieth move (its *era*);
//! 2. the new store's seat turns `arriving`: it takes records in, and nothing else;
//! 3. the old store's seat turns `moved`: from here on it grants, renews and ends nothing;
//! 4. the new store's tokens are lifted above all that the old one has given out;
//! 5. the records are copied;
//! 6. the new store's seat turns `open`;
//! 7. governance says that the namespace is there;
//! 8. the old store forgets its records.
//!
//! Every step can be done again, so a move that was cut off goes on when it is asked for again, on
//! any gateway, or when a gateway has seen for a while that it does not. Renewals and releases wait from 3 to 7; acquires are told to ask again.

mod resume;
mod seats;
mod writes;

use std::sync::Arc;

use leasehold_domain::ListQuery;
use leasehold_domain::LockName;
use leasehold_domain::LockRef;
use leasehold_domain::NamespaceName;
use leasehold_domain::Outcome;
use leasehold_domain::Seat;
use leasehold_domain::SeatState;
use leasehold_domain::StoreName;
use leasehold_domain::limits::TOKENS_PER_WRITE;
use leasehold_wire::v1::error::ErrorCode;

use self::seats::seat;
use self::writes::Moved;
use self::writes::writes_of;
use crate::governance::Governance;
use crate::governance::Stored;
use crate::governance::document::NamespaceDocument;
use crate::pipeline::ask::Caller;
use crate::pipeline::execute::Relocation;
use crate::pipeline::failure::Failure;
use crate::stores::OpenStore;
use crate::stores::Stores;

/// Records in one write of a move: short writes, so that other namespaces are not kept waiting.
const RECORDS_PER_WRITE: usize = 64;

/// Moves namespaces.
#[derive(Debug)]
pub struct Mover {
    stores: Arc<Stores>,
    governance: Arc<Governance>,
}

/// One move.
struct Move<'a> {
    caller: &'a Caller,
    namespace: NamespaceName,
    era: u64,
    from: Arc<OpenStore>,
    to: Arc<OpenStore>,
}

impl Mover {
    pub(crate) fn new(stores: Arc<Stores>, governance: Arc<Governance>) -> Self {
        Self { stores, governance }
    }

    /// Moves a namespace, or goes on with a move that was cut off. One that is there already stays.
    ///
    /// # Errors
    /// One of the stores does not answer: ask again, and it goes on. `conflict` if it is on its way
    /// elsewhere, or the new store has locks of a namespace of that name.
    pub async fn run(
        &self,
        caller: &Caller,
        namespace: &NamespaceName,
        to: &StoreName,
    ) -> Result<Stored<NamespaceDocument>, Failure> {
        let before = self.governance.namespace(namespace).await?;
        self.forget(caller, before).await?;
        // Both stores must be there before anything is begun.
        let to = self.stores.get(to)?;
        let stored = self
            .governance
            .begin_move(caller, namespace, &to.name)
            .await?;
        let document = &stored.document;
        if document.travels.to.is_none() {
            return Ok(stored);
        }
        let moving = Move {
            caller,
            namespace: namespace.clone(),
            era: document.travels.era,
            from: self.stores.get(&document.store)?.clone(),
            to: to.clone(),
        };
        moving.carry_over().await?;
        let stored = self.governance.arrive(caller, stored).await?;
        self.forget(caller, stored).await
    }

    /// Lets the store that a namespace has left forget its records.
    async fn forget(
        &self,
        caller: &Caller,
        stored: Stored<NamespaceDocument>,
    ) -> Result<Stored<NamespaceDocument>, Failure> {
        let Some(left) = &stored.document.travels.leaving else {
            return Ok(stored);
        };
        let (name, era) = (&stored.document.name, stored.document.travels.era);
        evict(self.stores.get(left)?, name, era).await?;
        self.governance.forgotten(caller, stored).await
    }
}

impl Move<'_> {
    /// Steps 2 to 6.
    async fn carry_over(&self) -> Result<(), Failure> {
        let arrived = |seat: &Seat| seat.era == self.era && seat.state == SeatState::Open;
        let seat = self.prepare().await?;
        if arrived(&seat) {
            return Ok(());
        }
        self.write_seat(&self.from, |seat| Seat {
            era: self.era,
            state: SeatState::Moved,
            ..seat
        })
        .await?;
        self.lift_tokens().await?;
        self.copy().await?;
        self.write_seat(&self.to, |seat| Seat {
            state: SeatState::Open,
            ..seat
        })
        .await?;
        Ok(())
    }

    /// Makes the new store ready to take records in.
    async fn prepare(&self) -> Result<Seat, Failure> {
        let (seat, _) = seat(&self.to, &self.namespace).await?;
        if seat.era == self.era {
            return Ok(seat);
        }
        if seat.state == SeatState::Moved {
            // What an earlier move has not forgotten yet.
            evict(&self.to, &self.namespace, seat.era).await?;
        }
        if !names(&self.to, &self.namespace, None).await?.is_empty() {
            let (name, store) = (&self.namespace, &self.to.name);
            let message = format!("store {store} has locks of another namespace {name}");
            return Err(Failure::new(ErrorCode::Conflict, message));
        }
        self.write_seat(&self.to, |seat| match seat.era == self.era {
            // Another mover was faster.
            true => seat,
            false => Seat {
                era: self.era,
                state: SeatState::Arriving,
                ..seat
            },
        })
        .await
    }

    /// Lifts the new store's tokens for this namespace above all that the old store has given out.
    /// By an addend, so that they still grow with every write of the new store.
    async fn lift_tokens(&self) -> Result<(), Failure> {
        let given = floor(&self.from, &self.namespace).await?;
        let ours = floor(&self.to, &self.namespace).await?;
        let missing = (given + TOKENS_PER_WRITE).saturating_sub(ours);
        self.write_seat(&self.to, |seat| match seat.state {
            SeatState::Arriving => Seat {
                token_offset: seat.token_offset + missing,
                ..seat
            },
            SeatState::Open | SeatState::Moved => seat,
        })
        .await?;
        Ok(())
    }

    async fn copy(&self) -> Result<(), Failure> {
        let mut after = None;
        loop {
            let names = names(&self.from, &self.namespace, after).await?;
            let Some(last) = names.last() else {
                return Ok(());
            };
            after = Some(last.clone());
            let locks: Vec<LockRef> = names.into_iter().map(|name| self.lock(name)).collect();
            let exports = locks.iter().map(|lock| (lock.clone(), Relocation::Export));
            let exported = self.from.door.relocate(exports).await?;
            let mut records = Vec::with_capacity(exported.len());
            for (lock, outcome) in locks.into_iter().zip(exported) {
                match outcome {
                    Outcome::Exported { record, .. } => {
                        records.extend(record.map(|record| (lock, record)));
                    }
                    other => return Err(unexpected(&other)),
                }
            }
            for write in writes_of(records) {
                self.import(write).await?;
            }
        }
    }

    async fn import(&self, records: Vec<Moved>) -> Result<(), Failure> {
        let era = self.era;
        let step = |(lock, record)| (lock, Relocation::Import { era, record });
        let imported = self.to.door.relocate(records.into_iter().map(step)).await?;
        match imported.iter().find(|one| **one != Outcome::Imported) {
            None => Ok(()),
            Some(other) => Err(unexpected(other)),
        }
    }

    fn lock(&self, name: LockName) -> LockRef {
        LockRef::new(self.namespace.clone(), name)
    }
}

/// The next locks of a namespace that have a record.
async fn names(
    store: &OpenStore,
    namespace: &NamespaceName,
    after: Option<LockName>,
) -> Result<Vec<LockName>, Failure> {
    let mut query = ListQuery {
        namespace: namespace.clone(),
        prefix: String::new(),
        holder: None,
        team: None,
        state: None,
        after,
        limit: RECORDS_PER_WRITE,
    };
    loop {
        let page = store.door.list(query.clone()).await?;
        if !page.rows.is_empty() || page.next.is_none() {
            return Ok(page.rows.into_iter().map(|view| view.lock.lock).collect());
        }
        query.after = page.next;
    }
}

/// A floor above every token that the store has given out for a lock of the namespace that has no
/// record now.
async fn floor(store: &OpenStore, namespace: &NamespaceName) -> Result<u64, Failure> {
    let name: LockName = "any"
        .parse()
        .map_err(|error| Failure::internal(format!("{error}")))?;
    let asked = [(LockRef::new(namespace.clone(), name), Relocation::Export)];
    match store.door.relocate(asked).await?.into_iter().next() {
        Some(Outcome::Exported { token_floor, .. }) => Ok(token_floor),
        other => Err(Failure::internal(format!("export: {other:?}"))),
    }
}

/// Lets a store that the namespace has left by this move forget its records.
async fn evict(store: &OpenStore, namespace: &NamespaceName, era: u64) -> Result<(), Failure> {
    loop {
        let names = names(store, namespace, None).await?;
        if names.is_empty() {
            return Ok(());
        }
        let step = |name| {
            let lock = LockRef::new(namespace.clone(), name);
            (lock, Relocation::Evict { era })
        };
        let outcomes = store.door.relocate(names.into_iter().map(step)).await?;
        match outcomes
            .into_iter()
            .find(|outcome| *outcome != Outcome::Evicted)
        {
            None => {}
            // It came back by a later move: nothing of this one is left.
            Some(Outcome::Moved) => return Ok(()),
            Some(other) => return Err(unexpected(&other)),
        }
    }
}

fn unexpected(outcome: &Outcome) -> Failure {
    match outcome {
        // Another mover of the same namespace is ahead; asked again, this one finds it done.
        Outcome::Moved => Failure::moving(),
        other => Failure::internal(format!("a step of a move came to {other:?}")),
    }
}
