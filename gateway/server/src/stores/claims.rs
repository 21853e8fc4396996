//! Namespaces that a store considers its own, by its seats, when it is opened.
//!
//! Governance says in which store a namespace is. A store that was restored from a backup may have an
//! older answer: the home store, whose governance has forgotten a move, or another, which has
//! forgotten that the namespace left it. Where a store's seat is open by a move that governance has
//! not heard of, nobody can know which of the two has the newer locks.

use std::collections::BTreeMap;

use leasehold_backend_api::BackendError;
use leasehold_backend_api::Documents;
use leasehold_domain::NamespaceName;
use leasehold_domain::Seat;
use leasehold_domain::SeatState;

/// The namespaces that a store has by a move, and the number of that move.
#[derive(Debug, Clone, Default)]
pub(crate) struct Claims(BTreeMap<NamespaceName, u64>);

impl Claims {
    /// Reads the open seats of a store.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) async fn read(documents: &dyn Documents) -> Result<Self, BackendError> {
        let seats = documents.list(Seat::COLLECTION).await?;
        let open = seats.into_iter().filter_map(|document| {
            let seat = Seat::read(&document.body);
            let name = document.id.parse().ok()?;
            (seat.state == SeatState::Open).then_some((name, seat.era))
        });
        Ok(Self(open.collect()))
    }

    /// Returns by which move the store has a namespace; `None` if it does not claim it.
    pub(crate) fn era(&self, namespace: &NamespaceName) -> Option<u64> {
        self.0.get(namespace).copied()
    }
}
