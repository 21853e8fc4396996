//! The moves of namespaces that a store knows of, by its seats, when it is opened.
//!
//! Governance says in which store a namespace is, and counts its moves. A store whose seat knows of a
//! later move than governance contradicts it: one of the two was restored from a backup, or an
//! operator's choice between two stores was cut off. Which of them has the newer locks cannot be
//! known then.

use std::collections::BTreeMap;

use leasehold_backend_api::BackendError;
use leasehold_backend_api::Documents;
use leasehold_domain::NamespaceName;
use leasehold_domain::Seat;
use leasehold_domain::SeatState;

/// For each namespace, the number of the first move with which governance and the store agree.
#[derive(Debug, Clone, Default)]
pub struct Claims(BTreeMap<NamespaceName, u64>);

impl Claims {
    /// Reads the seats of a store.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn read(documents: &dyn Documents) -> Result<Self, BackendError> {
        let seats = documents.list(Seat::COLLECTION).await?;
        let settled = seats.into_iter().filter_map(|document| {
            let seat = Seat::read(&document.body);
            let settled_by = match seat.state {
                // The store has the namespace until a later move takes it elsewhere.
                SeatState::Open => seat.era + 1,
                SeatState::Arriving | SeatState::Moved => seat.era,
            };
            Some((document.id.parse().ok()?, settled_by))
        });
        Ok(Self(settled.collect()))
    }

    /// Whether the store, which by governance does not have the namespace, knows of a later move
    /// than the one with this number.
    pub(crate) fn contradict(&self, namespace: &NamespaceName, era: u64) -> bool {
        self.0.get(namespace).is_some_and(|by| *by > era)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use leasehold_backend_memory::MemoryBackend;
    use leasehold_domain::Change;
    use leasehold_domain::Edit;
    use leasehold_domain::Precondition;
    use leasehold_domain::SystemClock;

    use super::*;
    use crate::storage_note;

    #[tokio::test]
    async fn a_seat_contradicts_governance_that_has_not_heard_of_its_move() {
        let store = MemoryBackend::new(Arc::new(SystemClock::new()));
        let change: Change = storage_note::change("test", "home", "a seat").unwrap();
        let seats = [
            ("open", SeatState::Open),
            ("moved", SeatState::Moved),
            ("arriving", SeatState::Arriving),
        ];
        for (name, state) in seats {
            let seat = Seat {
                era: 3,
                state,
                token_offset: 0,
            };
            let edit = Edit {
                collection: Seat::COLLECTION.into(),
                id: name.into(),
                body: Some(seat.to_string().into_bytes().into()),
                precondition: Precondition::Any,
                change: Some(Change {
                    collection: Seat::COLLECTION.into(),
                    id: name.into(),
                    ..change.clone()
                }),
            };
            store.write(vec![edit]).await.unwrap();
        }
        let claims = Claims::read(&*store).await.unwrap();
        for (name, first_agreed) in [("open", 4), ("moved", 3), ("arriving", 3), ("none", 0)] {
            let name: NamespaceName = name.parse().unwrap();
            for era in 0..6 {
                let contradicts = claims.contradict(&name, era);
                assert_eq!(contradicts, era < first_agreed, "{name} {era}");
            }
        }
    }
}
