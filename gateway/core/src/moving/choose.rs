//! An operator chooses the store of a namespace about which two stores disagree, after one of them was
//! restored from a backup.
//!
//! The choice is a move that copies no records. The store that is not chosen closes its seat first.
//! Then the tokens of the chosen store are raised above all that the other has granted, its seat
//! opens, governance records that the namespace is there, and the other store deletes its records of
//! it. If the choice is cut off, the closed seat still contradicts governance: the namespace is served
//! by neither store, also after a restart, until the command is repeated.

use crate::failure::FailureKind;
use leasehold_domain::Seat;
use leasehold_domain::SeatState;
use leasehold_domain::StoreName;
use leasehold_domain::limits::TOKENS_PER_WRITE;

use super::Move;
use super::Mover;
use super::begun;
use super::copy::floor;
use super::seats::seat;
use crate::caller::Caller;
use crate::failure::Failure;
use crate::governance::Stored;
use crate::governance::document::NamespaceDocument;

impl Mover {
    /// Gives a namespace to one of the two stores that disagree about it.
    ///
    /// # Errors
    /// `to` is neither of them, or one of them does not answer.
    pub(super) async fn choose(
        &self,
        caller: &Caller,
        stored: Stored<NamespaceDocument>,
        (rival, to): (&StoreName, &StoreName),
    ) -> Result<Stored<NamespaceDocument>, Failure> {
        let document = &stored.document;
        let (name, store) = (&document.name, &document.store);
        let (kept, left) = match (to == store, to == rival) {
            (true, _) => (store, rival),
            (_, true) => (rival, store),
            _ => {
                let message = format!(
                    "the stores {store} and {rival} disagree about which of them has namespace \
                     {name}; choose one of them before it is moved to {to}"
                );
                return Err(Failure::new(FailureKind::Conflict, message));
            }
        };
        let (kept, left) = (self.stores.get(kept)?, self.stores.get(left)?);
        let eras = [seat(kept, name).await?.0.era, seat(left, name).await?.0.era];
        let era = eras.into_iter().fold(document.travels.era, u64::max) + 1;
        let choice = Move {
            caller,
            namespace: name.clone(),
            era,
            from: left.clone(),
            to: kept.clone(),
        };
        choice.settle().await.map_err(begun)?;
        let stores = (kept.name.clone(), left.name.clone());
        let chosen = self
            .governance
            .choose_store(caller, stored, stores, era)
            .await;
        self.forget(caller, chosen.map_err(begun)?)
            .await
            .map_err(begun)
    }
}

impl Move<'_> {
    /// Closes the seat of the store that was not chosen, and opens that of the other above its tokens.
    async fn settle(&self) -> Result<(), Failure> {
        self.write_seat(&self.from, |seat| Seat {
            era: self.era,
            state: SeatState::Moved,
            ..seat
        })
        .await?;
        let given = floor(&self.from, &self.namespace).await?;
        let ours = floor(&self.to, &self.namespace).await?;
        let missing = (given + TOKENS_PER_WRITE).saturating_sub(ours);
        self.write_seat(&self.to, |seat| match seat.era == self.era {
            // Another mover was faster.
            true => seat,
            false => Seat {
                era: self.era,
                state: SeatState::Open,
                token_offset: seat.token_offset + missing,
            },
        })
        .await?;
        Ok(())
    }
}
