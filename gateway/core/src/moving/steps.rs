//! The steps of a move, and of a move that turns back.

use crate::failure::FailureKind;
use leasehold_domain::NamespaceName;
use leasehold_domain::Seat;
use leasehold_domain::SeatState;
use leasehold_domain::limits::TOKENS_PER_WRITE;

use super::End;
use super::Move;
use super::copy;
use super::copy::evict;
use super::copy::floor;
use super::copy::is_empty;
use super::seats::seat;
use crate::failure::Failure;
use crate::stores::OpenStore;

/// Whether a namespace can be moved, as far as can be known before.
///
/// # Errors
/// `conflict` if it cannot.
pub(super) async fn check(
    from: &OpenStore,
    to: &OpenStore,
    namespace: &NamespaceName,
) -> Result<(), Failure> {
    let (seat, _) = seat(to, namespace).await?;
    if seat.state == SeatState::Open {
        check_empty(to, namespace).await?;
    }
    copy::weigh(from, to, namespace).await
}

/// A store that has not heard of the namespace must have nothing under its name.
async fn check_empty(to: &OpenStore, namespace: &NamespaceName) -> Result<(), Failure> {
    if is_empty(to, namespace).await? {
        return Ok(());
    }
    let store = &to.name;
    let message = format!("store {store} has locks of another namespace {namespace}");
    Err(Failure::new(FailureKind::Conflict, message))
}

impl Move<'_> {
    /// Steps 2 to 6.
    pub(super) async fn carry_over(&self) -> Result<End, Failure> {
        match self.prepare().await?.state {
            SeatState::Open => return Ok(End::Arrived),
            SeatState::Moved => {
                let (name, from) = (&self.namespace, &self.from.name);
                let message = format!("namespace {name} has turned back and stays in {from}");
                return self
                    .give_up(Failure::new(FailureKind::Conflict, message))
                    .await;
            }
            SeatState::Arriving => {}
        }
        self.close().await?;
        self.lift_tokens().await?;
        if let Some(too_large) = self.copy().await? {
            return self.give_up(too_large).await;
        }
        self.open().await?;
        Ok(End::Arrived)
    }

    async fn give_up(&self, why: Failure) -> Result<End, Failure> {
        match self.turn_back().await? {
            true => Ok(End::Stayed(why)),
            false => Ok(End::Arrived),
        }
    }

    /// Makes the new store ready to take records in. Its seat says if that is behind us.
    pub(super) async fn prepare(&self) -> Result<Seat, Failure> {
        let (seat, _) = seat(&self.to, &self.namespace).await?;
        if seat.era == self.era {
            return Ok(seat);
        }
        self.is_not_over(seat)?;
        if seat.state == SeatState::Moved {
            // What an earlier move has not forgotten yet.
            evict(&self.to, &self.namespace, seat.era).await?;
        }
        check_empty(&self.to, &self.namespace).await?;
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

    /// From now on the old store grants, renews and ends nothing.
    pub(super) async fn close(&self) -> Result<(), Failure> {
        let turned_back = |seat: Seat| seat.era == self.era && seat.state == SeatState::Open;
        let seat = self.write_seat(&self.from, |seat| match turned_back(seat) {
            true => seat,
            false => Seat {
                era: self.era,
                state: SeatState::Moved,
                ..seat
            },
        });
        match turned_back(seat.await?) {
            // By another mover; asked again, this one finds that.
            true => Err(Failure::moving()),
            false => Ok(()),
        }
    }

    /// Lifts the new store's tokens for this namespace above all that the old store has given out.
    /// By an addend, so that they still grow with every write of the new store.
    pub(super) async fn lift_tokens(&self) -> Result<(), Failure> {
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

    /// From now on the new store grants.
    pub(super) async fn open(&self) -> Result<(), Failure> {
        let seat = self.write_seat(&self.to, |seat| match seat.state {
            SeatState::Arriving => Seat {
                state: SeatState::Open,
                ..seat
            },
            SeatState::Open | SeatState::Moved => seat,
        });
        match seat.await?.state {
            SeatState::Open => Ok(()),
            // Another mover turns back.
            SeatState::Moved | SeatState::Arriving => Err(Failure::moving()),
        }
    }

    /// Gives the namespace back to the old store. False if the new one grants already.
    pub(super) async fn turn_back(&self) -> Result<bool, Failure> {
        // Also if the new store has not heard of it: a mover that comes late must hear of this.
        self.prepare().await?;
        let decided = self.write_seat(&self.to, |seat| match seat.state {
            SeatState::Arriving => Seat {
                state: SeatState::Moved,
                ..seat
            },
            SeatState::Open | SeatState::Moved => seat,
        });
        if decided.await?.state != SeatState::Moved {
            return Ok(false);
        }
        self.write_seat(&self.from, |seat| Seat {
            era: self.era,
            state: SeatState::Open,
            ..seat
        })
        .await?;
        evict(&self.to, &self.namespace, self.era).await?;
        Ok(true)
    }
}
