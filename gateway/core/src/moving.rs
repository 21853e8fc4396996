//! Moves a live namespace from one store to another.
//!
//! Each store has a [seat](leasehold_domain::Seat) for a namespace that is moved, and checks every
//! command against it in the same write that carries it out, so that also a gateway which has heard
//! of nothing cannot grant a lock in two stores. The order of a move:
//!
//! 0. every record is weighed: one that is larger than the new store takes refuses the move;
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
//! any gateway, or when a gateway has seen for a while that it does not. Renewals and releases wait
//! from 3 to 7; acquires are told to ask again.
//!
//! A move turns back if a record has become too large after it was weighed, or if it is asked to: the
//! new store's seat turns `moved`, then the old store's `open`, the new store forgets what it had
//! taken in, and governance says that the namespace stays. So the new store's seat decides: it turns
//! from `arriving` to `open` or to `moved`, and whatever came first holds for every mover.

mod choose;
mod copy;
mod resume;
mod seats;
mod steps;
mod writes;

use std::sync::Arc;

use leasehold_backend_api::Effect;
use leasehold_domain::NamespaceName;
use leasehold_domain::StoreName;

use crate::caller::Caller;
use crate::failure::Failure;
use crate::governance::Governance;
use crate::governance::Stored;
use crate::governance::document::NamespaceDocument;
use crate::stores::OpenStore;
use crate::stores::Stores;

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

/// Where a move has ended.
enum End {
    /// In the new store.
    Arrived,
    /// In the old one, and why.
    Stayed(Failure),
}

impl Mover {
    /// Moves namespaces between these stores.
    pub fn new(stores: Arc<Stores>, governance: Arc<Governance>) -> Self {
        Self { stores, governance }
    }

    /// Moves a namespace, or goes on with a move that was cut off. One that is there already stays;
    /// one that is about to leave turns back. If two stores disagree about which of them has it, `to` is
    /// the one whose locks count.
    ///
    /// # Errors
    /// One of the stores does not answer: ask again, and it goes on. `conflict` if it is on its way
    /// elsewhere, the new store has locks of a namespace of that name, or it does not take a record
    /// of that size; then the namespace is where it was.
    pub async fn run(
        &self,
        caller: &Caller,
        namespace: &NamespaceName,
        to: &StoreName,
    ) -> Result<Stored<NamespaceDocument>, Failure> {
        let stored = self.governance.namespace(namespace).await?;
        if let Some(rival) = self.stores.rival(&stored.document) {
            let rival = rival.clone();
            return self.choose(caller, stored, (&rival, to)).await;
        }
        let stored = self.forget(caller, stored).await?;
        let document = &stored.document;
        if document.store == *to {
            return self.stay(caller, stored).await;
        }
        if document.travels.to.is_none() {
            // Both stores must be there, and fit, before anything is begun.
            let (old, new) = (self.stores.get(&document.store)?, self.stores.get(to)?);
            steps::check(old, new, namespace).await?;
        }
        let stored = self.governance.begin_move(caller, namespace, to).await?;
        let Some(moving) = self.move_of(caller, &stored.document).map_err(begun)? else {
            return Ok(stored);
        };
        match moving.carry_over().await.map_err(begun)? {
            End::Arrived => self.arrive(caller, stored).await.map_err(begun),
            End::Stayed(why) => {
                let turned = self.governance.turn_back(caller, stored).await;
                turned.map_err(begun)?;
                Err(why)
            }
        }
    }

    /// The move that a document tells of.
    fn move_of<'a>(
        &self,
        caller: &'a Caller,
        document: &NamespaceDocument,
    ) -> Result<Option<Move<'a>>, Failure> {
        let Some(to) = &document.travels.to else {
            return Ok(None);
        };
        Ok(Some(Move {
            caller,
            namespace: document.name.clone(),
            era: document.travels.era,
            from: self.stores.get(&document.store)?.clone(),
            to: self.stores.get(to)?.clone(),
        }))
    }

    /// Turns back, if it was to be moved.
    async fn stay(
        &self,
        caller: &Caller,
        stored: Stored<NamespaceDocument>,
    ) -> Result<Stored<NamespaceDocument>, Failure> {
        let Some(moving) = self.move_of(caller, &stored.document)? else {
            return Ok(stored);
        };
        if moving.turn_back().await.map_err(begun)? {
            let turned = self.governance.turn_back(caller, stored).await;
            return turned.map_err(begun);
        }
        // It is there already. Asked again, this is a move of its own.
        self.arrive(caller, stored).await.map_err(begun)?;
        Err(Failure::moving())
    }

    /// Steps 7 and 8.
    async fn arrive(
        &self,
        caller: &Caller,
        stored: Stored<NamespaceDocument>,
    ) -> Result<Stored<NamespaceDocument>, Failure> {
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
        copy::evict(self.stores.get(left)?, name, era).await?;
        self.governance.forgotten(caller, stored).await
    }
}

/// A failure after the move was begun, which is durable: it goes on when it is asked for again, or
/// by itself.
fn begun(failure: Failure) -> Failure {
    Failure {
        effect: Effect::Unknown,
        ..failure
    }
}

#[cfg(test)]
mod tests;
