//! The seats of a namespace that is moved: read, and written against other movers.

use std::sync::Arc;

use leasehold_domain::Change;
use leasehold_domain::Digest;
use leasehold_domain::Edit;
use leasehold_domain::EditOutcome;
use leasehold_domain::NamespaceName;
use leasehold_domain::Precondition;
use leasehold_domain::Seat;
use leasehold_domain::SeatState;
use leasehold_domain::StoreName;

use super::Move;
use crate::failure::Failure;
use crate::stores::OpenStore;

/// How often a seat is written against other movers of the same namespace.
const WRITES_MAX: usize = 8;

impl Move<'_> {
    /// A move that is not the newest has nothing to say any more.
    pub(super) fn is_not_over(&self, seat: Seat) -> Result<(), Failure> {
        match seat.era > self.era {
            true => Err(Failure::moving()),
            false => Ok(()),
        }
    }

    /// Changes a store's seat, unless a later move has; answers what it is then.
    pub(super) async fn write_seat(
        &self,
        store: &OpenStore,
        change: impl Fn(Seat) -> Seat,
    ) -> Result<Seat, Failure> {
        for _ in 0..WRITES_MAX {
            let (before, precondition) = seat(store, &self.namespace).await?;
            self.is_not_over(before)?;
            let after = change(before);
            if after == before {
                return Ok(after);
            }
            let edit = self.edit(&store.name, after, precondition);
            match store.documents.write(vec![edit]).await? {
                EditOutcome::Done(_) => return Ok(after),
                // Another mover was faster; its change may be ours.
                EditOutcome::Conflict { .. } => {}
            }
        }
        Err(Failure::unsettled())
    }

    /// The edit, with what that store's ledger tells of the move.
    fn edit(&self, store: &StoreName, seat: Seat, precondition: Precondition) -> Edit {
        let (name, era) = (&self.namespace, self.era);
        let summary = match seat.state {
            SeatState::Arriving => {
                let from = &self.from.name;
                format!("namespace {name} comes to store {store} from {from}, move {era}")
            }
            SeatState::Open => format!("namespace {name} is in store {store}, move {era}"),
            SeatState::Moved if *store == self.to.name => {
                let from = &self.from.name;
                format!(
                    "namespace {name} does not come to store {store}, and stays in {from}, move {era}"
                )
            }
            SeatState::Moved => {
                let to = &self.to.name;
                format!("namespace {name} leaves store {store} for {to}, move {era}")
            }
        };
        let body: Arc<[u8]> = Arc::from(seat.to_string().into_bytes());
        let change = Change {
            request_id: self.caller.request_id.clone(),
            principal: self.caller.principal.clone(),
            collection: Seat::COLLECTION.into(),
            id: name.as_str().into(),
            digest: Some(Digest::of(&body)),
            summary: summary.into(),
        };
        Edit {
            collection: Seat::COLLECTION.into(),
            id: name.as_str().into(),
            body: Some(body),
            precondition,
            change: Some(change),
        }
    }
}

/// A store's seat for a namespace, and the condition that it is still so.
pub(super) async fn seat(
    store: &OpenStore,
    namespace: &NamespaceName,
) -> Result<(Seat, Precondition), Failure> {
    let found = store.documents.get(Seat::COLLECTION, namespace.as_str());
    Ok(match found.await? {
        None => (Seat::default(), Precondition::Absent),
        Some(document) => (
            Seat::read(&document.body),
            Precondition::Revision(document.revision),
        ),
    })
}
