//! The members of stores as administrators see and change them. Every change is on record before it is
//! made, in the ledger of the store that it is about.

use std::sync::Arc;

use leasehold_backend_api::BackendError;
use leasehold_backend_api::Batch;
use leasehold_backend_api::ErrorKind;
use leasehold_backend_api::Steering;
use leasehold_domain::Change;
use leasehold_domain::Digest;
use leasehold_domain::Note;
use leasehold_domain::StoreName;

use crate::caller::Caller;
use crate::failure::Failure;
use crate::failure::FailureKind;
use crate::stores::MembersChange;
use crate::stores::MembersView;
use crate::stores::OpenStore;
use crate::stores::Stores;

/// The ledger's word for what is changed.
const COLLECTION: &str = "cluster";

/// The members of the gateway's stores.
#[derive(Debug)]
pub struct Steerage {
    stores: Arc<Stores>,
}

impl Steerage {
    /// Steers the members of these stores.
    #[must_use]
    pub fn new(stores: Arc<Stores>) -> Self {
        Self { stores }
    }

    /// Returns a store; an administrator is told why it is not open.
    fn store(&self, name: &StoreName) -> Result<&Arc<OpenStore>, Failure> {
        self.stores.get(name).map_err(|failure| {
            let all = self.stores.all();
            let problem = all.filter(|(store, _)| *store == name);
            match problem.filter_map(|(_, state)| state.err()).next() {
                Some(problem) => Failure {
                    message: format!("{}: {problem}", failure.message),
                    ..failure
                },
                None => failure,
            }
        })
    }

    /// Returns the members of a store as this gateway sees them.
    ///
    /// # Errors
    /// The store has none, is not open, or cannot be read.
    pub async fn view(&self, store: &StoreName) -> Result<MembersView, Failure> {
        self.store(store)?.members.view().await.map_err(refused)
    }

    /// Changes the members of a store. That it was asked is in its ledger, whatever becomes of it.
    ///
    /// # Errors
    /// The change cannot be made, or could not be recorded.
    pub async fn change(
        &self,
        caller: &Caller,
        store: &StoreName,
        asked: MembersChange,
    ) -> Result<MembersView, Failure> {
        let store = self.store(store)?;
        let summary = describe(&asked);
        let change = Change {
            request_id: caller.request_id.clone(),
            principal: caller.principal.clone(),
            collection: COLLECTION.into(),
            id: COLLECTION.into(),
            digest: Some(Digest::of(summary.as_bytes())),
            summary: summary.into(),
        };
        let note = Note::Governance(Box::new(change));
        store.parts.backend.execute(Batch::note(note)).await?;
        store.members.change(asked).await.map_err(refused)
    }
}

fn describe(asked: &MembersChange) -> String {
    let asked = match asked {
        MembersChange::Steer(asked) => asked,
        MembersChange::ForgetGateway { id } => return format!("asked to forget gateway {id}"),
    };
    match asked {
        Steering::Init => "asked to make this gateway the first member".to_owned(),
        Steering::Join { address } => format!("asked to take in the gateway at {address}"),
        Steering::Leave { node } => format!("asked to let member {node} go"),
        Steering::Replace { node, address } => {
            format!("asked to replace member {node} by the gateway at {address}")
        }
        Steering::TransferLeader { to: Some(to) } => format!("asked to let member {to} lead"),
        Steering::TransferLeader { to: None } => "asked to let another member lead".to_owned(),
        Steering::RaiseLevel { to: Some(to) } => {
            format!("asked to raise the feature level to {to}")
        }
        Steering::RaiseLevel { to: None } => "asked to raise the feature level".to_owned(),
    }
}

/// Administrators are told why, unlike callers of locks.
fn refused(error: BackendError) -> Failure {
    let reason = error.detail.clone();
    let failure = Failure::from(error.clone());
    match error.kind {
        // Whether a change is possible depends on the members as they are.
        ErrorKind::Invalid => Failure {
            message: reason,
            kind: FailureKind::Conflict,
            ..failure
        },
        ErrorKind::Unavailable
        | ErrorKind::Deadline
        | ErrorKind::Contended
        | ErrorKind::Fenced
        | ErrorKind::Outdated => Failure {
            message: reason,
            ..failure
        },
        _ => failure,
    }
}
