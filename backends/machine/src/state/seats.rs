//! Which namespaces this store serves: the seats among its documents, and what follows from them.

use leasehold_domain::Command;
use leasehold_domain::NamespaceName;
use leasehold_domain::Seat;
use leasehold_domain::SeatState;

use super::State;
use crate::Moment;

impl State {
    /// Where a namespace stands with this store.
    #[must_use]
    pub fn seat(&self, namespace: &NamespaceName) -> Seat {
        self.seats.get(namespace).copied().unwrap_or_default()
    }

    /// When and above which token a command is carried out; none if it is refused here.
    pub(super) fn admitted(&self, command: &Command, at: Moment) -> Option<Moment> {
        let seat = self.seat(&command.lock.namespace);
        seat.admits(&command.action).then(|| Moment {
            token_floor: at.token_floor.saturating_add(seat.token_offset),
            ..at
        })
    }

    /// Reads the seats again: documents were written.
    pub(super) fn read_seats(&mut self) {
        let documents = self.documents.collection(Seat::COLLECTION);
        let seat = |document: &leasehold_domain::Document| {
            let namespace = document.id.parse().ok()?;
            Some((namespace, Seat::read(&document.body)))
        };
        self.seats = documents.filter_map(seat).collect();
        // Time stands still for locks that are not here: no tick may end or grant anything.
        let still = |(namespace, seat): (&NamespaceName, &Seat)| {
            (seat.state != SeatState::Open).then(|| namespace.clone())
        };
        let still = self.seats.iter().filter_map(still).collect();
        self.locks.stand_still(still);
    }
}
