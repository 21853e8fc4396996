//! The cluster as administrators see and change it. Every change is on record before it is made.

use std::sync::Arc;

use crate::failure::FailureKind;
use leasehold_backend_api::Backend;
use leasehold_backend_api::BackendError;
use leasehold_backend_api::Batch;
use leasehold_backend_api::Cluster;
use leasehold_backend_api::ClusterView;
use leasehold_backend_api::ErrorKind;
use leasehold_backend_api::Steering;
use leasehold_domain::Change;
use leasehold_domain::Digest;
use leasehold_domain::Note;

use crate::caller::Caller;
use crate::failure::Failure;

/// The ledger's word for what is changed.
const COLLECTION: &str = "cluster";

/// The cluster, if the store is one.
#[derive(Debug)]
pub struct Steerage {
    backend: Arc<dyn Backend>,
    cluster: Option<Arc<dyn Cluster>>,
}

impl Steerage {
    /// Steers the cluster of a store; `cluster` is `None` if the store has none.
    pub fn new(backend: Arc<dyn Backend>, cluster: Option<Arc<dyn Cluster>>) -> Self {
        Self { backend, cluster }
    }

    fn cluster(&self) -> Result<&Arc<dyn Cluster>, Failure> {
        let missing = || Failure::invalid("this gateway's store is no cluster");
        self.cluster.as_ref().ok_or_else(missing)
    }

    /// The cluster as this gateway sees it.
    ///
    /// # Errors
    /// The store is no cluster.
    pub fn view(&self) -> Result<ClusterView, Failure> {
        Ok(self.cluster()?.cluster())
    }

    /// Changes the cluster. That it was asked is in the ledger, whatever becomes of it.
    ///
    /// # Errors
    /// The change cannot be made, or could not be recorded.
    pub async fn steer(&self, caller: &Caller, asked: Steering) -> Result<ClusterView, Failure> {
        let cluster = self.cluster()?;
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
        self.backend.execute(Batch::note(note)).await?;
        cluster.steer(asked).await.map_err(refused)
    }
}

fn describe(asked: &Steering) -> String {
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
        // Whether a change is possible depends on the cluster as it is.
        ErrorKind::Invalid => Failure {
            message: reason,
            kind: FailureKind::Conflict,
            ..failure
        },
        ErrorKind::Unavailable | ErrorKind::Deadline | ErrorKind::Contended | ErrorKind::Fenced => {
            Failure {
                message: reason,
                ..failure
            }
        }
        _ => failure,
    }
}
